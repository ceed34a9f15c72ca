//! The durable queue: what was accepted stays until it has ended.

use std::path::PathBuf;
use std::time::Duration;

/// The `[queue]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The database file, absolute or relative to the working directory (the configuration has resolved it against `state_dir`).
    pub path: PathBuf,
    /// Where state is kept; the lock file stands here.
    pub state_dir: PathBuf,
    /// The most deliveries that may wait or be under way.
    pub max_pending: u64,
    /// How long finished deliveries stay on record.
    pub retention: Duration,
}
