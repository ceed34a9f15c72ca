//! Transactional mails: codes, links, notices and plain mails, as posted to `/v1/messages`.

mod code;
mod html_policy;
mod link_policy;
mod params;
mod parse;
mod style;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use code::{Code, InvalidCode};

use super::{EventId, Link};
use crate::domain::duration_text::{show_span, span_ms};
use crate::domain::{Locale, MailKind, Recipient};

/// Default TTL of a code: by then it has expired at the producer, and its reader has requested
/// another.
const CODE_TTL: Duration = Duration::from_mins(30);
/// Default TTL of a link.
const LINK_TTL: Duration = Duration::from_hours(24);

/// One message; the bounds of its texts are described at [`MessageRequest::parse`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRequest {
    /// The message's ID; the same ID with the same content is the same message.
    pub id: EventId,
    /// Recipients, at least one; each gets a separate mail.
    pub to: Vec<Recipient>,
    /// Language; `None` for the configured one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<Locale>,
    /// TTL: after this time its content is useless, so it is not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<Ttl>,
    /// Template and content.
    #[serde(flatten)]
    pub content: MessageContent,
}

impl MessageRequest {
    /// Creates a message in the configured language.
    pub fn new(id: EventId, to: Vec<Recipient>, content: MessageContent) -> Self {
        Self {
            id,
            to,
            locale: None,
            expires_in: None,
            content,
        }
    }

    /// The TTL: as given, else 30 minutes for codes and 24 hours for links. Others wait as long as
    /// job mails.
    pub fn ttl(&self) -> Option<Duration> {
        let usual = match &self.content {
            MessageContent::VerificationCode { .. }
            | MessageContent::PasswordReset { code: Some(_), .. } => Some(CODE_TTL),
            MessageContent::PasswordReset { .. } | MessageContent::VerifyLink { .. } => {
                Some(LINK_TTL)
            }
            MessageContent::SystemNotice { .. } | MessageContent::Plain { .. } => None,
        };
        self.expires_in.map(Ttl::duration).or(usual)
    }

    /// Secrets: the code, and the part of the link after its host.
    pub fn secrets(&self) -> Vec<&str> {
        let (code, url) = match &self.content {
            MessageContent::VerificationCode { code, .. } => (Some(code), None),
            MessageContent::PasswordReset { code, url, .. } => (code.as_ref(), url.as_ref()),
            MessageContent::VerifyLink { url, .. } => (None, Some(url)),
            MessageContent::SystemNotice { .. } | MessageContent::Plain { .. } => (None, None),
        };
        code.map(Code::expose)
            .into_iter()
            .chain(url.map(Link::after_host))
            .collect()
    }

    /// The message without secrets: codes as `***`, verification and reset links without their
    /// path. For records shown to people.
    #[must_use]
    pub fn masked(mut self) -> Self {
        match &mut self.content {
            MessageContent::VerificationCode { code, .. } => *code = Code::masked(),
            MessageContent::PasswordReset { code, url, .. } => {
                *code = code.take().map(|_| Code::masked());
                *url = url.take().map(Link::masked);
            }
            MessageContent::VerifyLink { url, .. } => *url = url.clone().masked(),
            MessageContent::SystemNotice { .. } | MessageContent::Plain { .. } => {}
        }
        self
    }
}

/// Template and content; in JSON `template` and `params`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "template", content = "params", rename_all = "snake_case")]
#[non_exhaustive]
pub enum MessageContent {
    /// A verification code.
    VerificationCode {
        /// The code.
        code: Code,
        /// Its purpose, a few words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        purpose: Option<String>,
        /// Application and reader.
        #[serde(flatten)]
        names: MessageNames,
    },
    /// A password reset, with at least one of `code` and `url`.
    PasswordReset {
        /// A code to type in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<Code>,
        /// The page for setting a new password.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<Link>,
        /// Application and reader.
        #[serde(flatten)]
        names: MessageNames,
    },
    /// A link that verifies an email address.
    VerifyLink {
        /// The link.
        url: Link,
        /// Application and reader.
        #[serde(flatten)]
        names: MessageNames,
    },
    /// A notice from the operator.
    SystemNotice {
        /// One line; the subject.
        title: String,
        /// One or more lines of text.
        message: String,
        /// A link to more information.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<Link>,
        /// Application and reader.
        #[serde(flatten)]
        names: MessageNames,
    },
    /// A mail written by the producer, with at least one of `text` and `html`.
    Plain {
        /// One line.
        subject: String,
        /// The text part; derived from `html` if missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// The HTML part, a document or a fragment; derived from `text` if missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        html: Option<String>,
        /// Application and reader.
        #[serde(flatten)]
        names: MessageNames,
    },
}

impl MessageContent {
    /// The kind of mail.
    pub const fn kind(&self) -> MailKind {
        match self {
            Self::VerificationCode { .. } => MailKind::VerificationCode,
            Self::PasswordReset { .. } => MailKind::PasswordReset,
            Self::VerifyLink { .. } => MailKind::VerifyLink,
            Self::SystemNotice { .. } => MailKind::SystemNotice,
            Self::Plain { .. } => MailKind::Plain,
        }
    }

    /// Application and reader.
    pub const fn names(&self) -> &MessageNames {
        match self {
            Self::VerificationCode { names, .. }
            | Self::PasswordReset { names, .. }
            | Self::VerifyLink { names, .. }
            | Self::SystemNotice { names, .. }
            | Self::Plain { names, .. } => names,
        }
    }
}

/// Prints only the template, so that a stray `{:?}` does not leak a link.
impl fmt::Debug for MessageContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageContent({})", self.kind())
    }
}

/// Names in a message, each a single line.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MessageNames {
    /// The application that sends the message; `None` for the configured sender's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The reader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// TTL of a message: 1 second to 30 days, written `10m`, `1h30m`, `2d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ttl(u64);

/// The text is not a valid TTL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a duration from 1s to 30d, such as \"90s\", \"10m\", \"1h30m\" or \"2d\", or as a number of seconds"
)]
pub struct InvalidTtl;

impl Ttl {
    const MIN: u64 = 1_000;
    const MAX: u64 = 30 * 86_400_000;

    /// Parses a duration; a bare number is in seconds.
    ///
    /// # Errors
    /// If it is not a duration, or not between 1 second and 30 days.
    pub fn parse(text: &str) -> Result<Self, InvalidTtl> {
        let ms = span_ms(text).filter(|ms| (Self::MIN..=Self::MAX).contains(ms));
        ms.map(Self).ok_or(InvalidTtl)
    }

    /// The duration.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl TryFrom<String> for Ttl {
    type Error = InvalidTtl;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Ttl> for String {
    fn from(ttl: Ttl) -> Self {
        show_span(ttl.0)
    }
}

#[cfg(test)]
mod tests;
