//! The `[queue]` table.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where a queue is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// The file of a SQLite database, absolute or relative to the working directory.
    Sqlite(PathBuf),
}

impl Location {
    /// The file of the database.
    pub fn path(&self) -> &Path {
        let Self::Sqlite(path) = self;
        path
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
