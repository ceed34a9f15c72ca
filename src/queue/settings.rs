//! The `[queue]` table.

use std::path::{Path, PathBuf};
use std::time::Duration;

#[cfg(feature = "postgres")]
use crate::secret::Secret;

/// Where a queue is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// The file of a SQLite database, absolute or relative to the working directory.
    Sqlite(PathBuf),
    /// A PostgreSQL database, which other nodes may use as well.
    #[cfg(feature = "postgres")]
    Postgres(Box<PostgresSettings>),
}

impl Location {
    /// The file of a SQLite database.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => None,
        }
    }

    /// The settings of a PostgreSQL database.
    #[cfg(feature = "postgres")]
    pub fn postgres(&self) -> Option<&PostgresSettings> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(settings) => Some(settings),
        }
    }
}

/// The `[queue]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the queue is.
    pub location: Location,
    /// The state directory, which contains the files that belong to this machine, such as the lock.
    pub state_dir: PathBuf,
    /// The most deliveries that may be queued or sending.
    pub max_pending: u64,
    /// How long ended deliveries stay on record.
    pub retention: Duration,
    /// How long payloads of ended events stay on record; at most `retention`.
    pub payload_retention: Duration,
    /// The pause before a delivery is tried again that was sending when the daemon died:
    /// `retry.initial`.
    pub recovery_delay: Duration,
}

/// Where a queue in PostgreSQL is, and who works on it.
#[cfg(feature = "postgres")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresSettings {
    /// `queue.url`: `postgres://…`, possibly with several hosts and with a password. It has a user name
    /// and a database, added from the environment if need be.
    pub url: Secret,
    /// The password for a URL without one: that of `url`, else that of the environment (`PGPASSWORD`,
    /// `PGPASSFILE`) if there is no `password_file`.
    pub password: Option<Secret>,
    /// `queue.password_file`: the password for a URL without one. It is read for each connection.
    pub password_file: Option<PathBuf>,
    /// `queue.tls_ca_file`: root certificates besides those of the system.
    pub tls_ca_file: Option<PathBuf>,
    /// `queue.listen_url`: a direct connection for LISTEN, if `url` leads to a connection pooler.
    pub listen_url: Option<Secret>,
    /// `queue.secret_key_file`: the key that encrypts codes, links and refresh tokens, the same on
    /// every node.
    pub secret_key_file: Option<PathBuf>,
    /// `queue.node_name`; by default made from the host name.
    pub node_name: Option<String>,
}
