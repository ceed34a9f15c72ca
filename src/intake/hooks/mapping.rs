//! The mapping of a `generic` hook, as its operator writes it: where in any JSON each field of our event stands, and what the words for states mean.

use std::collections::BTreeMap;

use serde_json::Value;

/// The fields that a mapping may place, each with where it is looked for when the mapping says nothing.
///
/// `to` has no such place: who may name the recipients is said by hand.
pub const FIELDS: &[(&str, &[&str])] = &[
    ("status", &["/status", "/state"]),
    ("id", &["/id", "/job_id"]),
    ("title", &["/title"]),
    ("prompt", &["/prompt"]),
    ("prompt_translated", &["/prompt_translated"]),
    ("negative_prompt", &["/negative_prompt"]),
    ("model", &["/model"]),
    ("size", &["/size"]),
    ("width", &["/width"]),
    ("height", &["/height"]),
    ("format", &["/format"]),
    ("seed", &["/seed"]),
    ("steps", &["/steps"]),
    ("images", &["/images", "/image_url"]),
    ("error_code", &["/error/code", "/error_code"]),
    ("error_message", &["/error/message", "/error", "/error_message"]),
    ("started_at", &["/started_at"]),
    ("finished_at", &["/finished_at"]),
    ("to", &[]),
    ("locale", &["/locale"]),
    ("metadata", &["/metadata"]),
];

/// What a state means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The job ended well.
    Succeeded,
    /// It did not.
    Failed,
    /// Somebody wanted it to end.
    Canceled,
    /// It has not ended, or nobody needs to know.
    Ignored,
}

impl Verdict {
    /// Every verdict by its name, and the words that mean it wherever the mapping does not say otherwise.
    pub const NAMED: &[(&str, Self, &[&str])] = &[
        ("succeeded", Self::Succeeded, &["succeeded", "success", "successful", "completed", "complete", "done", "finished", "ok", "true"]),
        ("failed", Self::Failed, &["failed", "failure", "error", "errored", "timeout", "timed_out", "expired", "false"]),
        ("canceled", Self::Canceled, &["canceled", "cancelled", "aborted"]),
        ("ignored", Self::Ignored, &["created", "submitted", "queued", "pending", "starting", "started", "running", "processing", "in_progress", "progress"]),
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        Self::NAMED.iter().find(|(_, verdict, _)| *verdict == self).map_or("", |(name, ..)| name)
    }
}

/// One place where a field may stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the payload: a JSON pointer (RFC 6901), as `/input/prompt`.
    Pointer(String),
    /// Nowhere: always this text.
    Fixed(String),
}

impl Place {
    /// Reads `/input/prompt`, or `=text` for a fixed text.
    ///
    /// # Errors
    /// Says what a pointer looks like.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(fixed) = text.strip_prefix('=') {
            return Ok(Self::Fixed(fixed.trim().to_owned()));
        }
        let escaped = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        match (text.starts_with('/'), escaped) {
            (true, true) if text.len() <= 500 => Ok(Self::Pointer(text.to_owned())),
            (true, true) => Err("a JSON pointer has at most 500 characters here".to_owned()),
            (true, false) => Err("in a JSON pointer ~ is written ~0, and / within a name ~1".to_owned()),
            (false, _) => Err(format!("a JSON pointer begins with /: write \"/{}\", or \"={text}\" for this very text", text.replace('.', "/"))),
        }
    }

    /// As it was written.
    pub fn written(&self) -> String {
        match self {
            Self::Pointer(pointer) => pointer.clone(),
            Self::Fixed(text) => format!("={text}"),
        }
    }
}

/// A mapping. The default one looks for each field under its own name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mapping {
    /// Places by field, where the operator wrote them, in the order in which they are tried.
    pub places: BTreeMap<&'static str, Vec<Place>>,
    /// Words that the operator gave a meaning, in small letters; `*` stands for every other one.
    pub words: Vec<(String, Verdict)>,
    /// What a payload means that has no state.
    pub missing: Option<Verdict>,
}

/// What a payload says of how the job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// This word, which means this.
    Known(String, Verdict),
    /// This word, which means nothing here.
    Unknown(String),
    /// Nothing, which means this.
    Unsaid(Verdict),
    /// Nothing.
    Missing,
}

/// A field and where it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The field's name.
    pub field: &'static str,
    /// Where it was looked for, in order.
    pub tried: Vec<Place>,
    /// Which of those had something, and what.
    pub at: Option<(Place, Value)>,
}

impl Mapping {
    /// Where a field is looked for.
    pub fn places(&self, field: &str) -> Vec<Place> {
        let usual = || FIELDS.iter().filter(|(name, _)| *name == field).flat_map(|(_, places)| places.iter());
        self.places.get(field).cloned().unwrap_or_else(|| usual().map(|place| Place::Pointer((*place).to_owned())).collect())
    }

    /// The first of a field's places at which `fits` finds what it wants, with that.
    pub fn find<T>(&self, field: &str, payload: &Value, fits: impl Fn(&Value) -> Option<T>) -> Option<(Place, T)> {
        self.places(field).into_iter().find_map(|place| {
            let found = match &place {
                Place::Pointer(pointer) => fits(payload.pointer(pointer)?),
                Place::Fixed(text) => fits(&Value::from(text.as_str())),
            };
            found.map(|found| (place, found))
        })
    }

    /// What a payload says of how the job ended.
    pub fn state(&self, payload: &Value) -> State {
        let word = |value: &Value| match value {
            Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_lowercase()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        };
        let Some((_, word)) = self.find("status", payload, word) else {
            return self.missing.map_or(State::Missing, State::Unsaid);
        };
        match self.verdict(&word) {
            Some(verdict) => State::Known(word, verdict),
            None => State::Unknown(word.chars().take(80).collect()),
        }
    }

    fn verdict(&self, word: &str) -> Option<Verdict> {
        let given = |wanted: &str| self.words.iter().find(|(known, _)| known == wanted).map(|(_, verdict)| *verdict);
        let usual = || Verdict::NAMED.iter().find(|(_, _, words)| words.contains(&word)).map(|(_, verdict, _)| *verdict);
        given(word).or_else(|| given("*")).or_else(usual)
    }

    /// Every field and where it was found, for the operator.
    pub fn explain(&self, payload: &Value) -> Vec<Found> {
        let something = |value: &Value| (!value.is_null() && value.as_str() != Some("")).then(|| value.clone());
        FIELDS.iter().map(|(field, _)| Found { field, tried: self.places(field), at: self.find(field, payload, something) }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_place_is_a_pointer_or_a_fixed_text_and_anything_else_says_what_to_write() {
        assert_eq!(Place::parse("/a/~0~1/0").unwrap(), Place::Pointer("/a/~0~1/0".to_owned()));
        assert_eq!(Place::parse("= Nightly").unwrap(), Place::Fixed("Nightly".to_owned()));
        assert!(Place::parse("input.prompt").unwrap_err().contains("\"/input/prompt\""));
        assert!(Place::parse("/a~b").unwrap_err().contains("~0"));
        assert!(Place::parse("").is_err() && Place::parse(&"/a".repeat(300)).is_err());
    }

    #[test]
    fn the_operators_words_go_before_the_usual_ones() {
        let words = vec![("done".to_owned(), Verdict::Failed), ("0".to_owned(), Verdict::Succeeded), ("true".to_owned(), Verdict::Ignored)];
        let mapping = Mapping { words, ..Mapping::default() };
        let verdict = |status: Value| match mapping.state(&json!({ "status": status })) {
            State::Known(_, verdict) => Some(verdict),
            _ => None,
        };
        assert_eq!(verdict(json!(" Done ")), Some(Verdict::Failed));
        assert_eq!((verdict(json!(0)), verdict(json!(true)), verdict(json!(false))), (Some(Verdict::Succeeded), Some(Verdict::Ignored), Some(Verdict::Failed)));
        assert_eq!((verdict(json!("RUNNING")), verdict(json!("Cancelled")), verdict(json!("odd"))), (Some(Verdict::Ignored), Some(Verdict::Canceled), None));
        let all = Mapping { words: vec![("0".to_owned(), Verdict::Succeeded), ("*".to_owned(), Verdict::Failed)], ..Mapping::default() };
        assert_eq!(all.state(&json!({"state": 137})), State::Known("137".to_owned(), Verdict::Failed));
        assert_eq!(all.state(&json!({"status": "running"})), State::Known("running".to_owned(), Verdict::Failed));
    }

    #[test]
    fn a_payload_without_a_state_means_what_was_said_or_nothing() {
        for payload in [json!({}), json!({"status": null}), json!({"status": " "}), json!({"status": []}), json!([1]), json!(7)] {
            assert_eq!(Mapping::default().state(&payload), State::Missing, "{payload}");
            let mapping = Mapping { missing: Some(Verdict::Succeeded), ..Mapping::default() };
            assert_eq!(mapping.state(&payload), State::Unsaid(Verdict::Succeeded), "{payload}");
        }
    }

    #[test]
    fn no_word_means_two_things() {
        let words: Vec<&str> = Verdict::NAMED.iter().flat_map(|(_, _, words)| words.iter().copied()).collect();
        assert_eq!(words.iter().collect::<std::collections::BTreeSet<_>>().len(), words.len());
    }
}
