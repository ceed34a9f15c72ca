//! The `[queue]` table.

use std::path::PathBuf;
use std::time::Duration;

/// The `[queue]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The database file, absolute or relative to the working directory (the configuration has
    /// resolved it against `state_dir`).
    pub path: PathBuf,
    /// Where state is kept; the lock file stands here.
    pub state_dir: PathBuf,
    /// The most deliveries that may wait or be under way.
    pub max_pending: u64,
    /// How long finished deliveries stay on record.
    pub retention: Duration,
    /// How long the payloads of finished events stay; no longer than `retention` in any case.
    pub payload_retention: Duration,
    /// The longest pause that a retry may be planned for: what a start finds later than that was
    /// planned by a clock that was set back since.
    pub longest_pause: Duration,
    /// How long a delivery rests whose mail was under way when the daemon ended: the usual first
    /// pause, `retry.initial`.
    pub recovery_delay: Duration,
}
