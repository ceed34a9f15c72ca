//! Parses a producer's JSON into a [`JobEvent`].

use serde_json::Value;

use super::fields::{Budget, FieldReader, MAX_FIELDS};
use super::parts::{
    MAX_SIDE, read_error, read_id, read_images, read_job_id, read_metadata, read_seed, read_size,
    read_status,
};
use super::pointer::JsonPath;
use super::text::TextRule;
use super::{EventId, FieldError, Image, JobError, JobEvent, JobStatus, Link, Parsed, Size};
use super::{MAX_FORMAT, MAX_MODEL, MAX_PROMPT_BYTES, MAX_TITLE};
use crate::domain::Timestamp;

const PROMPT: TextRule = TextRule::lines(MAX_PROMPT_BYTES);
const TITLE: TextRule = TextRule::line(MAX_TITLE);
const MODEL: TextRule = TextRule::line(MAX_MODEL);
const FORMAT: TextRule = TextRule::line(MAX_FORMAT);
const HOST: TextRule = TextRule::line(255);
const COMMAND: TextRule = TextRule::line(1_000);

impl JobEvent {
    /// Parses an event of `POST /v1/events`, including its short forms.
    ///
    /// `null` and empty texts count as absent. Limits: title 500 characters, prompts 200,000 bytes,
    /// model 300, format 32, job ID 200, error code 200, error message 20,000 bytes, local path
    /// 2,000, at most 50 recipients, 1,000 images, 16 KiB of metadata, 10,000 fields. Control
    /// characters are removed from texts and rejected in names. Links that are not allowed in mails
    /// are left out with a warning.
    ///
    /// # Errors
    /// All invalid fields at once (at most 100).
    pub fn parse(value: &Value, now: Timestamp) -> Result<Parsed, Vec<FieldError>> {
        Self::parse_within(value, now, &mut Budget::default(), false)
    }

    /// Parses one of several events that share a budget. `requires_recipient` makes an absent or
    /// empty `to` an error.
    ///
    /// # Errors
    /// As [`JobEvent::parse`].
    pub(crate) fn parse_within(
        value: &Value,
        now: Timestamp,
        budget: &mut Budget,
        requires_recipient: bool,
    ) -> Result<Parsed, Vec<FieldError>> {
        let mut draft = JobDraft {
            reader: FieldReader::within(*budget),
            requires_recipient,
            ..JobDraft::default()
        };
        let Value::Object(fields) = value else {
            draft.reader.error(JsonPath::Root, "must be a JSON object");
            return Err(draft.reader.errors);
        };
        if fields.len() > MAX_FIELDS {
            draft.reader.error(
                JsonPath::Root,
                format!("has {} fields; at most {MAX_FIELDS}", fields.len()),
            );
            return Err(draft.reader.errors);
        }
        for (name, value) in fields {
            if !draft.field(name, value) {
                draft.reader.unknown(JsonPath::Root, name, JobDraft::FIELDS);
            }
        }
        *budget = draft.reader.remaining_budget();
        draft.finish(now)
    }
}

/// A job event under construction. Sources with another format set its fields one by one.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts of one payload"
)]
pub(crate) struct JobDraft {
    /// Errors and warnings so far.
    pub(crate) reader: FieldReader,
    /// The event so far. ID and status are set at the end.
    pub(crate) event: JobEvent,
    /// The event's ID, if given.
    pub(crate) id: Option<EventId>,
    /// The status, if given and valid.
    pub(crate) status: Option<JobStatus>,
    /// Whether a status was given.
    pub(crate) status_given: bool,
    /// Whether the job was canceled.
    canceled: bool,
    /// `width` of the short form.
    pub(crate) width: Option<u32>,
    /// `height` of the short form.
    pub(crate) height: Option<u32>,
    image_url: Option<Link>,
    /// Whether an absent or empty `to` is an error.
    pub(crate) requires_recipient: bool,
    to_is_invalid: bool,
}

impl Default for JobDraft {
    fn default() -> Self {
        let event = JobEvent::new(EventId(String::new()), JobStatus::Succeeded);
        Self {
            reader: FieldReader::default(),
            event,
            id: None,
            status: None,
            status_given: false,
            canceled: false,
            width: None,
            height: None,
            image_url: None,
            requires_recipient: false,
            to_is_invalid: false,
        }
    }
}

impl JobDraft {
    /// The fields that [`JobDraft::field`] accepts.
    pub(crate) const FIELDS: &[&str] = &[
        "id",
        "status",
        "job_id",
        "title",
        "prompt",
        "prompt_translated",
        "negative_prompt",
        "model",
        "size",
        "width",
        "height",
        "format",
        "seed",
        "steps",
        "images",
        "image_url",
        "url",
        "error",
        "host",
        "command",
        "started_at",
        "finished_at",
        "to",
        "locale",
        "sensitive",
        "metadata",
    ];

    /// Sets a field; returns whether its name is known. `null` counts as absent.
    pub(crate) fn field(&mut self, name: &str, value: &Value) -> bool {
        self.field_as(name, name, value)
    }

    /// Sets a field that is named `sent` in the payload.
    pub(crate) fn field_as(&mut self, name: &str, sent: &str, value: &Value) -> bool {
        if value.is_null() {
            return Self::FIELDS.contains(&name);
        }
        let (root, read, event) = (JsonPath::Root, &mut self.reader, &mut self.event);
        let at = JsonPath::Field(&root, sent);
        match name {
            "id" => self.id = read_id(read, at, value),
            "status" => {
                let read = read_status(read, at, value);
                (self.status_given, self.status) = (true, read.map(|(status, _)| status));
                self.canceled = read.is_some_and(|(_, canceled)| canceled);
            }
            "job_id" => event.job_id = read_job_id(read, at, value),
            "title" => event.title = read.text(at, value, TITLE),
            "prompt" => event.prompt = read.text(at, value, PROMPT),
            "prompt_translated" => event.prompt_translated = read.text(at, value, PROMPT),
            "negative_prompt" => event.negative_prompt = read.text(at, value, PROMPT),
            "model" => event.model = read.text(at, value, MODEL),
            "size" => event.size = read_size(read, at, value),
            "width" => self.width = read.integer(at, value, 1, MAX_SIDE),
            "height" => self.height = read.integer(at, value, 1, MAX_SIDE),
            "format" => event.format = read.text(at, value, FORMAT),
            "seed" => event.seed = read_seed(read, at, value),
            "steps" => event.steps = read.integer(at, value, 0, 1_000_000),
            "images" => event.images = read_images(read, at, value),
            "image_url" => self.image_url = read.link(at, value),
            "url" => event.url = read.link(at, value),
            "error" => event.error = read_error(read, at, value),
            "host" => event.host = read.text(at, value, HOST),
            "command" => event.command = read.text(at, value, COMMAND),
            "started_at" => event.started_at = read.time(at, value),
            "finished_at" => event.finished_at = read.time(at, value),
            "to" => {
                let errors = read.errors.len();
                event.to = read.recipients(at, value);
                self.to_is_invalid = read.errors.len() > errors;
            }
            "locale" => event.locale = read.locale(at, value),
            "sensitive" => event.sensitive = read.bool(at, value),
            "metadata" => read_metadata(read, at, value, event),
            _ => return false,
        }
        true
    }

    /// Resolves the short forms and finishes the event.
    ///
    /// # Errors
    /// All invalid fields.
    pub(crate) fn finish(mut self, now: Timestamp) -> Result<Parsed, Vec<FieldError>> {
        if self.status.is_none() && !self.status_given {
            self.reader.error(
                JsonPath::Field(&JsonPath::Root, "status"),
                "is required; write \"succeeded\" or \"failed\"",
            );
        }
        if self.requires_recipient && self.event.to.is_empty() && !self.to_is_invalid {
            self.reader.error(
                JsonPath::Field(&JsonPath::Root, "to"),
                "is required: no default recipient is configured (smtp.to)",
            );
        }
        self.short_size();
        if self.canceled && self.event.error.is_none() {
            self.event.error = Some(JobError {
                code: Some("canceled".to_owned()),
                message: Some("the job was canceled".to_owned()),
            });
        }
        if let Some(url) = self.image_url.take()
            && !self
                .event
                .images
                .iter()
                .any(|image| image.url.as_ref() == Some(&url))
        {
            self.event.images.insert(
                0,
                Image {
                    url: Some(url),
                    ..Image::default()
                },
            );
        }
        let (Some(status), true) = (self.status, self.reader.errors.is_empty()) else {
            return Err(self.reader.errors);
        };
        let id_given = self.id.is_some();
        self.event.id_generated = !id_given;
        self.event.id = self.id.unwrap_or_else(|| EventId::generate(now));
        self.event.status = status;
        Ok(Parsed {
            event: self.event,
            id_given,
            warnings: self.reader.warnings,
        })
    }

    /// Resolves `width` and `height`, a short form of `size`, which takes precedence.
    fn short_size(&mut self) {
        match (self.event.size, self.width, self.height) {
            (None, Some(width), Some(height)) => self.event.size = Size::new(width, height).ok(),
            (None, Some(_), None) => self
                .reader
                .warn(JsonPath::Field(&JsonPath::Root, "width"), |_| {
                    "width without height was left out".to_owned()
                }),
            (None, None, Some(_)) => self
                .reader
                .warn(JsonPath::Field(&JsonPath::Root, "height"), |_| {
                    "height without width was left out".to_owned()
                }),
            _ => {}
        }
    }
}
