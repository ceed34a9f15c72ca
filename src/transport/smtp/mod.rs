//! An SMTP client (RFC 5321) in which each step has its own time limit and each failure has its
//! stage.
//!
//! ```text
//! server        one mail server: connection, session, one retry if a kept connection was closed
//!   pool        idle connections                  dial        addresses, TCP
//!   opening     greeting, EHLO, STARTTLS          auth        PLAIN, LOGIN, XOAUTH2
//!   session     limits, state, QUIT               exchange    one command, one reply
//!   transaction message and verdict               envelope    MAIL, RCPT, DATA
//!   chunking    MAIL, RCPT, BDAT in one write     state       state of a session between mails
//!   framing     replies in                        reply       parses one reply
//!   writing     commands and messages out
//!   tls         trusted certificates, handshake   tls_errors  advice on failed handshakes
//!   classifier  replies and read errors → Failure ehlo        server capabilities
//!   trace       metrics, transcript
//!   capturing_verifier, certificate               the server's certificate, for `test-email`
//! ```

mod access;
mod auth;
mod capturing_verifier;
mod certificate;
mod chunking;
mod classifier;
mod dial;
mod ehlo;
mod envelope;
mod exchange;
mod framing;
mod opening;
mod pool;
mod reply;
mod server;
mod session;
mod state;
mod tls;
mod tls_errors;
mod trace;
mod transaction;
mod writing;

use std::path::PathBuf;
use std::time::Duration;

use crate::secret::Secret;
use crate::transport::oauth;

pub use crate::transport::encryption::Tls;
pub use access::Access;
pub use certificate::Certificate;
pub use classifier::Classifier;
pub use ehlo::is_helo_name;
#[doc(hidden)]
pub use framing::replies;
pub use server::{Depth, Smtp, Trace};
pub use session::{Limits, Session, SessionConfig};
pub use tls::{SetupError, Trust};
pub use trace::{Step, TraceRecorder};

/// User name and password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name.
    pub username: String,
    /// The password or authorization code.
    pub password: Secret,
}

/// The login of a mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// With a password (PLAIN, LOGIN).
    Password(Credentials),
    /// With an OAuth access token (XOAUTH2).
    Xoauth2 {
        /// The user name.
        username: String,
        /// The source of tokens.
        source: oauth::Settings,
    },
}

impl Login {
    /// The user name.
    pub fn username(&self) -> &str {
        match self {
            Self::Password(credentials) => &credentials.username,
            Self::Xoauth2 { username, .. } => username,
        }
    }
}

/// Settings of an SMTP server, besides those of [`Common`](crate::transport::Common).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The mail service, if configured (`provider`); selects the table rows that explain its
    /// replies.
    pub provider: Option<&'static str>,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Encryption.
    pub tls: Tls,
    /// Whether the login may be sent over an unencrypted connection, because the operator has set
    /// `tls = "none"`. To a loopback address it always may.
    pub plain_login: bool,
    /// PEM file of an additional root certificate.
    pub tls_ca_file: Option<PathBuf>,
    /// The name in EHLO and HELO, if not the default; see [`is_helo_name`].
    pub helo_name: Option<String>,
    /// The login, if the server requires one.
    pub login: Option<Login>,
    /// Maximum number of mails over one connection, at least 1.
    pub max_mails_per_connection: u32,
    /// Time limit of each step, except the reply to the final dot.
    pub timeout: Duration,
}
