//! An SMTP client (RFC 5321) written for one purpose: every step has its own time limit and every
//! failure keeps its stage.
//!
//! ```text
//! server        one mail server: connection, session, one retry when a kept connection was closed
//!   pool        idle connections                    dial      addresses, TCP
//!   opening     greeting, EHLO, STARTTLS            auth      PLAIN, LOGIN, XOAUTH2
//!   session     limits, state, QUIT                 exchange  one command, one reply
//!   transaction MAIL, RCPT, DATA, result            tls       trust, handshake, advice
//!   chunking    MAIL, RCPT, BDAT in one write       state     state of a session between mails
//!   framing     commands out, replies in            reply     parses one reply
//!   classifier  replies and lost connections → Failure        ehlo     server capabilities
//!   trace       metrics, transcript                 dry_run   envelope without a mail
//!   capturing_verifier, certificate                 the server's certificate, for `test-email`
//! ```

mod access;
mod auth;
mod capturing_verifier;
mod certificate;
mod chunking;
mod classifier;
mod dial;
mod dry_run;
mod ehlo;
mod exchange;
mod framing;
mod opening;
mod pool;
mod reply;
mod server;
mod session;
mod state;
mod tls;
mod trace;
mod transaction;

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::{Locale, Mailbox, ServerName};
use crate::secret::Secret;
use crate::transport::oauth;

pub use access::Access;
pub use certificate::Certificate;
pub use classifier::Classifier;
pub use ehlo::{Capabilities, Mechanisms, is_helo_name};
#[doc(hidden)]
pub use framing::replies;
pub use server::{Depth, Smtp, Trace};
pub use session::{Limits, Session, SessionConfig};
pub use tls::{SetupError, Trust};
pub use trace::{Step, TraceRecorder};

/// How a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// TLS from the first byte.
    Implicit,
    /// STARTTLS, required.
    Starttls,
    /// STARTTLS when the server offers it (`auto` on a port without a rule).
    Opportunistic,
    /// Never (`tls = "none"` written by hand).
    None,
}

impl Tls {
    /// The rule of `tls = "auto"`: 465 and 994 are implicit, 587 requires STARTTLS, any other port
    /// upgrades when it is offered.
    pub const fn auto(port: u16) -> Self {
        match port {
            465 | 994 => Self::Implicit,
            587 => Self::Starttls,
            _ => Self::Opportunistic,
        }
    }
}

/// User and password of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The login name.
    pub username: String,
    /// The password or authorization code.
    pub password: Secret,
}

/// How to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// With a password (PLAIN, LOGIN).
    Password(Credentials),
    /// With an OAuth access token (XOAUTH2).
    Xoauth2 {
        /// The login name.
        username: String,
        /// Where tokens come from.
        source: oauth::Settings,
    },
}

impl Login {
    /// The login name.
    pub fn username(&self) -> &str {
        match self {
            Self::Password(credentials) => &credentials.username,
            Self::Xoauth2 { username, .. } => username,
        }
    }
}

/// The most mails in a span of time (`rate_limit = "30/min"`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// How many.
    pub mails: u32,
    /// In which span.
    pub per: Duration,
}

/// One mail server: `[smtp]` or one `[[smtp.backup]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What logs and the status page call it.
    pub name: ServerName,
    /// The mail service that it belongs to, when the configuration says so; its refusals are read
    /// in that service's words.
    pub provider: Option<&'static str>,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Encryption.
    pub tls: Tls,
    /// Whether the login may cross an unencrypted connection: `tls = "none"` was written by hand.
    /// To a loopback host it may without.
    pub plain_login: bool,
    /// A further root certificate, PEM.
    pub tls_ca_file: Option<PathBuf>,
    /// The name in EHLO and HELO, when it is not the default: see [`is_helo_name`].
    pub helo_name: Option<String>,
    /// The login, when the server wants one.
    pub login: Option<Login>,
    /// The sender of mails through this server.
    pub from: Mailbox,
    /// Where answers go, when not to `from`.
    pub reply_to: Vec<Mailbox>,
    /// The most connections at a time, at least 1.
    pub max_connections: usize,
    /// The most mails over one connection, at least 1; 100 where nothing is said.
    pub max_mails_per_connection: u32,
    /// The longest wait for one step, the answer to the final dot excepted.
    pub timeout: Duration,
    /// The most mails in a span of time.
    pub rate_limit: Option<RateLimit>,
    /// The first pause after repeated failures.
    pub cooldown: Duration,
    /// The longest pause.
    pub cooldown_max: Duration,
    /// The operator's language, for explanations.
    pub locale: Locale,
}
