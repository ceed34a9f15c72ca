//! The `[queue]` table.

use std::path::PathBuf;
use std::time::Duration;

/// The `[queue]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The database file, absolute or relative to the working directory (the configuration has
    /// resolved it against `state_dir`).
    pub path: PathBuf,
    /// The state directory, which contains the lock file.
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
