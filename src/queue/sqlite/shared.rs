//! State that the writer publishes to the handles of its store.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::queue::Counts;

/// State that the writer publishes, and the clock of the store.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) clock: Clock,
    status: Mutex<Status>,
    /// Notified when a thumbnail job is added.
    pub(super) thumbnails: Notify,
}

/// The state after the last transaction.
#[derive(Debug, Default, Clone)]
pub(super) struct Status {
    pub(super) counts: Counts,
    /// Why the last write failed, if it did.
    pub(super) failing: Option<String>,
}

impl Shared {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            ..Self::default()
        }
    }

    pub(super) fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
