//! Events of finished jobs.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{EventId, Link, Size};
use crate::domain::named::named;
use crate::domain::{Locale, Recipient, Timestamp};

named! {
    /// How a job ended.
    JobStatus {
        /// It succeeded.
        Succeeded = "succeeded",
        /// It failed or was canceled.
        Failed = "failed",
    }
}

/// A finished job. Only `id` and `status` are mandatory; [`JobEvent::parse`] lists the limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobEvent {
    /// The event's ID. The same ID with the same content is the same event.
    pub id: EventId,
    /// Whether the ID was generated because the producer set none. Subjects show only IDs that the
    /// producer chose.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub id_generated: bool,
    /// How the job ended.
    pub status: JobStatus,
    /// The producer's ID of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// A human-readable title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The prompt that the model received, if it was translated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_translated: Option<String>,
    /// The negative prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negative_prompt: Option<String>,
    /// The model's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Width and height in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// The image format, such as `png`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// The seed, an integer of any size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<serde_json::Number>,
    /// The number of steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// The resulting images, at most 1,000. A mail shows the first eight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
    /// The job's page, such as that of a CI run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Link>,
    /// Why the job failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
    /// The host that the job ran on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The command line, without secrets. If it is set, the error message is program output, whose
    /// white space is preserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// When the job started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When the job ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Recipients; empty means the configured default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<Recipient>,
    /// Language; `None` means the configured one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<Locale>,
    /// Whether mails hide images and prompt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
    /// The producer's own data. Stored with the event, not shown in mails.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, serde_json::Value>,
}

impl JobEvent {
    /// Creates an event with a generated ID. Set the public fields that are known.
    pub fn with_generated_id(status: JobStatus, now: Timestamp) -> Self {
        Self {
            id_generated: true,
            ..Self::new(EventId::generate(now), status)
        }
    }

    /// Creates an event. Set the public fields that are known.
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

/// An image of a job, with at least one of `url` and `local_path`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Image {
    /// Its URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Link>,
    /// Its path at the producer. With `email.public_url` it becomes a link.
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

impl Image {
    /// Its URL, or one built from the public URL and the local path.
    pub fn link(&self, public_url: Option<&Link>) -> Option<Cow<'_, str>> {
        match (&self.url, &self.local_path, public_url) {
            (Some(link), ..) => Some(Cow::Borrowed(link.as_str())),
            (None, Some(path), Some(base)) => base.join(path).map(Cow::Owned),
            _ => None,
        }
    }
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct JobError {
    /// A short code, such as `NSFW`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// A human-readable message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
