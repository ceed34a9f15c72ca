//! Settings that every mail server has, whichever protocol it speaks.

use std::time::Duration;

use super::compose::SenderIdentity;
use crate::domain::{Locale, Mailbox, ServerName};

/// The maximum number of mails in a period (`rate_limit = "30/min"`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Number of mails.
    pub mails: u32,
    /// Length of the period.
    pub per: Duration,
}

/// The settings that SMTP servers and HTTP APIs share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Common {
    /// Name of the server in logs, metrics and on the status page.
    pub name: ServerName,
    /// Sender of the mails that this server sends.
    pub from: Mailbox,
    /// Reply-To addresses; if empty, the mail's own are used.
    pub reply_to: Vec<Mailbox>,
    /// Maximum number of concurrent connections or calls, at least 1.
    pub max_connections: usize,
    /// Maximum number of mails in a period, if limited.
    pub rate_limit: Option<RateLimit>,
    /// First cooldown after repeated failures.
    pub cooldown: Duration,
    /// Longest cooldown.
    pub cooldown_max: Duration,
    /// Language of the explanations of failures.
    pub locale: Locale,
}

impl Common {
    /// The sender that this server puts into mails.
    pub const fn identity(&self) -> SenderIdentity<'_> {
        SenderIdentity {
            from: &self.from,
            reply_to: self.reply_to.as_slice(),
        }
    }
}
