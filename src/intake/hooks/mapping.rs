//! Mappings: where each field of our events is in a payload, and what its states mean. Those of
//! `generic` hooks come from the configuration, those of other kinds from `mappings.toml`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::{error_info, payload};
pub use crate::domain::event::StatusMeaning;

/// The fields that can be mapped, with their default JSON pointers.
///
/// `to` has no default: the operator decides whether payloads may name recipients.
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
    ("url", &["/url"]),
    ("error_code", &["/error/code", "/error_code"]),
    (
        "error_message",
        &["/error/message", "/error", "/error_message"],
    ),
    ("started_at", &["/started_at"]),
    ("finished_at", &["/finished_at"]),
    ("to", &[]),
    ("locale", &["/locale"]),
    ("metadata", &["/metadata"]),
];

/// Maximum length of a challenge that is echoed, in bytes.
const MAX_CHALLENGE: usize = 4_096;

/// Whether a value is valid for a field. Otherwise the next pointer is tried.
fn fits(field: &str, value: &Value) -> bool {
    match field {
        "status" => word(value).is_some(),
        "images" => !payload::is_blank(value),
        "to" | "metadata" => !value.is_null(),
        "width" | "height" => payload::whole(value).is_some_and(|side| u32::try_from(side).is_ok()),
        "steps" => payload::whole(value).is_some_and(|steps| (0..=1_000_000).contains(&steps)),
        "seed" => payload::seed(value).is_some(),
        "started_at" | "finished_at" => payload::time(value).is_some(),
        "error_message" => error_info::read(value).is_some(),
        _ => payload::text(value).is_some(),
    }
}

/// Normalizes a state: lower case, and integers without `.0`.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_lowercase()),
        Value::Number(number) => Some(number.to_string())
            .map(|text| text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// A source of a field's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A JSON pointer into the payload (RFC 6901), such as `/input/prompt`.
    Pointer(String),
    /// A constant.
    Fixed(String),
}

impl Place {
    /// Parses `/input/prompt`, or `=text` for a constant.
    ///
    /// # Errors
    /// Explains the syntax.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(fixed) = text.strip_prefix('=') {
            return Ok(Self::Fixed(fixed.trim().to_owned()));
        }
        let escaped = text
            .split('~')
            .skip(1)
            .all(|rest| rest.starts_with(['0', '1']));
        match (text.starts_with('/'), escaped) {
            (true, true) if text.len() <= 500 => Ok(Self::Pointer(text.to_owned())),
            (true, true) => Err("a JSON pointer has at most 500 characters here".to_owned()),
            (true, false) => {
                Err("in a JSON pointer ~ is written ~0, and / within a name ~1".to_owned())
            }
            (false, _) => Err(format!(
                "a JSON pointer begins with /: write \"/{}\", or \"={text}\" for this very text",
                text.replace('.', "/")
            )),
        }
    }

    /// The value in this payload.
    fn value<'a>(&self, payload: &'a Value) -> Option<Cow<'a, Value>> {
        match self {
            Self::Pointer(pointer) => payload.pointer(pointer).map(Cow::Borrowed),
            Self::Fixed(text) => Some(Cow::Owned(Value::from(text.as_str()))),
        }
    }

    /// The text in the configuration.
    pub fn written(&self) -> String {
        match self {
            Self::Pointer(pointer) => pointer.clone(),
            Self::Fixed(text) => format!("={text}"),
        }
    }
}

/// A mapping. By default every field is read under the same name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mapping {
    /// Whether it belongs to a service whose payloads are documented: fields and states that are
    /// not listed are not guessed.
    pub exact: bool,
    /// Sources by field, in the order in which they are tried.
    pub places: BTreeMap<&'static str, Vec<Place>>,
    /// Meanings of states, in lower case. `*` matches every state that has no other meaning.
    pub status_words: Vec<(String, StatusMeaning)>,
    /// The meaning of a payload without a state.
    pub missing: Option<StatusMeaning>,
    /// JSON pointer to the text that the service expects back when it verifies the address.
    pub challenge: Option<String>,
}

/// The state of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// A state and its meaning.
    Known(String, StatusMeaning),
    /// A state without a meaning.
    Unknown(String),
    /// No state, with a configured meaning.
    Assumed(StatusMeaning),
    /// No state.
    Missing,
}

/// A field and where its value was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The field's name.
    pub field: &'static str,
    /// The sources that were tried, in order.
    pub tried: Vec<Place>,
    /// The source that is used, with its value.
    pub at: Option<(Place, Value)>,
    /// The first source with an unusable value, if none is used.
    pub unusable: Option<Place>,
}

impl Mapping {
    /// The sources of a field.
    pub fn places(&self, field: &str) -> Cow<'_, [Place]> {
        if let Some(places) = self.places.get(field) {
            return Cow::Borrowed(places);
        }
        FIELDS
            .iter()
            .filter(|(name, _)| *name == field && !self.exact)
            .flat_map(|(_, places)| places.iter())
            .map(|place| Place::Pointer((*place).to_owned()))
            .collect()
    }

    /// The first source with a valid value.
    pub fn find<'a>(&self, field: &str, payload: &'a Value) -> Option<(Place, Cow<'a, Value>)> {
        self.places(field).iter().find_map(|place| {
            place
                .value(payload)
                .filter(|value| fits(field, value))
                .map(|value| (place.clone(), value))
        })
    }

    /// The first source with an invalid value, if no source has a valid one.
    pub fn unusable(&self, field: &str, payload: &Value) -> Option<Place> {
        let is_set = |place: &&Place| {
            place
                .value(payload)
                .is_some_and(|value| !payload::is_blank(&value))
        };
        if self.find(field, payload).is_some() {
            None
        } else {
            self.places(field).iter().find(is_set).cloned()
        }
    }

    /// All sources of metadata that have a value. Unlike for other fields, all of them are used.
    pub fn metadata<'a>(&self, payload: &'a Value) -> Vec<(String, &'a Value)> {
        let value = |place: &Place| match place {
            Place::Pointer(pointer) => {
                let is_missing =
                    |value: &Value| value.is_null() || (self.exact && payload::is_blank(value));
                let value = payload
                    .pointer(pointer)
                    .filter(|value| !is_missing(value))?;
                Some((pointer.clone(), value))
            }
            Place::Fixed(_) => None,
        };
        self.places("metadata").iter().filter_map(value).collect()
    }

    /// The state of a payload.
    pub fn state(&self, payload: &Value) -> State {
        let Some(word) = self
            .find("status", payload)
            .and_then(|(_, value)| word(&value))
        else {
            return self.missing.map_or(State::Missing, State::Assumed);
        };
        match self.meaning(&word) {
            Some(meaning) => State::Known(word, meaning),
            None => State::Unknown(word.chars().take(80).collect()),
        }
    }

    fn meaning(&self, word: &str) -> Option<StatusMeaning> {
        let given = |wanted: &str| {
            self.status_words
                .iter()
                .find(|(known, _)| known == wanted)
                .map(|(_, meaning)| *meaning)
        };
        given(word)
            .or_else(|| StatusMeaning::of_word(word).filter(|_| !self.exact))
            .or_else(|| given("*"))
    }

    /// The response to a request that verifies the address. `None` if the payload has a known
    /// state.
    pub fn challenge(&self, payload: &Value) -> Option<Value> {
        let pointer = self.challenge.as_deref()?;
        let asked = payload.pointer(pointer).filter(|asked| {
            asked.is_number()
                || asked
                    .as_str()
                    .is_some_and(|text| (1..=MAX_CHALLENGE).contains(&text.len()))
        })?;
        if matches!(self.state(payload), State::Known(..)) {
            return None;
        }
        let answer = [(last_segment(pointer), asked.clone())];
        Some(Value::Object(answer.into_iter().collect()))
    }

    /// Every field with its source, for the operator.
    pub fn explain(&self, payload: &Value) -> Vec<Found> {
        let found = |field: &'static str| Found {
            field,
            tried: self.places(field).into_owned(),
            at: if field == "metadata" {
                let mut found = self.metadata(payload).into_iter();
                found
                    .next()
                    .map(|(pointer, value)| (Place::Pointer(pointer), value.clone()))
            } else {
                self.find(field, payload)
                    .map(|(place, value)| (place, value.into_owned()))
            },
            unusable: self.unusable(field, payload),
        };
        FIELDS.iter().map(|(field, _)| found(field)).collect()
    }
}

/// The name that a JSON pointer ends with, unescaped.
pub(super) fn last_segment(pointer: &str) -> String {
    let segment = pointer.rsplit('/').next().unwrap_or_default();
    segment.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn place_is_a_pointer_or_a_constant() {
        assert_eq!(
            Place::parse("/a/~0~1/0").unwrap(),
            Place::Pointer("/a/~0~1/0".to_owned())
        );
        assert_eq!(
            Place::parse("= Nightly").unwrap(),
            Place::Fixed("Nightly".to_owned())
        );
        assert!(
            Place::parse("input.prompt")
                .unwrap_err()
                .contains("\"/input/prompt\"")
        );
        assert!(Place::parse("/a~b").unwrap_err().contains("~0"));
        assert!(Place::parse("").is_err() && Place::parse(&"/a".repeat(300)).is_err());
    }

    #[test]
    fn configured_states_override_the_defaults() {
        let words = vec![
            ("done".to_owned(), StatusMeaning::Failed),
            ("0".to_owned(), StatusMeaning::Succeeded),
            ("true".to_owned(), StatusMeaning::Ignored),
        ];
        let mapping = Mapping {
            status_words: words,
            ..Mapping::default()
        };
        let meaning = |status: Value| match mapping.state(&json!({ "status": status })) {
            State::Known(_, meaning) => Some(meaning),
            _ => None,
        };
        assert_eq!(meaning(json!(" Done ")), Some(StatusMeaning::Failed));
        assert_eq!(
            (
                meaning(json!(0)),
                meaning(json!(true)),
                meaning(json!(false))
            ),
            (
                Some(StatusMeaning::Succeeded),
                Some(StatusMeaning::Ignored),
                Some(StatusMeaning::Failed)
            )
        );
        assert_eq!(
            (
                meaning(json!("RUNNING")),
                meaning(json!("Cancelled")),
                meaning(json!("odd"))
            ),
            (
                Some(StatusMeaning::Ignored),
                Some(StatusMeaning::Canceled),
                None
            )
        );
        let all = Mapping {
            status_words: vec![
                ("0".to_owned(), StatusMeaning::Succeeded),
                ("*".to_owned(), StatusMeaning::Failed),
            ],
            ..Mapping::default()
        };
        assert_eq!(
            all.state(&json!({"state": 137})),
            State::Known("137".to_owned(), StatusMeaning::Failed)
        );
        assert_eq!(
            all.state(&json!({"state": 0.0})),
            State::Known("0".to_owned(), StatusMeaning::Succeeded)
        );
        assert_eq!(
            all.state(&json!({"status": "running"})),
            State::Known("running".to_owned(), StatusMeaning::Ignored),
            "no mail before the end"
        );
        assert_eq!(
            all.state(&json!({"status": "done"})),
            State::Known("done".to_owned(), StatusMeaning::Succeeded)
        );
    }

    #[test]
    fn missing_state_has_the_configured_meaning() {
        for payload in [
            json!({}),
            json!({"status": null}),
            json!({"status": " "}),
            json!({"status": []}),
            json!([1]),
            json!(7),
        ] {
            assert_eq!(
                Mapping::default().state(&payload),
                State::Missing,
                "{payload}"
            );
            let mapping = Mapping {
                missing: Some(StatusMeaning::Succeeded),
                ..Mapping::default()
            };
            assert_eq!(
                mapping.state(&payload),
                State::Assumed(StatusMeaning::Succeeded),
                "{payload}"
            );
        }
    }

    #[test]
    fn challenge_is_echoed_unless_the_payload_has_a_state() {
        let mapping = Mapping {
            challenge: Some("/a/challenge".to_owned()),
            ..Mapping::default()
        };
        let asked = |payload: Value| mapping.challenge(&payload);
        assert_eq!(
            asked(json!({"a": {"challenge": "x"}})),
            Some(json!({"challenge": "x"}))
        );
        assert_eq!(
            asked(json!({"a": {"challenge": 7}, "status": "url_verification"})),
            Some(json!({"challenge": 7}))
        );
        for payload in [
            json!({"a": {"challenge": "x"}, "status": "done"}),
            json!({"a": {"challenge": ""}}),
            json!({"a": {"challenge": {}}}),
            json!({}),
        ] {
            assert_eq!(asked(payload.clone()), None, "{payload}");
        }
        assert_eq!(asked(json!({"a": {"challenge": "x".repeat(5_000)}})), None);
        assert_eq!(
            Mapping::default().challenge(&json!({"challenge": "x"})),
            None
        );
    }
}
