//! Builds job events in a program. Fields are validated like those of a JSON event.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::clock::Clock;
use crate::domain::{FieldError, JobEvent};

/// A job event under construction: [`JobEvent::succeeded`], [`JobEvent::failed`].
#[derive(Debug, Clone)]
#[must_use = "call `build`"]
pub struct JobEventBuilder {
    fields: Map<String, Value>,
}

/// An event with invalid fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidEvent(
    /// Every invalid field.
    pub Vec<FieldError>,
);

impl fmt::Display for InvalidEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid event")?;
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { ": " } else { "; " };
            write!(f, "{separator}{} {}", error.pointer, error.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidEvent {}

impl JobEvent {
    /// Starts an event for a job that succeeded.
    pub fn succeeded() -> JobEventBuilder {
        JobEventBuilder::new("succeeded")
    }

    /// Starts an event for a job that failed.
    pub fn failed() -> JobEventBuilder {
        JobEventBuilder::new("failed")
    }
}

impl JobEventBuilder {
    fn new(status: &str) -> Self {
        let mut fields = Map::new();
        fields.insert("status".to_owned(), status.into());
        Self { fields }
    }

    /// The event's ID. Submitting the same ID with the same content again sends nothing; an ID is
    /// generated if omitted.
    pub fn id(self, id: &str) -> Self {
        self.field("id", id)
    }

    /// A human-readable title.
    pub fn title(self, title: &str) -> Self {
        self.field("title", title)
    }

    /// The prompt.
    pub fn prompt(self, prompt: &str) -> Self {
        self.field("prompt", prompt)
    }

    /// The model's name.
    pub fn model(self, model: &str) -> Self {
        self.field("model", model)
    }

    /// Width and height in pixels.
    pub fn size(self, width: u32, height: u32) -> Self {
        self.field("size", format!("{width}x{height}"))
    }

    /// Adds an image by its URL. May be called several times.
    pub fn image(self, url: &str) -> Self {
        self.push("images", json!({ "url": url }))
    }

    /// Adds a recipient. Without one, the configured default recipients get the mail.
    pub fn to(self, address: &str) -> Self {
        self.push("to", address.into())
    }

    /// The error message of a failed job.
    pub fn error(self, message: &str) -> Self {
        self.field("error", json!({ "message": message }))
    }

    /// Hides image and prompt in the mail.
    pub fn sensitive(self) -> Self {
        self.field("sensitive", true)
    }

    /// Any other field of an event, under its JSON name.
    pub fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    fn push(mut self, name: &str, value: Value) -> Self {
        let list = self.fields.entry(name).or_insert_with(|| json!([]));
        if let Value::Array(items) = list {
            items.push(value);
        }
        self
    }

    /// Checks all fields and builds the event.
    ///
    /// # Errors
    /// Every invalid field, and every unknown one.
    pub fn build(self) -> Result<JobEvent, InvalidEvent> {
        let parsed = JobEvent::parse(&Value::Object(self.fields), Clock::System.now())
            .map_err(InvalidEvent)?;
        if parsed.warnings.is_empty() {
            Ok(parsed.event)
        } else {
            Err(InvalidEvent(parsed.warnings))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builder_sets_the_fields_of_a_json_event() {
        let event = JobEvent::succeeded()
            .id("gen-1")
            .prompt("A kitten")
            .size(640, 480)
            .image("https://img.example.com/1.png")
            .image("https://img.example.com/2.png")
            .to("a@example.org")
            .build()
            .unwrap();
        assert_eq!((event.id.as_str(), event.id_generated), ("gen-1", false));
        assert_eq!((event.images.len(), event.to.len()), (2, 1));
        assert!(JobEvent::failed().error("out of memory").build().is_ok());
    }

    #[test]
    fn builder_reports_every_invalid_field() {
        let error = JobEvent::failed()
            .to("nobody")
            .size(0, 1)
            .build()
            .unwrap_err();
        assert_eq!(error.0.len(), 2, "{error}");
        assert!(error.to_string().contains("#/to/0"), "{error}");
        assert!(JobEvent::failed().field("promt", "x").build().is_err());
    }
}
