//! Maintenance: retention.

use std::time::Duration;

use super::{Queue, StoreError};
use crate::domain::Timestamp;

/// How long data of ended deliveries stays on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Deliveries, since their end.
    pub deliveries: Duration,
    /// Payloads, since the end of the last delivery of their event; unmapped payloads, since they
    /// last arrived.
    pub payloads: Duration,
    /// How often the search for payloads restarts, to find events that had not ended when it passed
    /// them.
    pub rescan: Duration,
}

/// The result of [`Queue::maintain`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Maintenance {
    /// Removed deliveries.
    pub purged: u64,
    /// Removed payloads.
    pub redacted: u64,
    /// Whether there may be more to remove now.
    pub more: bool,
}

impl Queue {
    /// Removes what retention no longer keeps, at most `limit` (and at most 10,000) rows of each
    /// kind: ended deliveries with their attempts, events without deliveries, payloads of ended
    /// events, unmapped payloads. Call it again while [`Maintenance::more`].
    ///
    /// The delivery records and content hashes of a removed payload stay, but its deliveries cannot
    /// be retried. The id of a removed event can be used again, and a key once the last event of
    /// its request is removed.
    ///
    /// In PostgreSQL, deliveries are removed with their week, at most a week later than they could
    /// be, and `limit` does not count them. One node at a time removes anything; the others find
    /// nothing to do.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn maintain(
        &self,
        retention: &Retention,
        limit: u32,
        now: Timestamp,
    ) -> Result<Maintenance, StoreError> {
        on_store!(self, store => store.maintain(retention, limit, now).await)
    }
}
