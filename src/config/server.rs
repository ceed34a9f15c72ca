//! The keys that every mail server has, whether it is used by SMTP or by an HTTP API.

use std::path::PathBuf;
use std::time::Duration;

use super::values::Values;
use super::{Sources, credentials};
use crate::domain::Mailbox;
use crate::transport::smtp::RateLimit;

/// Whom a server's mails come from, and where answers go.
pub(super) struct Correspondents {
    pub from: Option<Mailbox>,
    pub reply_to: Vec<Mailbox>,
}

/// What every server has, whichever way mails reach it.
pub(super) struct Common {
    pub name: String,
    pub tls_ca_file: Option<PathBuf>,
    pub max_connections: usize,
    pub timeout: Duration,
    pub rate_limit: Option<RateLimit>,
    pub cooldown: Duration,
    pub cooldown_max: Duration,
}

impl Common {
    pub(super) fn read(values: &mut Values, sources: &Sources, home: &str) -> Self {
        let key = |name: &str| format!("{home}.{name}");
        let (cooldown, cooldown_max) = values.pauses(&key("cooldown"), &key("cooldown_max"));
        Self {
            name: values.line(&key("name"), 64).unwrap_or_default(),
            tls_ca_file: credentials::certificate(values, sources, &key("tls_ca_file")),
            max_connections: values.count(&key("max_connections")),
            timeout: values.span(&key("timeout")),
            rate_limit: values.rate(&key("rate_limit")),
            cooldown,
            cooldown_max,
        }
    }
}
