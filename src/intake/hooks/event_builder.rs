//! Builds an event from a payload. Texts are truncated to their limits; optional values that are
//! invalid are left out with a warning.

use serde_json::{Value, json};

use super::{JobEnd, MapResult, Payload, error_info, ids, payload};
use crate::domain::event::{
    JobDraft, JsonPath, MAX_DEPTH, MAX_FORMAT, MAX_MODEL, MAX_PROMPT_BYTES, MAX_TITLE, is_deep,
};
use crate::domain::{JobStatus, Link, Size, Timestamp};

/// Maximum size of all metadata as JSON, in bytes. One entry may use an eighth of it.
const MAX_NOTES: usize = 16_384;

/// A job event under construction.
#[derive(Debug)]
#[must_use = "call `finish`"]
pub struct EventBuilder<'a> {
    pub(super) payload: Payload<'a>,
    pub(super) job: JobDraft,
    code: Option<String>,
    message: Option<String>,
    pub(super) files: usize,
    notes: usize,
    cautious: bool,
}

impl<'a> EventBuilder<'a> {
    /// An empty event for this payload.
    pub fn of(payload: &Payload<'a>) -> Self {
        let mut job = JobDraft::default();
        job.requires_recipient = payload.requires_recipient;
        Self {
            payload: *payload,
            job,
            code: None,
            message: None,
            files: 0,
            notes: 0,
            cautious: false,
        }
    }

    /// Sets a text field, truncated to the field's limit.
    pub fn text(&mut self, field: &str, text: &str) {
        if field == "size" && Size::parse(text).is_err() {
            return self.metadata("size", text.into());
        }
        let most = match field {
            // A character takes up to four bytes.
            "prompt" | "prompt_translated" | "negative_prompt" => MAX_PROMPT_BYTES / 4,
            "title" => MAX_TITLE,
            "model" => MAX_MODEL,
            "format" => MAX_FORMAT,
            _ => 200,
        };
        let cut = cut(text, most);
        if cut.len() < text.len() {
            self.warn(format!("{field} was truncated to {most} characters"));
        }
        self.job.field(field, &Value::String(cut));
    }

    /// Sets a text field from the first of these JSON pointers that holds a text or a number.
    pub fn text_at(mut self, field: &str, places: &[&str]) -> Self {
        if let Some(text) = self.payload.text(places) {
            self.text(field, &text);
        }
        self
    }

    /// Sets a field by the rules of `POST /v1/events`: an invalid value rejects the payload.
    pub fn field(&mut self, field: &str, value: &Value) {
        self.job.field(field, value);
    }

    /// Copies fields that have the same name in our events, by the rules of `POST /v1/events`: an
    /// invalid value rejects the payload.
    pub fn copy(mut self, fields: &[&str]) -> Self {
        for field in fields {
            if let Some(value) = self.payload.json.get(field) {
                self.job.field(field, value);
            }
        }
        self
    }

    /// Copies a field that has another name in the payload.
    pub fn copy_as(mut self, field: &str, name: &str) -> Self {
        if let Some(value) = self.payload.json.get(name) {
            self.job.field_as(field, name, value);
        }
        self
    }

    /// Sets the start and end time from JSON pointers. Unreadable times are ignored.
    pub fn times_at(mut self, started: &[&str], finished: &[&str]) -> Self {
        let (started, finished) = (self.payload.time(started), self.payload.time(finished));
        self.times(started, finished);
        self
    }

    /// Sets the start and end time.
    pub fn times(&mut self, started: Option<Timestamp>, finished: Option<Timestamp>) {
        let event = &mut self.job.event;
        (event.started_at, event.finished_at) =
            (started.or(event.started_at), finished.or(event.finished_at));
    }

    /// Sets width and height in pixels from JSON pointers.
    pub fn size_at(mut self, width: &[&str], height: &[&str]) -> Self {
        self.size(self.payload.first(width), self.payload.first(height));
        self
    }

    /// Sets width and height in pixels.
    pub fn size(&mut self, width: Option<&Value>, height: Option<&Value>) {
        let side = |value: Option<&Value>| {
            value
                .and_then(payload::whole)
                .and_then(|side| u32::try_from(side).ok())
        };
        if let (Some(width), Some(height)) = (side(width), side(height)) {
            self.job.event.size = Size::new(width, height).ok().or(self.job.event.size);
        }
    }

    /// Sets the seed from JSON pointers, if it is an integer.
    pub fn seed_at(mut self, places: &[&str]) -> Self {
        self.seed(self.payload.first(places));
        self
    }

    /// Sets the seed, if it is an integer.
    pub fn seed(&mut self, seed: Option<&Value>) {
        self.job.event.seed = seed.and_then(payload::seed);
    }

    /// Sets the error code and the error message from the first JSON pointers that hold one. The
    /// message may have any shape that `error_info` reads.
    pub fn error_at(mut self, code: &[&str], message: &[&str]) -> Self {
        let code = self.payload.text(code);
        let (inner, message) = message
            .iter()
            .find_map(|place| error_info::read(self.payload.json.pointer(place)?))
            .unwrap_or_default();
        self.error(code.or(inner), message);
        self
    }

    /// Attaches an error to a success: some results are missing or could not be sent.
    pub fn caveat(&mut self, code: Option<String>, message: Option<String>) {
        self.error(code, message);
        self.cautious = true;
    }

    /// Sets the job's page from JSON pointers.
    pub fn page_at(mut self, places: &[&str]) -> Self {
        if let Some(address) = self.payload.text(places) {
            self.page(&address);
        }
        self
    }

    /// Sets the job's page. A URL that an email must not link is ignored.
    pub fn page(&mut self, address: &str) {
        self.job.event.url = Link::parse(address).ok().or(self.job.event.url.take());
    }

    /// Sets the error code and message, unless they are set already.
    pub fn error(&mut self, code: Option<String>, message: Option<String>) {
        let bounded = |text: Option<String>, most| {
            text.map(|text| cut(text.trim(), most))
                .filter(|text| !text.is_empty())
        };
        self.code = self.code.take().or(bounded(code, 200));
        self.message = self.message.take().or(bounded(message, 5_000));
    }

    /// Adds an entry to the metadata, unless it is too large or nested too deeply.
    pub fn metadata(&mut self, name: &str, value: Value) {
        if is_deep(&value, MAX_DEPTH) {
            let name: String = name.chars().take(64).collect();
            return self.warn(format!("metadata {name} was left out: nested too deeply"));
        }
        let size = name.len() + serde_json::to_vec(&value).map_or(MAX_NOTES, |text| text.len()) + 4;
        if size > MAX_NOTES / 8 || self.notes + size > MAX_NOTES {
            let name: String = name.chars().take(64).collect();
            return self.warn(format!("metadata {name} was left out: too large"));
        }
        self.notes += size;
        self.job.event.metadata.insert(name.to_owned(), value);
    }

    /// Adds metadata from JSON pointers, each under a name.
    pub fn metadata_at(mut self, places: &[(&str, &str)]) -> Self {
        for (name, place) in places {
            if let Some(value) = self.payload.first(&[place]) {
                self.metadata(name, value.clone());
            }
        }
        self
    }

    /// Hides images and prompt in the email.
    pub fn sensitive(&mut self, sensitive: bool) {
        self.job.event.sensitive |= sensitive;
    }

    /// Adds a warning, once.
    pub fn warn(&mut self, detail: String) {
        let known = self
            .job
            .reader
            .warnings
            .iter()
            .any(|warning| warning.detail == detail);
        if !known {
            self.job.reader.warn(JsonPath::Root, |_| detail);
        }
    }

    /// Number of images found so far, including embedded files.
    pub fn image_count(&self) -> usize {
        self.job.event.images.len() + self.files
    }

    /// Finishes the event of the job that the service calls `job`.
    pub fn finish(self, job: Option<String>, end: JobEnd) -> MapResult {
        let name = end.as_str();
        self.finish_as(job, end, name)
    }

    /// Finishes an event whose job can have several results, told apart by `name`.
    ///
    /// The event's id is `hook:<hook>:<name>:<job>`, so that a repeated delivery is a duplicate.
    pub fn finish_as(mut self, job: Option<String>, end: JobEnd, name: &str) -> MapResult {
        let Some(job) = job.filter(|job| !job.trim().is_empty()) else {
            return MapResult::invalid(
                "",
                "has no job id, so a repeated delivery could not be detected",
            );
        };
        self.job.id = ids::of_end(self.payload.hook, &job, name);
        let plain: String = job.chars().filter(|c| !c.is_control()).collect();
        self.job.event.job_id = Some(cut(&plain, 200));
        if self.files > 0 {
            self.warn(format!(
                "{} embedded files were left out; emails only link images",
                self.files
            ));
        }
        self.job.status = Some(if end == JobEnd::Succeeded {
            JobStatus::Succeeded
        } else {
            JobStatus::Failed
        });
        if end == JobEnd::Canceled {
            self.error(
                Some("canceled".to_owned()),
                Some("the job was canceled".to_owned()),
            );
        }
        if (end != JobEnd::Succeeded || self.cautious)
            && (self.code.is_some() || self.message.is_some())
        {
            let (code, message) = (self.code.take(), self.message.take());
            self.job
                .field("error", &json!({ "code": code, "message": message }));
        }
        match self.job.finish(self.payload.now) {
            Ok(parsed) => MapResult::Events(vec![parsed]),
            Err(errors) => MapResult::Unmappable(errors),
        }
    }
}

/// Truncates a text to `most` characters.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned(),
        None => text.to_owned(),
    }
}
