//! How fast the death of a node is noticed.

use std::time::Duration;

use crate::clock::Reading;

/// The times of a node's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How long a node lives without a heartbeat.
    pub lease: Duration,
    /// How long before its end the node considers its own lease over.
    pub margin: Duration,
    /// The pause between two heartbeats.
    pub beat: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            margin: Duration::from_secs(5),
            beat: Duration::from_secs(5),
        }
    }
}

impl Pace {
    /// The end of the right to send, as a time since boot, after a heartbeat that was sent at
    /// `sent`.
    pub(super) fn end_after(&self, sent: Reading) -> Duration {
        sent.since_boot + self.lease.saturating_sub(self.margin)
    }

    /// The lease in milliseconds.
    pub(super) fn lease_millis(&self) -> i64 {
        i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX)
    }
}
