//! Any JSON, read by a mapping from the configuration.
//!
//! Optional values that are invalid (a time, a number, a language, an image link) are left out with
//! a warning. Invalid recipients, if the mapping reads them from the payload, reject it.

use std::borrow::Cow;

use serde_json::Value;

use super::super::mapping::{Mapping, Place, State, StatusMeaning, last_segment};
use super::super::{EventBuilder, JobEnd, MapResult, Payload};
use super::super::{error_info, payload};
use crate::domain::Locale;

/// Text fields.
const TEXTS: &[&str] = &[
    "title",
    "prompt",
    "prompt_translated",
    "negative_prompt",
    "model",
    "size",
    "format",
];

/// Maps a payload.
pub fn map(mapping: &Mapping, payload: &Payload<'_>) -> MapResult {
    if let Some(answer) = mapping.challenge(payload.json) {
        return MapResult::Challenge(answer);
    }
    match MappedJob::read(mapping, payload) {
        Ok(job) if job.id.is_none() => MapResult::invalid(
            &first_pointer(mapping, "id"),
            "is missing: set map.id to the place of the job id",
        ),
        Ok(job) => job.finish(),
        Err(result) => result,
    }
}

/// A job as a mapping reads it.
#[derive(Debug)]
pub(super) struct MappedJob<'a> {
    /// The event so far.
    pub(super) builder: EventBuilder<'a>,
    /// The service's name for the job.
    pub(super) id: Option<String>,
    /// How the job ended.
    pub(super) end: JobEnd,
    /// Name of the result in the event's id; `None` for the name of `end`.
    pub(super) result_name: Option<&'static str>,
}

impl<'a> MappedJob<'a> {
    /// Reads a payload.
    ///
    /// # Errors
    /// The outcome of a payload whose state is missing, unknown or ignored.
    pub(super) fn read(mapping: &Mapping, payload: &Payload<'a>) -> Result<Self, MapResult> {
        let end = end(mapping, payload)?;
        let reader = Reader { mapping, payload };
        let mut builder = EventBuilder::of(payload);
        for field in TEXTS {
            if let Some(text) = reader.text(field) {
                builder.text(field, &text);
            }
        }
        reader.numbers(&mut builder);
        if let Some(result) = reader.value("images") {
            builder.collect_images(&result, 0);
        }
        let (inner, message) = reader
            .value("error_message")
            .and_then(|value| error_info::read(&value))
            .unwrap_or_default();
        builder.error(reader.text("error_code").or(inner), message);
        if let Some(address) = reader.text("url") {
            builder.page(&address);
        }
        reader.times(&mut builder);
        reader.recipients(&mut builder);
        reader.metadata(&mut builder);
        Ok(Self {
            builder,
            id: reader.text("id"),
            end,
            result_name: None,
        })
    }

    /// Finishes the event.
    pub(super) fn finish(self) -> MapResult {
        let name = self.result_name.unwrap_or(self.end.as_str());
        self.builder.finish_as(self.id, self.end, name)
    }
}

/// How the job ended.
fn end(mapping: &Mapping, payload: &Payload<'_>) -> Result<JobEnd, MapResult> {
    match mapping.state(payload.json) {
        State::Known(word, StatusMeaning::Ignored) => {
            Err(MapResult::Ignored(format!("the state is {word:?}")))
        }
        State::Assumed(StatusMeaning::Ignored) => {
            Err(MapResult::Ignored("there is no state".to_owned()))
        }
        State::Known(_, meaning) | State::Assumed(meaning) => Ok(match meaning {
            StatusMeaning::Succeeded => JobEnd::Succeeded,
            StatusMeaning::Canceled => JobEnd::Canceled,
            StatusMeaning::Failed | StatusMeaning::Ignored => JobEnd::Failed,
        }),
        State::Unknown(word) if mapping.exact => {
            Err(MapResult::Unknown(format!("unknown status {word:?}")))
        }
        State::Unknown(word) => Err(MapResult::Unknown(format!(
            "unknown state {word:?}; add it to status_words"
        ))),
        State::Missing => Err(MapResult::without_state(&first_pointer(mapping, "status"))),
    }
}

fn first_pointer(mapping: &Mapping, field: &str) -> String {
    let places = mapping.places(field);
    let pointer = places.iter().find_map(|place| match place {
        Place::Pointer(pointer) => Some(pointer.clone()),
        Place::Fixed(_) => None,
    });
    pointer.unwrap_or_default()
}

/// Reads the fields of a payload by its mapping.
struct Reader<'a, 'b> {
    mapping: &'b Mapping,
    payload: &'b Payload<'a>,
}

impl<'a> Reader<'a, '_> {
    fn value(&self, field: &str) -> Option<Cow<'a, Value>> {
        let found = self.mapping.find(field, self.payload.json);
        found.map(|(_, value)| value)
    }

    fn text(&self, field: &str) -> Option<String> {
        payload::text(&*self.value(field)?)
    }

    fn numbers(&self, builder: &mut EventBuilder<'_>) {
        builder.size(
            self.value("width").as_deref(),
            self.value("height").as_deref(),
        );
        builder.seed(self.value("seed").as_deref());
        if let Some(steps) = self.value("steps").as_deref().and_then(payload::whole) {
            builder.field("steps", &steps.into());
        }
        self.warn_of_unusable(&["width", "height", "seed", "steps"], builder);
    }

    fn times(&self, builder: &mut EventBuilder<'_>) {
        let time = |field| self.value(field).as_deref().and_then(payload::time);
        builder.times(time("started_at"), time("finished_at"));
        self.warn_of_unusable(&["started_at", "finished_at"], builder);
    }

    /// Warns of fields whose value is invalid. Services whose payloads are documented need no hints.
    fn warn_of_unusable(&self, fields: &[&str], builder: &mut EventBuilder<'_>) {
        for field in fields.iter().filter(|_| !self.mapping.exact) {
            if let Some(place) = self.mapping.unusable(field, self.payload.json) {
                builder.warn(format!(
                    "{field} was left out: invalid value at {}",
                    place.written()
                ));
            }
        }
    }

    fn recipients(&self, builder: &mut EventBuilder<'_>) {
        if let Some(to) = self.value("to") {
            builder.field("to", &to);
        }
        match self.text("locale") {
            Some(locale) if locale.parse::<Locale>().is_ok() => {
                builder.field("locale", &locale.into());
            }
            Some(_) => builder.warn("locale was left out: write \"zh-CN\" or \"en\"".to_owned()),
            None => {}
        }
    }

    /// Adds metadata from all sources: members of an object under their names (in the mapping of a
    /// `generic` hook), other values under the last segment of the pointer.
    fn metadata(&self, builder: &mut EventBuilder<'_>) {
        for (pointer, value) in self.mapping.metadata(self.payload.json) {
            match value {
                Value::Object(fields) if !self.mapping.exact => fields
                    .iter()
                    .for_each(|(name, value)| builder.metadata(name, value.clone())),
                value => builder.metadata(&last_segment(&pointer), value.clone()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::mapping::FIELDS;
    use super::*;
    use crate::domain::{JobStatus, Parsed, Timestamp};
    use reqwest::header::HeaderMap;
    use serde_json::json;

    fn mapping(places: &[(&str, &[&str])]) -> Mapping {
        let name = |field: &str| FIELDS.iter().find(|(name, _)| *name == field).unwrap().0;
        let parse = |places: &[&str]| {
            places
                .iter()
                .map(|place| Place::parse(place).unwrap())
                .collect()
        };
        Mapping {
            places: places
                .iter()
                .map(|(field, places)| (name(field), parse(places)))
                .collect(),
            ..Mapping::default()
        }
    }

    fn mapped(mapping: &Mapping, payload: &Value) -> MapResult {
        let headers = HeaderMap::new();
        map(
            mapping,
            &Payload {
                hook: "mine",
                json: payload,
                headers: &headers,
                unconfirmed: false,
                requires_recipient: false,
                now: Timestamp::from_millis(0),
            },
        )
    }

    fn event(mapping: &Mapping, payload: &Value) -> Parsed {
        match mapped(mapping, payload) {
            MapResult::Events(mut events) => events.remove(0),
            other => panic!("{payload}: {other:?}"),
        }
    }

    /// What one field of the event becomes, as JSON, when the mapping has `places` for it.
    fn field(name: &str, places: &[&str], payload: Value) -> Value {
        let mut payload = payload;
        payload["id"] = "7".into();
        payload["status"] = "failed".into();
        let places = if places.is_empty() {
            Mapping::default()
        } else {
            mapping(&[(name, places)])
        };
        let event = serde_json::to_value(event(&places, &payload).event).unwrap();
        event.get(name).cloned().unwrap_or_default()
    }

    #[test]
    fn mapping_reads_every_field_from_its_pointer() {
        let deep = |value: Value| json!({"a": {"b/c": [null, value]}});
        let at: &[&str] = &["/nosuch", "/a/b~1c/0", "/a/b~1c/1"];
        let table = [
            ("title", json!("T"), json!("T")),
            ("title", json!(7), json!("7")),
            ("prompt", json!("P\nQ"), json!("P\nQ")),
            ("prompt_translated", json!("P"), json!("P")),
            ("negative_prompt", json!("N"), json!("N")),
            ("model", json!("flux"), json!("flux")),
            ("size", json!("640x480"), json!("640x480")),
            ("format", json!("png"), json!("png")),
            (
                "seed",
                json!(18_446_744_073_709_551_615_u64),
                json!(18_446_744_073_709_551_615_u64),
            ),
            ("seed", json!("42"), json!(42)),
            ("steps", json!("30"), json!(30)),
            ("steps", json!(-1), json!(null)),
            (
                "started_at",
                json!(1_772_612_136),
                json!("2026-03-04T08:15:36Z"),
            ),
            (
                "finished_at",
                json!(1_772_612_136_000_i64),
                json!("2026-03-04T08:15:36Z"),
            ),
            (
                "finished_at",
                json!("2026-03-04T16:15:36+08:00"),
                json!("2026-03-04T08:15:36Z"),
            ),
            ("finished_at", json!("soon"), json!(null)),
            (
                "to",
                json!("a@x.org, b@x.org"),
                json!(["a@x.org", "b@x.org"]),
            ),
            ("to", json!(["a@x.org"]), json!(["a@x.org"])),
            (
                "url",
                json!("https://ci.example.com/1"),
                json!("https://ci.example.com/1"),
            ),
            ("url", json!("javascript:1"), json!(null)),
            ("locale", json!("en"), json!("en")),
            ("locale", json!("fr"), json!(null)),
            (
                "images",
                json!("https://e.com/1.png"),
                json!([{"url": "https://e.com/1.png"}]),
            ),
            (
                "images",
                json!(["https://e.com/1.png", "https://e.com/2.png"]),
                json!([{"url": "https://e.com/1.png"}, {"url": "https://e.com/2.png"}]),
            ),
            (
                "images",
                json!([{"url": "https://e.com/1.png", "width": 8, "height": 9}]),
                json!([{"url": "https://e.com/1.png", "width": 8, "height": 9}]),
            ),
            (
                "images",
                json!([{"src": "https://e.com/1.png"}]),
                json!([{"url": "https://e.com/1.png"}]),
            ),
            (
                "metadata",
                json!({"user": "u1", "n": [1]}),
                json!({"user": "u1", "n": [1]}),
            ),
            ("metadata", json!("u1"), json!({"1": "u1"})),
        ];
        for (name, value, wanted) in table {
            assert_eq!(
                field(name, at, deep(value.clone())),
                wanted,
                "{name} from {value}"
            );
        }
    }

    #[test]
    fn unmapped_fields_default_to_their_own_name_except_recipients() {
        for name in TEXTS.iter().filter(|name| **name != "size") {
            assert_eq!(field(name, &[], json!({*name: "x"})), json!("x"), "{name}");
        }
        assert_eq!(field("to", &[], json!({"to": "a@x.org"})), json!(null));
        assert_eq!(
            field("size", &[], json!({"width": "640", "height": 480})),
            json!("640x480")
        );
        assert_eq!(
            field("error", &[], json!({"error": {"code": 5, "message": "m"}})),
            json!({"code": "5", "message": "m"})
        );
        assert_eq!(
            field("error", &[], json!({"error": "m"})),
            json!({"message": "m"})
        );
        assert_eq!(
            field(
                "error",
                &[],
                json!({"error": {"type": "Oom", "detail": [{"msg": "a"}, "b"]}})
            ),
            json!({"code": "Oom", "message": "a; b"})
        );
        assert_eq!(
            field("images", &[], json!({"image_url": "https://e.com/1.png"})),
            json!([{"url": "https://e.com/1.png"}])
        );
        // A fixed text of nothing switches a field off.
        let off = mapping(&[("prompt", &["="])]);
        assert_eq!(
            event(&off, &json!({"id": 1, "status": "ok", "prompt": "secret"}))
                .event
                .prompt,
            None
        );
    }

    #[test]
    fn fixed_text_is_a_fallback_for_missing_values() {
        assert_eq!(
            field("title", &["/name", "=Nightly build"], json!({"name": ""})),
            json!("Nightly build")
        );
        assert_eq!(
            field("title", &["/name", "=Nightly build"], json!({"name": "N"})),
            json!("N")
        );
        assert_eq!(
            field("to", &["=a@x.org,b@x.org"], json!({})),
            json!(["a@x.org", "b@x.org"])
        );
    }

    #[test]
    fn one_end_of_one_job_has_one_name() {
        let parsed = event(
            &mapping(&[("id", &["/run/id"]), ("status", &["/run/ok"])]),
            &json!({"run": {"id": 17, "ok": true}}),
        );
        assert_eq!(
            (
                parsed.event.id.as_str(),
                parsed.event.job_id.as_deref(),
                parsed.id_given
            ),
            ("hook:mine:succeeded:17", Some("17"), true)
        );
        let parsed = event(
            &Mapping::default(),
            &json!({"job_id": "绘 7", "state": "cancelled"}),
        );
        assert_eq!(
            (
                parsed.event.status,
                parsed.event.error.unwrap().code.as_deref()
            ),
            (JobStatus::Failed, Some("canceled"))
        );
    }

    #[test]
    fn invalid_payloads_name_the_pointer_and_unknown_states_are_kept() {
        let wrong = |payload: Value| match mapped(&mapping(&[("to", &["/to"])]), &payload) {
            MapResult::Unmappable(errors) => errors
                .into_iter()
                .map(|error| error.pointer)
                .collect::<Vec<_>>(),
            other => panic!("{payload}: {other:?}"),
        };
        assert_eq!(wrong(json!({"id": 1})), ["#/status"]);
        assert_eq!(wrong(json!({"status": "done"})), ["#/id"]);
        assert_eq!(wrong(json!([])), ["#/status"]);
        assert_eq!(
            wrong(json!({"id": 1, "status": "done", "to": "nobody"})),
            ["#/to"]
        );
        assert!(
            matches!(mapped(&Mapping::default(), &json!({"status": "odd", "id": 1})), MapResult::Unknown(why) if why.contains("odd"))
        );
        assert!(matches!(
            mapped(&Mapping::default(), &json!({"status": "queued"})),
            MapResult::Ignored(_)
        ));
    }
}
