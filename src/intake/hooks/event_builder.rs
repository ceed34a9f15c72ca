//! The end of a job as it is put together from a payload: every text cut to its bounds, nothing
//! refused that a mail can do without.

use serde_json::{Value, json};

use super::{JobEnd, MapResult, Payload, error_info, ids, payload};
use crate::domain::event::{JobDraft, JsonPath, MAX_DEPTH, is_deep};
use crate::domain::{JobStatus, Link, Size, Timestamp};

/// The most bytes of notes, written as JSON; one note is at most an eighth of it.
const MAX_NOTES: usize = 16_384;

/// A job's end while it is put together.
#[derive(Debug)]
#[must_use = "it says nothing before it is ended"]
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
    /// Nothing yet but what was posted.
    pub fn of(payload: &Payload<'a>) -> Self {
        Self {
            payload: *payload,
            job: JobDraft::default(),
            code: None,
            message: None,
            files: 0,
            notes: 0,
            cautious: false,
        }
    }

    /// Puts a text into a field of the event, cut to the field's bound.
    pub fn text(&mut self, field: &str, text: &str) {
        if field == "size" && Size::parse(text).is_err() {
            return self.metadata("size", text.into());
        }
        let most = match field {
            "prompt" | "prompt_translated" | "negative_prompt" => 50_000,
            "title" => 500,
            "model" => 300,
            "format" => 32,
            _ => 200,
        };
        let cut = cut(text, most);
        if cut.len() < text.len() {
            self.warn(format!("{field} was cut to {most} characters"));
        }
        self.job.field(field, &Value::String(cut));
    }

    /// Puts the first text or number of these places into a field.
    pub fn text_at(mut self, field: &str, places: &[&str]) -> Self {
        if let Some(text) = self.payload.text(places) {
            self.text(field, &text);
        }
        self
    }

    /// Puts a value into a field by the rules of `POST /v1/events`: what is wrong with it refuses
    /// the payload.
    pub fn field(&mut self, field: &str, value: &Value) {
        self.job.field(field, value);
    }

    /// Takes fields that the payload has as our events have them, by the rules of `POST
    /// /v1/events`: what is wrong with one refuses the payload.
    pub fn copy(mut self, fields: &[&str]) -> Self {
        for field in fields {
            if let Some(value) = self.payload.json.get(field) {
                self.job.field(field, value);
            }
        }
        self
    }

    /// The same of one field that stands under another name there.
    pub fn copy_as(mut self, field: &str, name: &str) -> Self {
        if let Some(value) = self.payload.json.get(name) {
            self.job.field_as(field, name, value);
        }
        self
    }

    /// When the job began and ended; a time that cannot be read is left out.
    pub fn times_at(mut self, started: &[&str], finished: &[&str]) -> Self {
        let (started, finished) = (self.payload.time(started), self.payload.time(finished));
        self.times(started, finished);
        self
    }

    /// The same from times that are known already.
    pub fn times(&mut self, started: Option<Timestamp>, finished: Option<Timestamp>) {
        let event = &mut self.job.event;
        (event.started_at, event.finished_at) =
            (started.or(event.started_at), finished.or(event.finished_at));
    }

    /// Width and height in pixels.
    pub fn size_at(mut self, width: &[&str], height: &[&str]) -> Self {
        self.size(self.payload.first(width), self.payload.first(height));
        self
    }

    /// The same from values that were found already.
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

    /// The seed, when it is a whole number.
    pub fn seed_at(mut self, places: &[&str]) -> Self {
        self.seed(self.payload.first(places));
        self
    }

    /// The same from a value that was found already.
    pub fn seed(&mut self, seed: Option<&Value>) {
        self.job.event.seed = seed.and_then(payload::seed);
    }

    /// The first code of these places, and the first of the others at which something says what
    /// went wrong, whatever its shape.
    pub fn error_at(mut self, code: &[&str], message: &[&str]) -> Self {
        let code = self.payload.text(code);
        let (inner, message) = message
            .iter()
            .find_map(|place| error_info::read(self.payload.json.pointer(place)?))
            .unwrap_or_default();
        self.error(code.or(inner), message);
        self
    }

    /// Says of a success what its reader should know all the same: that parts are missing, or that
    /// the result could not be sent.
    pub fn caveat(&mut self, code: Option<String>, message: Option<String>) {
        self.error(code, message);
        self.cautious = true;
    }

    /// The job's own page.
    pub fn page_at(mut self, places: &[&str]) -> Self {
        if let Some(address) = self.payload.text(places) {
            self.page(&address);
        }
        self
    }

    /// The same from an address that was found already; one that a mail may not link is left out.
    pub fn page(&mut self, address: &str) {
        self.job.event.url = Link::parse(address).ok().or(self.job.event.url.take());
    }

    /// The number of steps, when it can be one.
    pub fn steps_at(mut self, places: &[&str]) -> Self {
        let steps = self
            .payload
            .whole(places)
            .filter(|steps| (0..=1_000_000).contains(steps));
        self.job.event.steps = steps.and_then(|steps| u32::try_from(steps).ok());
        self
    }

    /// The same from texts that are known already; what was said before stays.
    pub fn error(&mut self, code: Option<String>, message: Option<String>) {
        let bounded = |text: Option<String>, most| {
            text.map(|text| cut(text.trim(), most))
                .filter(|text| !text.is_empty())
        };
        self.code = self.code.take().or(bounded(code, 200));
        self.message = self.message.take().or(bounded(message, 5_000));
    }

    /// A note that is kept with the event; it is left out when there is no room for it.
    pub fn metadata(&mut self, name: &str, value: Value) {
        if is_deep(&value, MAX_DEPTH) {
            let name: String = name.chars().take(64).collect();
            return self.warn(format!(
                "{name} was left out of the notes: it is nested too deeply"
            ));
        }
        let size = name.len() + serde_json::to_vec(&value).map_or(MAX_NOTES, |text| text.len()) + 4;
        if size > MAX_NOTES / 8 || self.notes + size > MAX_NOTES {
            let name: String = name.chars().take(64).collect();
            return self.warn(format!("{name} was left out of the notes: it is too large"));
        }
        self.notes += size;
        self.job.event.metadata.insert(name.to_owned(), value);
    }

    /// Notes from these places, each under a name.
    pub fn metadata_at(mut self, places: &[(&str, &str)]) -> Self {
        for (name, place) in places {
            if let Some(value) = self.payload.first(&[place]) {
                self.metadata(name, value.clone());
            }
        }
        self
    }

    /// Says that nobody should see picture and prompt at a glance.
    pub fn sensitive(&mut self, sensitive: bool) {
        self.job.event.sensitive |= sensitive;
    }

    /// Notes what was left out; each thing once.
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

    /// How many pictures there are so far, those inside the payload included.
    pub fn image_count(&self) -> usize {
        self.job.event.images.len() + self.files
    }

    /// Closes the event of the job that its sender calls `job`.
    pub fn finish(self, job: Option<String>, end: JobEnd) -> MapResult {
        let name = end.as_str();
        self.finish_as(job, end, name)
    }

    /// The same where `name` tells this end of the job from its other ends.
    ///
    /// One end of one job makes one event: its id is `hook:<hook>:<name>:<job>`, so that a second
    /// delivery is known as such.
    pub fn finish_as(mut self, job: Option<String>, end: JobEnd, name: &str) -> MapResult {
        let Some(job) = job.filter(|job| !job.trim().is_empty()) else {
            return MapResult::wrong(
                "",
                "has no name for the job, so a repetition could not be told from another job",
            );
        };
        self.job.id = ids::of_end(self.payload.hook, &job, name);
        let plain: String = job.chars().filter(|c| !c.is_control()).collect();
        self.job.event.job_id = Some(cut(&plain, 200));
        if self.files > 0 {
            self.warn(format!(
                "files inside the payload were left out: {} of them; a mail links pictures",
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

/// A text of at most `most` characters.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned(),
        None => text.to_owned(),
    }
}
