//! Mail that somebody waits for: codes, links, notices, and plain ones. What a producer posts to
//! `/v1/messages`.

mod code;
mod html_policy;
mod parse;
mod style;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use code::{Code, InvalidCode};

use super::{EventId, Link};
use crate::domain::duration_text::{show_span, span_ms};
use crate::domain::{Locale, MailKind, Recipient};

/// A code that nobody gave a life to is not sent later than this: it is dead at the producer by
/// then, and its reader has asked for another.
const CODE_TTL: Duration = Duration::from_mins(30);
/// The same for a link.
const LINK_TTL: Duration = Duration::from_hours(24);

/// One mail to be sent at once; texts are bounded as [`MessageRequest::parse`] says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRequest {
    /// The message's name; the same name with the same content is the same message.
    pub id: EventId,
    /// Who gets it, at least one; each gets a mail of their own.
    pub to: Vec<Recipient>,
    /// In which language; none means the configured one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<Locale>,
    /// How long it may wait; what it holds is worthless afterwards, so it is not sent then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<Ttl>,
    /// Which mail, and what it says.
    #[serde(flatten)]
    pub content: MessageContent,
}

impl MessageRequest {
    /// A message that is sent in the configured language.
    pub fn new(id: EventId, to: Vec<Recipient>, content: MessageContent) -> Self {
        Self {
            id,
            to,
            locale: None,
            expires_in: None,
            content,
        }
    }

    /// How long it may wait: as it says itself, else 30 minutes for codes and 24 hours for links.
    /// Others are as patient as job mails.
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

    /// The texts that open an account: the code, and what follows the host of the link.
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

    /// The same without what opens a door: codes as `***`, links to reset and verify without their
    /// path. For records that people read.
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

/// Which mail, and what it says. In JSON `template` and `params`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "template", content = "params", rename_all = "snake_case")]
#[non_exhaustive]
pub enum MessageContent {
    /// A code to type in.
    VerificationCode {
        /// The code.
        code: Code,
        /// What it is for, a few words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        purpose: Option<String>,
        /// Who writes to whom.
        #[serde(flatten)]
        names: MessageNames,
    },
    /// A way to a new password: at least one of `code` and `url`.
    PasswordReset {
        /// A code to type in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<Code>,
        /// Where it is set.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<Link>,
        /// Who writes to whom.
        #[serde(flatten)]
        names: MessageNames,
    },
    /// A link that proves that the address is the reader's.
    VerifyLink {
        /// The link.
        url: Link,
        /// Who writes to whom.
        #[serde(flatten)]
        names: MessageNames,
    },
    /// Something that the operator wants known.
    SystemNotice {
        /// One line; the subject.
        title: String,
        /// Lines of text.
        message: String,
        /// Where there is more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<Link>,
        /// Who writes to whom.
        #[serde(flatten)]
        names: MessageNames,
    },
    /// A mail that the producer wrote itself: at least one of `text` and `html`.
    Plain {
        /// One line.
        subject: String,
        /// The text part; made of `html` where it is missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// The HTML part, a whole document or a piece of one; made of `text` where it is missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        html: Option<String>,
        /// Who writes to whom.
        #[serde(flatten)]
        names: MessageNames,
    },
}

impl MessageContent {
    /// Which mail this is.
    pub const fn kind(&self) -> MailKind {
        match self {
            Self::VerificationCode { .. } => MailKind::VerificationCode,
            Self::PasswordReset { .. } => MailKind::PasswordReset,
            Self::VerifyLink { .. } => MailKind::VerifyLink,
            Self::SystemNotice { .. } => MailKind::SystemNotice,
            Self::Plain { .. } => MailKind::Plain,
        }
    }

    /// Who writes to whom.
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

/// Says which mail it is and nothing of what it says, so that a stray `{:?}` gives no link away.
impl fmt::Debug for MessageContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageContent({})", self.kind())
    }
}

/// The names in a message, each one line.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MessageNames {
    /// The application that the message speaks for; none means the configured sender's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The reader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// How long a message may wait: 1 second to 30 days, written `10m`, `1h30m`, `2d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ttl(u64);

/// The text is no time that a message may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a time from 1s to 30d, written as \"90s\", \"10m\", \"1h30m\" or \"2d\", or as a number of seconds"
)]
pub struct InvalidTtl;

impl Ttl {
    const MIN: u64 = 1_000;
    const MAX: u64 = 30 * 86_400_000;

    /// Reads a time as people write it; a bare number is in seconds.
    ///
    /// # Errors
    /// When it is none, or shorter than 1 second or longer than 30 days.
    pub fn parse(text: &str) -> Result<Self, InvalidTtl> {
        let ms = span_ms(text).filter(|ms| (Self::MIN..=Self::MAX).contains(ms));
        ms.map(Self).ok_or(InvalidTtl)
    }

    /// The time.
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
