//! What a producer tells us: [`Event`], bounded and checked when it was parsed.

mod fields;
mod id;
mod link;
pub(crate) mod message;
mod numbers;
mod parse;
mod parts;
mod pointer;
mod recipients;
mod size;
mod status;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::named::named;
use super::{Locale, Recipient, Timestamp};

#[cfg(feature = "server")]
pub(crate) use fields::Budget;
pub use id::{EventId, InvalidEventId};
pub use link::{InvalidLink, Link};
pub use message::{
    Code, InvalidCode, InvalidTtl, MessageContent, MessageNames, MessageRequest, Ttl,
};
pub(crate) use numbers::moment;
pub(crate) use parse::JobDraft;
pub use parse::{FieldError, Parsed};
pub(crate) use parts::{MAX_DEPTH, is_deep, read_local_path};
pub(crate) use pointer::JsonPath;
pub use size::{InvalidSize, Size};
pub use status::Verdict;

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

/// What a producer told us.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A job ended.
    Job(Box<JobEvent>),
    /// Somebody is owed a mail at once.
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

    /// How long its mails may wait, where it says so itself: nobody may send them later, not even
    /// by hand.
    pub fn ttl(&self) -> Option<Duration> {
        match self {
            Self::Job(_) => None,
            Self::Message(message) => message.ttl(),
        }
    }

    /// Whether it holds a code or a link that opens an account.
    pub const fn holds_secret(&self) -> bool {
        match self {
            Self::Job(_) => false,
            Self::Message(message) => message.content.kind().holds_secret(),
        }
    }

    /// The codes and the secret parts of links in it.
    pub fn secrets(&self) -> Vec<&str> {
        match self {
            Self::Job(_) => Vec::new(),
            Self::Message(message) => message.secrets(),
        }
    }

    /// The same without codes and secret links, for records that people read.
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

/// Where an event came in, and after a colon the name of the token that posted it: a metrics label
/// and a column of the history. At most 64 ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source(pub std::borrow::Cow<'static, str>);

impl Source {
    /// `POST /v1/events`.
    pub const HTTP: Self = Self(std::borrow::Cow::Borrowed("http"));
    /// The in-process sender and `submit`.
    pub const IN_PROCESS: Self = Self(std::borrow::Cow::Borrowed("in_process"));
    /// `POST /v1/messages`.
    pub const MESSAGES: Self = Self(std::borrow::Cow::Borrowed("messages"));
    /// `POST /v1/hooks/huiying`.
    pub const HUIYING: Self = Self(std::borrow::Cow::Borrowed("huiying"));

    /// The same, posted with the token of this name.
    #[must_use]
    pub fn by(self, token: Option<&str>) -> Self {
        token.map_or(self.clone(), |token| {
            Self(format!("{}:{token}", self.0).into())
        })
    }

    /// The place of a source as it is stored, and the name of the token.
    pub fn parts(stored: &str) -> (&str, Option<&str>) {
        stored
            .split_once(':')
            .map_or((stored, None), |(place, token)| (place, Some(token)))
    }
}

named! {
    /// How a job ended.
    JobStatus {
        /// Well.
        Succeeded = "succeeded",
        /// Not well.
        Failed = "failed",
    }
}

/// A job that ended. Only `id` and `status` are always there; texts are bounded as
/// [`JobEvent::parse`] says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobEvent {
    /// The event's name; the same name with the same content is the same event.
    pub id: EventId,
    /// Whether the id was generated because the producer gave none: it means nothing to readers, so
    /// no subject shows it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub id_generated: bool,
    /// How the job ended.
    pub status: JobStatus,
    /// The producer's name for the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// A title for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The prompt as it was translated for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_translated: Option<String>,
    /// What was to be avoided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negative_prompt: Option<String>,
    /// The model's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Width and height in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// The file format, as `png`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// The seed, an integer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<serde_json::Number>,
    /// The number of steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// The pictures that were made, at most 1,000; a mail shows the first eight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
    /// The job's own page, as that of a CI run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Link>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
    /// The machine that the job ran on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The command that was run, without secrets. Its error message is program output and keeps its
    /// blanks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// When the job began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Who is told; empty means the configured default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<Recipient>,
    /// In which language; none means the configured one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<Locale>,
    /// Whether picture and prompt are not for every eye: a mail shows neither at a glance.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
    /// The producer's own notes; kept with the event, not printed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, serde_json::Value>,
}

impl JobEvent {
    /// An event with a generated id and nothing but its status; fill in the public fields that are
    /// known.
    pub fn with_generated_id(status: JobStatus, now: Timestamp) -> Self {
        Self {
            id_generated: true,
            ..Self::new(EventId::generate(now), status)
        }
    }

    /// An event with nothing but its id and status; fill in the public fields that are known.
    pub fn new(id: EventId, status: JobStatus) -> Self {
        Self {
            id,
            id_generated: false,
            status,
            job_id: None,
            title: None,
            prompt: None,
            prompt_translated: None,
            negative_prompt: None,
            model: None,
            size: None,
            format: None,
            seed: None,
            steps: None,
            images: Vec::new(),
            url: None,
            error: None,
            host: None,
            command: None,
            started_at: None,
            finished_at: None,
            to: Vec::new(),
            locale: None,
            sensitive: false,
            metadata: BTreeMap::new(),
        }
    }
}

/// One picture of a job. At least one of `url` and `local_path` is there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Image {
    /// Where it can be fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Link>,
    /// Its path at the producer; with `email.public_url` it makes a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_path: Option<String>,
    /// Width in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Size of the file in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_size: Option<u64>,
}

/// What went wrong with a job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct JobError {
    /// A short code, as `NSFW`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// A sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[cfg(test)]
mod tests;
