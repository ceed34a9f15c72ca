//! Events: what producers report, validated when parsed.

mod fields;
mod id;
mod job;
mod link;
pub(crate) mod message;
mod numbers;
mod parse;
mod parsed;
mod parts;
mod pointer;
mod recipients;
mod size;
mod source;
mod status;
mod text;

use std::time::Duration;

use serde::{Deserialize, Serialize};

#[cfg(feature = "server")]
pub(crate) use fields::Budget;
pub use id::{EventId, InvalidEventId};
pub use job::{Image, JobError, JobEvent, JobStatus};
pub use link::{InvalidLink, Link};
pub use message::{
    Code, InvalidCode, InvalidTtl, MessageContent, MessageNames, MessageRequest, Ttl,
};
pub(crate) use numbers::moment;
pub(crate) use parse::JobDraft;
pub use parsed::{FieldError, Parsed};
pub(crate) use parts::{MAX_DEPTH, is_deep, read_local_path};
pub(crate) use pointer::JsonPath;
pub use size::{InvalidSize, Size};
pub use source::Source;
pub use status::StatusMeaning;

/// Maximum length of a prompt, in bytes.
pub(crate) const MAX_PROMPT_BYTES: usize = 200_000;
/// Maximum length of a title, in characters.
pub(crate) const MAX_TITLE: usize = 500;
/// Maximum length of a model's name, in characters.
pub(crate) const MAX_MODEL: usize = 300;
/// Maximum length of an image format, in characters.
pub(crate) const MAX_FORMAT: usize = 32;
/// Maximum number of images of one event.
pub(crate) const MAX_IMAGES: usize = 1_000;

/// What a producer reported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A finished job.
    Job(Box<JobEvent>),
    /// A transactional mail.
    Message(Box<MessageRequest>),
}

impl Event {
    /// The event's id.
    pub fn id(&self) -> &EventId {
        match self {
            Self::Job(job) => &job.id,
            Self::Message(message) => &message.id,
        }
    }

    /// TTL set by the event, if any. Mails are never sent after it, not even by `queue retry`.
    pub fn ttl(&self) -> Option<Duration> {
        match self {
            Self::Job(_) => None,
            Self::Message(message) => message.ttl(),
        }
    }

    /// Whether it contains a code or link that gives access to an account.
    pub const fn holds_secret(&self) -> bool {
        match self {
            Self::Job(_) => false,
            Self::Message(message) => message.content.kind().holds_secret(),
        }
    }

    /// The codes and the secret parts of links that it contains.
    pub fn secrets(&self) -> Vec<&str> {
        match self {
            Self::Job(_) => Vec::new(),
            Self::Message(message) => message.secrets(),
        }
    }

    /// The event with codes and secret links masked, for records shown to people.
    #[must_use]
    pub fn masked(self) -> Self {
        match self {
            Self::Message(message) => Self::Message(Box::new(message.masked())),
            job @ Self::Job(_) => job,
        }
    }
}

impl From<JobEvent> for Event {
    fn from(job: JobEvent) -> Self {
        Self::Job(Box::new(job))
    }
}

impl From<MessageRequest> for Event {
    fn from(message: MessageRequest) -> Self {
        Self::Message(Box::new(message))
    }
}

#[cfg(test)]
mod tests;
