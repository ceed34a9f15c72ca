//! Event IDs.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::{Timestamp, uuid_v7};

/// The ID of an event: 1 to 200 visible ASCII characters (0x21 to 0x7E), so that it fits into mail
/// headers and URLs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventId(pub(super) String);

/// The text is not a valid event ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 200 visible ASCII characters without blanks")]
pub struct InvalidEventId;

impl EventId {
    /// Maximum length, in characters.
    pub const MAX_LEN: usize = 200;

    /// Parses an ID.
    ///
    /// # Errors
    /// If it is empty, longer than 200 characters, or has a character outside 0x21 to 0x7E.
    pub fn parse(text: &str) -> Result<Self, InvalidEventId> {
        let fits = !text.is_empty()
            && text.len() <= Self::MAX_LEN
            && text.bytes().all(|b| b.is_ascii_graphic());
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidEventId)
        }
    }

    /// Generates an ID: a UUIDv7 of `now`.
    pub fn generate(now: Timestamp) -> Self {
        Self(uuid_v7(now).to_string())
    }

    /// Prefix of the IDs of webhook events. Producers cannot choose such an ID, so they cannot
    /// impersonate a webhook event.
    pub const OF_HOOKS: &str = "hook:";

    /// Whether the ID is reserved for webhooks.
    pub fn is_of_a_hook(&self) -> bool {
        self.0.starts_with(Self::OF_HOOKS)
    }

    /// The ID as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for EventId {
    type Error = InvalidEventId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<EventId> for String {
    fn from(id: EventId) -> Self {
        id.0
    }
}
