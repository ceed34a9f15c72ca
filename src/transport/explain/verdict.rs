//! What a row of the table says: its class, where to try again, and the words for the operator.

use std::time::Duration;

use crate::domain::{Explanation, FailureKind, Locale, Stage};

/// The pause after a quota that names no time.
const QUOTA_PAUSE: Duration = Duration::from_mins(10);

/// What kind of refusal it is: the `class` column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// It passes by itself.
    Transient,
    /// The server's measure for this sender is full; it passes when the window ends.
    Quota,
    /// Login, sender or encryption is set up wrongly; it passes when somebody changes something.
    ConfigAuth,
    /// This recipient cannot be mailed to; every server would say so.
    PermanentRecipient,
    /// This mail is not wanted as it is.
    PermanentMessage,
    /// This mail is larger than the server takes.
    TooLarge,
    /// Nobody knows whether the mail was taken.
    Unknown,
}

impl Class {
    /// Every class, in the order of the definition.
    pub const ALL: &'static [Self] = &[
        Self::Transient,
        Self::Quota,
        Self::ConfigAuth,
        Self::PermanentRecipient,
        Self::PermanentMessage,
        Self::TooLarge,
        Self::Unknown,
    ];

    /// The name that the table uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Quota => "quota",
            Self::ConfigAuth => "config_auth",
            Self::PermanentRecipient => "permanent_recipient",
            Self::PermanentMessage => "permanent_message",
            Self::TooLarge => "too_large",
            Self::Unknown => "unknown",
        }
    }

    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|class| class.as_str() == name)
    }
}

/// Cause and remedy in both languages, one or two sentences each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// What went wrong, in English.
    pub cause_en: &'static str,
    /// What to do, in English.
    pub advice_en: &'static str,
    /// What went wrong, in Chinese.
    pub cause_zh: &'static str,
    /// What to do, in Chinese.
    pub advice_zh: &'static str,
}

impl Advice {
    /// The words in one language.
    pub fn explanation(&self, locale: Locale) -> Explanation {
        let (cause, advice) = match locale {
            Locale::ZhCn => (self.cause_zh, self.advice_zh),
            Locale::En => (self.cause_en, self.advice_en),
        };
        Explanation {
            cause: cause.to_owned(),
            advice: advice.to_owned(),
        }
    }
}

/// What the table has to say about one refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The kind of refusal.
    pub class: Class,
    /// Whether the same mail may be tried again on the same server, unchanged.
    pub retry_same_server: bool,
    /// Whether another server may be tried with this mail.
    pub fail_over: bool,
    /// Whether the whole server is meant and not just this mail: 421, a quota, a refusal before the
    /// recipient was named.
    pub server_wide: bool,
    /// How long to leave the server (of a transient refusal: this mail) alone, where the table
    /// says.
    pub pause: Option<Duration>,
    /// The words for the operator.
    pub advice: Option<Advice>,
}

impl Verdict {
    /// What the refusal means for the mail and the server, when it came at `stage`.
    ///
    /// A refusal that calls mail or recipient bad before either was named speaks of the session or
    /// the login and kills no mail.
    pub fn kind(&self, stage: Stage) -> FailureKind {
        match self.class {
            Class::Transient if !self.fail_over => FailureKind::Deferred {
                retry_after: self.pause,
            },
            Class::Transient => FailureKind::Unavailable {
                retry_after: self.pause,
                server_wide: self.server_wide,
            },
            Class::Quota => FailureKind::Unavailable {
                retry_after: Some(self.pause.unwrap_or(QUOTA_PAUSE)),
                server_wide: true,
            },
            // A name may be missing for a moment only, while a container starts or a network comes
            // up.
            Class::ConfigAuth if stage == Stage::Dns => FailureKind::Unavailable {
                retry_after: None,
                server_wide: true,
            },
            Class::ConfigAuth => FailureKind::Misconfigured,
            Class::Unknown => FailureKind::Uncertain,
            Class::TooLarge if is_session(stage) => FailureKind::Unavailable {
                retry_after: None,
                server_wide: true,
            },
            Class::TooLarge => FailureKind::TooLarge,
            Class::PermanentRecipient | Class::PermanentMessage => match stage {
                Stage::Auth => FailureKind::Misconfigured,
                // At MAIL only the sender has been named; what another server would refuse as well
                // (a wrong order, a bad parameter) is no recipient's fault.
                Stage::Mail if self.class == Class::PermanentRecipient || !self.fail_over => {
                    FailureKind::Misconfigured
                }
                stage if is_session(stage) => FailureKind::Unavailable {
                    retry_after: None,
                    server_wide: true,
                },
                _ if self.fail_over => FailureKind::RejectedHere,
                _ => FailureKind::Rejected,
            },
        }
    }

    /// The words in one language.
    pub fn explanation(&self, locale: Locale) -> Option<Explanation> {
        self.advice.map(|advice| advice.explanation(locale))
    }
}

/// Whether nothing of a mail has been said at this stage.
pub(super) fn is_session(stage: Stage) -> bool {
    match stage {
        Stage::Dns
        | Stage::Connect
        | Stage::Tls
        | Stage::Greeting
        | Stage::Ehlo
        | Stage::Starttls
        | Stage::Auth
        | Stage::Rset
        | Stage::Quit => true,
        Stage::Mail | Stage::Rcpt | Stage::Data | Stage::Dot | Stage::Api | Stage::Compose => false,
    }
}
