//! Why a queue in PostgreSQL cannot be opened.

use super::url::UrlError;
use crate::tls::TlsError;

/// Why the queue cannot be opened. Each message names the problem and the remedy. Only what a person
/// must mend is an error: while the database cannot be reached, the queue opens and waits for it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL.
    #[error("{0}")]
    Url(#[from] UrlError),
    /// The root certificates.
    #[error("queue.tls_ca_file: {0}")]
    Tls(#[from] TlsError),
    /// Another process uses the state directory, or it cannot be written.
    #[error(transparent)]
    StateDir(#[from] crate::queue::sqlite::OpenError),
    /// The server refuses the login, or the database or a right is missing.
    #[error(
        "the database refuses this queue: {0}; check queue.url, the password and the role's rights"
    )]
    Refused(String),
    /// The server cannot keep what it acknowledges.
    #[error("{0}")]
    Unsafe(String),
    /// The server is too old.
    #[error("PostgreSQL {0} is too old; jobbell needs PostgreSQL 14 or newer")]
    TooOld(String),
    /// The database has a schema that this version does not know.
    #[error(
        "the database has the schema version {found}, which needs a newer jobbell (this one knows {known}); install that version on this node as well"
    )]
    Newer {
        /// The version of the database.
        found: i32,
        /// The newest that this program knows.
        known: i32,
    },
    /// The key that encrypts codes and tokens is missing, or differs from that of the other nodes.
    #[error("queue.secret_key_file: {0}")]
    Key(String),
    /// The database has no queue yet, and a command that only reads does not create one.
    #[error("the database has no queue yet: start the daemon once with this queue.url")]
    NoQueue,
    /// `jobbell queue move` fills the database, or was broken off.
    #[error(
        "the database is being filled by `jobbell queue move`; if that was broken off, run it again"
    )]
    Incomplete,
    /// A statement failed.
    #[error("cannot open the queue in the database: {0}")]
    Statement(String),
    /// The database cannot be reached, and a single command does not wait for it.
    #[error("cannot reach the database: {0}")]
    Unreachable(String),
}

impl OpenError {
    /// Whether the configuration or the server must be changed first: to try again is of no use.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Url(_)
            | Self::Tls(_)
            | Self::Refused(_)
            | Self::Unsafe(_)
            | Self::TooOld(_)
            | Self::Newer { .. }
            | Self::Key(_)
            | Self::Incomplete => true,
            Self::StateDir(_) | Self::NoQueue | Self::Statement(_) | Self::Unreachable(_) => false,
        }
    }
}
