//! Image records of the Huiying studio (绘影).
//!
//! `original_prompt` is the prompt, `english_prompt` its translation, `r2_url` (or else
//! `image_url`, or else `local_path`) the image, `created_at` the end. A record without `status` is
//! a success, unless it has an `error`. The record's `id` becomes the name of the job; together
//! with the state it makes the event's id, so that repeated records are duplicates.

use serde_json::Value;

use super::super::{MapResult, Payload, ids};
use crate::domain::event::{JobDraft, JsonPath, moment, read_local_path};
use crate::domain::{FieldError, Image, JobStatus, Link, Parsed, Timestamp};

/// Fields of records, in the order in which they are suggested.
const FIELDS: &[&str] = &[
    "original_prompt",
    "english_prompt",
    "r2_url",
    "image_url",
    "local_path",
    "file_size",
    "created_at",
];
/// Maximum length of a record's id, in characters.
const MAX_ID: usize = 182;

/// Maps a record.
pub fn map(payload: &Payload<'_>) -> MapResult {
    parse(payload).map_or_else(MapResult::Unmappable, |parsed| {
        MapResult::Events(vec![parsed])
    })
}

/// Parses a record. Fields of our own events (`to`, `locale`, `model`, `size`, …) are accepted as
/// well.
///
/// # Errors
/// Every invalid field, at once. An invalid time is not an error: it is left out with a warning.
fn parse(payload: &Payload<'_>) -> Result<Parsed, Vec<FieldError>> {
    let mut record = Record::default();
    record.builder.requires_recipient = payload.requires_recipient;
    let Value::Object(fields) = payload.json else {
        record
            .builder
            .reader
            .error(JsonPath::Root, "must be a JSON object");
        return Err(record.builder.reader.errors);
    };
    for (name, value) in fields {
        record.field(name, value);
    }
    record.finish(payload.hook, payload.now)
}

#[derive(Default)]
struct Record {
    builder: JobDraft,
    id: Option<String>,
    r2_url: Option<Link>,
    image_url: Option<Link>,
    image: Image,
}

impl Record {
    fn field(&mut self, name: &str, value: &Value) {
        let (root, read) = (JsonPath::Root, &mut self.builder.reader);
        let at = JsonPath::Field(&root, name);
        match name {
            _ if value.is_null() && FIELDS.contains(&name) => {}
            "original_prompt" => _ = self.builder.field_as("prompt", name, value),
            "english_prompt" => _ = self.builder.field_as("prompt_translated", name, value),
            "r2_url" => self.r2_url = read.link(at, value),
            "image_url" => self.image_url = read.link(at, value),
            "local_path" => self.image.local_path = read_local_path(read, at, value),
            "file_size" => self.image.file_size = read.integer(at, value, 0, i128::from(i64::MAX)),
            "created_at" => match moment(value) {
                Some(time) => self.builder.event.finished_at = Some(time),
                None => read.warn(at, |pointer| {
                    format!("{pointer} was left out: not an RFC 3339 time with a zone")
                }),
            },
            "id" => self.id = self.read_id(at, value),
            _ => {
                if !self.builder.field(name, value) {
                    self.builder
                        .reader
                        .unknown(root, name, &[FIELDS, JobDraft::FIELDS].concat());
                }
            }
        }
    }

    /// Reads the record's id: a number or a text.
    fn read_id(&mut self, at: JsonPath<'_>, value: &Value) -> Option<String> {
        match value {
            Value::Null => None,
            Value::Number(number) => Some(number.to_string()),
            Value::String(text) if !text.is_empty() && text.len() <= MAX_ID => Some(text.clone()),
            _ => {
                self.builder
                    .reader
                    .error(at, "must be a number or a text of 1 to 182 characters");
                None
            }
        }
    }

    fn finish(mut self, hook: &str, now: Timestamp) -> Result<Parsed, Vec<FieldError>> {
        if !self.builder.status_given {
            self.builder.status = Some(if self.builder.event.error.is_some() {
                JobStatus::Failed
            } else {
                JobStatus::Succeeded
            });
        }
        if let (Some(id), Some(status)) = (&self.id, self.builder.status) {
            self.builder.id = ids::of_end(hook, id, status.as_str());
            self.builder.event.job_id.get_or_insert_with(|| id.clone());
        }
        self.image.url = self.r2_url.or(self.image_url);
        (self.image.width, self.image.height) = (self.builder.width, self.builder.height);
        if self.image.url.is_some() || self.image.local_path.is_some() {
            self.builder.event.images.insert(0, self.image);
        }
        self.builder.finish(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderMap;
    use serde_json::json;

    fn result(value: &Value) -> Result<Parsed, Vec<FieldError>> {
        parse(&Payload {
            hook: "huiying",
            json: value,
            headers: &HeaderMap::new(),
            unconfirmed: false,
            requires_recipient: false,
            now: Timestamp::from_millis(1_767_225_600_000),
        })
    }

    fn parsed(value: &Value) -> Parsed {
        result(value).unwrap()
    }

    #[test]
    fn record_maps_to_an_event() {
        let parsed = parsed(&json!({
            "id": 17, "original_prompt": "一只可爱的小猫", "english_prompt": "A cute little kitten", "model": "flux",
            "image_url": "https://e.com/a.png", "local_path": "/static/images/a.png", "r2_url": "https://r2.e.com/a.png",
            "file_size": 245_760, "width": 1024, "height": 768, "format": "png", "created_at": "2026-01-01T00:00:00+00:00", "to": "a@x.org", "locale": "en"
        }));
        let event = &parsed.event;
        assert_eq!(
            (event.id.as_str(), event.job_id.as_deref(), parsed.id_given),
            ("hook:huiying:succeeded:17", Some("17"), true)
        );
        assert_eq!(
            (event.prompt.as_deref(), event.prompt_translated.as_deref()),
            (Some("一只可爱的小猫"), Some("A cute little kitten"))
        );
        assert_eq!(
            event.size.map(|size| size.to_string()).as_deref(),
            Some("1024x768")
        );
        assert_eq!(
            (
                event.format.as_deref(),
                event.model.as_deref(),
                event.status
            ),
            (Some("png"), Some("flux"), JobStatus::Succeeded)
        );
        assert_eq!(
            event.finished_at.map(Timestamp::as_millis),
            Some(1_767_225_600_000)
        );
        let [image] = event.images.as_slice() else {
            panic!("{:?}", event.images)
        };
        assert_eq!(
            image.url.as_ref().map(Link::as_str),
            Some("https://r2.e.com/a.png")
        );
        assert_eq!(
            (
                image.local_path.as_deref(),
                image.width,
                image.height,
                image.file_size
            ),
            (
                Some("/static/images/a.png"),
                Some(1024),
                Some(768),
                Some(245_760)
            )
        );
        assert_eq!(
            (event.to.len(), event.locale, parsed.warnings.len()),
            (1, Some(crate::domain::Locale::En), 0)
        );
    }

    #[test]
    fn error_turns_a_record_into_a_failure_with_another_id() {
        let parsed =
            parsed(&json!({"id": "绘 7", "error": "NSFW", "r2_url": null, "image_url": ""}));
        assert_eq!(parsed.event.status, JobStatus::Failed);
        assert_eq!(
            parsed.event.id.as_str(),
            "hook:huiying:failed:%E7%BB%98%207"
        );
        assert_eq!(parsed.event.job_id.as_deref(), Some("绘 7"));
        assert!(parsed.event.images.is_empty());
    }

    #[test]
    fn the_link_falls_back_from_r2_to_the_image_to_the_local_path() {
        let url = |value: &Value| {
            parsed(value)
                .event
                .images
                .first()
                .and_then(|image| image.url.clone())
                .map(|link| link.as_str().to_owned())
        };
        assert_eq!(
            url(&json!({"r2_url": "javascript:x", "image_url": "https://e.com/a"})).as_deref(),
            Some("https://e.com/a")
        );
        assert_eq!(url(&json!({"local_path": "/a.png"})), None);
        assert_eq!(
            parsed(&json!({"local_path": "/a.png"})).event.images.len(),
            1
        );
    }

    #[test]
    fn errors_name_the_fields_of_the_record() {
        let parsed = parsed(&json!({"created_at": "2026-01-01 12:00:00", "orignal_prompt": "x"}));
        assert_eq!((parsed.event.finished_at, parsed.id_given), (None, false));
        assert_eq!(parsed.warnings.len(), 2);
        assert!(
            parsed.warnings[1]
                .detail
                .ends_with("did you mean \"original_prompt\"?")
        );
        let errors =
            result(&json!({"original_prompt": 5, "id": [], "width": "wide", "status": "x"}))
                .unwrap_err();
        let pointers: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            ["#/id", "#/original_prompt", "#/status", "#/width"]
        );
        assert_eq!(result(&json!([])).unwrap_err()[0].pointer, "#");
    }
}
