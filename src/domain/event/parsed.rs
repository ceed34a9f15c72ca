//! The result of parsing an event or message.

use super::{Event, JobEvent};

/// An invalid field.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    /// JSON pointer in URI form, such as `#/images/0/url` (RFC 6901 §6).
    pub pointer: String,
    /// The error and the expected value.
    pub detail: String,
}

/// A parsed event or message, with warnings.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed<T = JobEvent> {
    /// The event.
    pub event: T,
    /// Whether the payload contained the ID; otherwise it was generated.
    pub id_given: bool,
    /// Fields that are unknown or were left out. Each detail is understandable without its pointer.
    pub warnings: Vec<FieldError>,
}

impl<T: Into<Event>> Parsed<T> {
    /// The same as an event of any kind.
    pub fn into_event(self) -> Parsed<Event> {
        Parsed {
            event: self.event.into(),
            id_given: self.id_given,
            warnings: self.warnings,
        }
    }
}
