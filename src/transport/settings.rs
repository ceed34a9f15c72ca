//! One mail server as configured, whichever way mails reach it.

use std::time::Duration;

use super::smtp::RateLimit;
use super::{directmail, smtp};
use crate::domain::{Locale, Mailbox, ServerName};

/// One mail server: `[smtp]` or one `[[smtp.backup]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settings {
    /// By SMTP.
    Smtp(smtp::Settings),
    /// By Aliyun DirectMail's HTTP API.
    DirectMail(directmail::Settings),
}

impl Settings {
    /// What logs and the status page call it.
    pub const fn name(&self) -> &ServerName {
        match self {
            Self::Smtp(settings) => &settings.name,
            Self::DirectMail(settings) => &settings.name,
        }
    }

    /// The settings of a server by SMTP; none of another.
    pub const fn as_smtp(&self) -> Option<&smtp::Settings> {
        match self {
            Self::Smtp(settings) => Some(settings),
            Self::DirectMail(_) => None,
        }
    }

    /// Calls it something else.
    pub fn rename(&mut self, name: &str) {
        match self {
            Self::Smtp(settings) => settings.name = name.into(),
            Self::DirectMail(settings) => settings.name = name.into(),
        }
    }

    /// Explains refusals in this language.
    pub const fn speak(&mut self, locale: Locale) {
        match self {
            Self::Smtp(settings) => settings.locale = locale,
            Self::DirectMail(settings) => settings.locale = locale,
        }
    }

    /// The sender of mails through this server.
    pub const fn from(&self) -> &Mailbox {
        match self {
            Self::Smtp(settings) => &settings.from,
            Self::DirectMail(settings) => &settings.account,
        }
    }

    /// The most connections, or calls, at a time; at least 1.
    pub const fn max_connections(&self) -> usize {
        match self {
            Self::Smtp(settings) => settings.max_connections,
            Self::DirectMail(settings) => settings.max_connections,
        }
    }

    /// The most mails in a span of time.
    pub const fn rate_limit(&self) -> Option<RateLimit> {
        match self {
            Self::Smtp(settings) => settings.rate_limit,
            Self::DirectMail(settings) => settings.rate_limit,
        }
    }

    /// The first pause after repeated failures.
    pub const fn cooldown(&self) -> Duration {
        match self {
            Self::Smtp(settings) => settings.cooldown,
            Self::DirectMail(settings) => settings.cooldown,
        }
    }

    /// The longest pause.
    pub const fn cooldown_max(&self) -> Duration {
        match self {
            Self::Smtp(settings) => settings.cooldown_max,
            Self::DirectMail(settings) => settings.cooldown_max,
        }
    }
}
