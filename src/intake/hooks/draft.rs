//! The end of a job as it is put together from a payload: every text cut to its bounds, nothing refused that a mail can do without.

use std::fmt::Write as _;

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::sent;
use super::{End, Mapped, Sent};
use crate::domain::event::{At, JobDraft};
use crate::domain::{EventId, Image, JobStatus, Link, Size, Timestamp};

/// The most pictures of one event.
const MAX_IMAGES: usize = 100;
/// How deep a result is searched for pictures.
const MAX_DEPTH: usize = 8;
/// The most bytes of notes, written as JSON; one note is at most an eighth of it.
const MAX_NOTES: usize = 16_384;
/// The most characters of the part of an event's id that the job's name makes.
const MAX_NAME: usize = 140;
/// From so many characters on a text of nothing but base64 is taken for a file; below, only its first bytes tell.
const BLOB: usize = 1_024;
/// How the base64 of a PNG, JPEG, GIF, WebP, MP4 or PDF begins.
const MAGIC: [&str; 6] = ["iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "AAAA", "JVBER"];

/// A job's end while it is put together.
#[derive(Debug)]
#[must_use = "it says nothing before it is ended"]
pub struct Draft<'a> {
    sent: Sent<'a>,
    job: JobDraft,
    code: Option<String>,
    message: Option<String>,
    files: usize,
    notes: usize,
}

impl<'a> Draft<'a> {
    /// Nothing yet but what was posted.
    pub fn of(sent: &Sent<'a>) -> Self {
        Self { sent: *sent, job: JobDraft::default(), code: None, message: None, files: 0, notes: 0 }
    }

    /// Puts a text into a field of the event, cut to the field's bound.
    pub fn put(&mut self, field: &str, text: &str) {
        if field == "size" && Size::parse(text).is_err() {
            return self.note("size", text.into());
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
            self.odd(format!("{field} was cut to {most} characters"));
        }
        self.job.field(field, &Value::String(cut));
    }

    /// Puts the first text or number of these places into a field.
    pub fn text(mut self, field: &str, places: &[&str]) -> Self {
        if let Some(text) = self.sent.text(places) {
            self.put(field, &text);
        }
        self
    }

    /// Takes fields that the payload has as our events have them, by the rules of `POST /v1/events`: what is wrong with one refuses the payload.
    pub fn own(mut self, fields: &[&str]) -> Self {
        for field in fields {
            if let Some(value) = self.sent.payload.get(field) {
                self.job.field(field, value);
            }
        }
        self
    }

    /// When the job began and ended; a time that cannot be read is left out.
    pub fn times(mut self, started: &[&str], finished: &[&str]) -> Self {
        let (started, finished) = (self.sent.time(started), self.sent.time(finished));
        self.moments(started, finished);
        self
    }

    /// The same from times that are known already.
    pub fn moments(&mut self, started: Option<Timestamp>, finished: Option<Timestamp>) {
        let event = &mut self.job.event;
        (event.started_at, event.finished_at) = (started.or(event.started_at), finished.or(event.finished_at));
    }

    /// Width and height in pixels.
    pub fn size(mut self, width: &[&str], height: &[&str]) -> Self {
        let side = |places| self.sent.whole(places).and_then(|side| u32::try_from(side).ok());
        if let (Some(width), Some(height)) = (side(width), side(height)) {
            self.job.event.size = Size::new(width, height).ok().or(self.job.event.size);
        }
        self
    }

    /// The seed, when it is a whole number.
    pub fn seed(mut self, places: &[&str]) -> Self {
        self.job.event.seed = places.iter().find_map(|place| match self.sent.payload.pointer(place)? {
            Value::Number(number) if !number.is_f64() => Some(number.clone()),
            Value::String(text) => text.trim().parse::<u64>().ok().map(Into::into),
            _ => None,
        });
        self
    }

    /// The first code and the first message of these places.
    pub fn error(mut self, code: &[&str], message: &[&str]) -> Self {
        let (code, message) = (self.sent.text(code), self.sent.text(message));
        self.fault(code, message);
        self
    }

    /// The same from texts that are known already; what was said before stays.
    pub fn fault(&mut self, code: Option<String>, message: Option<String>) {
        let bounded = |text: Option<String>, most| text.map(|text| cut(text.trim(), most)).filter(|text| !text.is_empty());
        self.code = self.code.take().or(bounded(code, 200));
        self.message = self.message.take().or(bounded(message, 5_000));
    }

    /// A note that is kept with the event; it is left out when there is no room for it.
    pub fn note(&mut self, name: &str, value: Value) {
        let size = name.len() + serde_json::to_vec(&value).map_or(MAX_NOTES, |text| text.len()) + 4;
        if size > MAX_NOTES / 8 || self.notes + size > MAX_NOTES {
            let name: String = name.chars().take(64).collect();
            return self.odd(format!("{name} was left out of the notes: it is too large"));
        }
        self.notes += size;
        self.job.event.metadata.insert(name.to_owned(), value);
    }

    /// Notes from these places, each under a name.
    pub fn notes(mut self, places: &[(&str, &str)]) -> Self {
        for (name, place) in places {
            if let Some(value) = self.sent.first(&[place]) {
                self.note(name, value.clone());
            }
        }
        self
    }

    /// Says that nobody should see picture and prompt at a glance.
    pub fn sensitive(&mut self, sensitive: bool) {
        self.job.event.sensitive |= sensitive;
    }

    /// Every picture within a result: links, also inside lists and objects. An object with `url` may have width, height and file size beside it.
    pub fn pictures(mut self, places: &[&str]) -> Self {
        if let Some(result) = self.sent.first(places) {
            self.search(result, 0);
        }
        self
    }

    /// The same in a result that was found already.
    pub fn search(&mut self, result: &Value, depth: usize) {
        match result {
            Value::String(text) => self.picture(text, Image::default()),
            Value::Array(items) if depth < MAX_DEPTH => items.iter().for_each(|item| self.search(item, depth + 1)),
            Value::Object(fields) if depth < MAX_DEPTH => {
                if let Some(Value::String(url)) = fields.get("url") {
                    let whole = |name| fields.get(name).and_then(sent::whole).filter(|number| *number > 0);
                    let side = |name| whole(name).and_then(|side| u32::try_from(side).ok()).filter(|side| *side <= 1_000_000);
                    let file_size = whole("file_size").and_then(|size| u64::try_from(size).ok());
                    self.picture(url, Image { width: side("width"), height: side("height"), file_size, ..Image::default() });
                } else {
                    fields.values().for_each(|value| self.search(value, depth + 1));
                }
            }
            _ => {}
        }
    }

    /// One text of a result: a link becomes a picture, a file inside the payload and an address of another kind are left out, the rest is no picture.
    fn picture(&mut self, text: &str, like: Image) {
        let text = text.trim();
        if text.starts_with("http://") || text.starts_with("https://") {
            match Link::parse(text) {
                Ok(_) if self.job.event.images.len() >= MAX_IMAGES => self.odd("more than 100 pictures: the rest was left out".to_owned()),
                Ok(link) => self.job.event.images.push(Image { url: Some(link), ..like }),
                Err(error) => self.odd(format!("a picture's link was left out: {error}")),
            }
        } else if is_file(text) {
            self.files += 1;
        } else if text.len() < Link::MAX_LEN
            && let Some((scheme, _)) = text.split_once("://")
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric())
        {
            self.odd(format!("a picture's address was left out: a mail cannot link {scheme}"));
        }
    }

    /// Notes what was left out; each thing once.
    pub fn odd(&mut self, detail: String) {
        let known = self.job.reader.warnings.iter().any(|warning| warning.detail == detail);
        if !known {
            self.job.reader.odd(At::Root, |_| detail);
        }
    }

    /// How many pictures there are so far, those inside the payload included.
    pub fn found(&self) -> usize {
        self.job.event.images.len() + self.files
    }

    /// Closes the event of the job that its sender calls `job`.
    pub fn end(self, job: Option<String>, end: End) -> Mapped {
        let name = end.as_str();
        self.end_as(job, end, name)
    }

    /// The same where `name` tells this end of the job from its other ends.
    ///
    /// One end of one job makes one event: its id is `<hook>-<job>-<name>`, so that a second delivery is known as such.
    pub fn end_as(mut self, job: Option<String>, end: End, name: &str) -> Mapped {
        let Some(job) = job.filter(|job| !job.trim().is_empty()) else {
            return Mapped::wrong("", "has no name for the job, so a repetition could not be told from another job");
        };
        self.job.id = EventId::parse(&format!("{}-{}-{name}", self.sent.hook, escaped(&job))).ok();
        let plain: String = job.chars().filter(|c| !c.is_control()).collect();
        self.job.event.job_id = Some(cut(&plain, 200));
        if self.files > 0 {
            self.odd(format!("{} pictures were left out: they are inside the payload, and a mail links pictures", self.files));
        }
        self.job.status = Some(if end == End::Succeeded { JobStatus::Succeeded } else { JobStatus::Failed });
        if end == End::Canceled {
            self.fault(Some("canceled".to_owned()), Some("the job was canceled".to_owned()));
        }
        if end != End::Succeeded && (self.code.is_some() || self.message.is_some()) {
            let (code, message) = (self.code.take(), self.message.take());
            self.job.field("error", &json!({ "code": code, "message": message }));
        }
        match self.job.finish(self.sent.now) {
            Ok(parsed) => Mapped::Events(vec![parsed]),
            Err(errors) => Mapped::Unmappable(errors),
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

/// A job's name as part of an event's id: everything but visible ASCII in percent form; one that is too long by its digest.
fn escaped(job: &str) -> String {
    let mut name = String::with_capacity(job.len());
    for byte in job.trim().bytes().take(MAX_NAME + 1) {
        if byte.is_ascii_graphic() && byte != b'%' {
            name.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            write!(name, "%{byte:02X}").unwrap_or_default();
        }
    }
    if name.len() <= MAX_NAME {
        return name;
    }
    digest(&SHA256, job.as_bytes()).as_ref().iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap_or_default();
        hex
    })
}

/// Whether a text is a file written as text: a `data:` URL, or base64 that begins as a picture does or is long.
pub(super) fn is_file(text: &str) -> bool {
    let base64 = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=-_\r\n".contains(&b));
    text.starts_with("data:")
        || (text.len() >= 64 && MAGIC.iter().any(|magic| text.starts_with(magic)) && base64(text.get(..64).unwrap_or_default()))
        || (text.len() >= BLOB && base64(text))
}
