//! Events whose mails wait for small copies of their pictures, and the verbs about them.

use std::fmt;
use std::sync::Arc;

use super::{Lease, Queue, StoreError};
use crate::domain::{Capture, Event, EventId, Timestamp};

/// An event whose deliveries wait until `until` for small copies of its pictures.
#[derive(Clone)]
pub struct WaitingEvent {
    /// Which event.
    pub event_id: EventId,
    /// Its deliveries are due then, with the copies or without.
    pub until: Timestamp,
    pub(super) event_seq: i64,
    pub(super) payload: Arc<[u8]>,
}

impl WaitingEvent {
    /// Reads the event.
    ///
    /// # Errors
    /// When the stored event is none that this version understands.
    pub fn event(&self) -> Result<Event, StoreError> {
        serde_json::from_slice(&self.payload).map_err(|error| StoreError::Unreadable { source: Arc::new(error) })
    }

    /// Whether both are the same.
    pub fn is(&self, other: &Self) -> bool {
        self.event_seq == other.event_seq && self.event_id == other.event_id
    }
}

/// Without the event, so that a stray `{:?}` gives nothing away.
impl fmt::Debug for WaitingEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitingEvent").field("event_id", &self.event_id).field("until", &self.until).finish_non_exhaustive()
    }
}

impl Queue {
    /// At most `limit` events whose mails wait for small copies of their pictures, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn waiting_for_pictures(&self, limit: usize) -> Result<Vec<WaitingEvent>, StoreError> {
        self.store.waiting_for_pictures(limit).await
    }

    /// Waits until an event has come in whose mails wait for pictures. For one waiter; a call in its absence is kept.
    pub async fn pictures_wanted(&self) {
        self.store.pictures_wanted().await;
    }

    /// Puts down what became of an event's pictures and makes its deliveries due. Says whether that was in time: from the first claim of one of its
    /// deliveries on, nothing is added any more.
    ///
    /// # Errors
    /// When the store refuses; nothing has changed then.
    pub async fn keep_pictures(&self, waiting: &WaitingEvent, captures: Vec<Capture>, now: Timestamp) -> Result<bool, StoreError> {
        self.store.keep_pictures(waiting.clone(), captures, now).await
    }

    /// What became of the pictures of a lease's event; the same at every attempt. None when small copies were not asked for.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn pictures(&self, lease: &Lease) -> Result<Option<Vec<Capture>>, StoreError> {
        match lease.pictures_of {
            Some(event_seq) => self.store.pictures(event_seq).await.map(Some),
            None => Ok(None),
        }
    }
}
