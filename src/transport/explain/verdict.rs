//! The consequences that the table gives for a failure, with the explanation for the operator.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::named::named;
use crate::domain::{Explanation, FailureKind, Locale, Stage};

/// The pause after an exceeded quota, if the row contains none.
const QUOTA_PAUSE: Duration = Duration::from_mins(10);

named! {
    /// The class of a failure: the `class` column.
    Class {
        /// Temporary.
        Transient = "transient",
        /// The sender has exceeded a quota, until the end of its period.
        Quota = "quota",
        /// Login, sender or encryption is misconfigured, until it is corrected.
        ConfigAuth = "config_auth",
        /// The recipient does not accept mail, through any server.
        PermanentRecipient = "permanent_recipient",
        /// The content of the mail is refused.
        PermanentMessage = "permanent_message",
        /// The mail exceeds the server's size limit.
        TooLarge = "too_large",
        /// It is unknown whether the server has accepted the mail.
        Unknown = "unknown",
    }
}

/// Cause and advice in both languages, one or two sentences each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// The cause, in English.
    pub cause_en: &'static str,
    /// The advice, in English.
    pub advice_en: &'static str,
    /// The cause, in Chinese.
    pub cause_zh: &'static str,
    /// The advice, in Chinese.
    pub advice_zh: &'static str,
}

impl Advice {
    /// The explanation in one language.
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

/// The table's verdict on a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The class of the failure.
    pub class: Class,
    /// Whether the unchanged mail may be retried on the same server.
    pub retry_same_server: bool,
    /// Whether the mail may be tried on another server.
    pub fail_over: bool,
    /// Whether it affects the whole server and not just this mail: 421, a quota, a refusal before
    /// the recipient was named.
    pub server_wide: bool,
    /// The pause for the server (or, after a transient failure, for this mail), if the row contains
    /// one.
    pub pause: Option<Duration>,
    /// The explanation for the operator.
    pub advice: Option<Advice>,
}

impl Verdict {
    /// What the failure means for the mail and the server, if it occurred at `stage`.
    ///
    /// A refusal of the mail or recipient before either was named concerns the session or the login,
    /// and does not reject the mail.
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
            // A name may be missing for a moment, while a container or the network starts.
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
                // At MAIL only the sender has been named. A refusal that another server would repeat
                // (commands out of order, a bad parameter) is not about the recipient.
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

    /// The explanation in one language.
    pub fn explanation(&self, locale: Locale) -> Option<Explanation> {
        self.advice.map(|advice| advice.explanation(locale))
    }
}

/// Whether no part of a mail has been sent at this stage.
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
