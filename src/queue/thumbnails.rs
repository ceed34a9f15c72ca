//! Events whose mails wait for small copies of their pictures, and the verbs about them.

use std::fmt;
use std::sync::Arc;

use super::{Lease, Queue, StoreError};
use crate::domain::{Event, EventId, ThumbnailResult, Timestamp};

/// An event whose deliveries wait until `deadline` for small copies of its pictures.
#[derive(Clone)]
pub struct PendingThumbnails {
    /// Which event.
    pub event_id: EventId,
    /// Its deliveries are due then, with the copies or without.
    pub deadline: Timestamp,
    /// Its place among all events, in the order in which they came in.
    pub event_seq: i64,
    pub(super) payload: Arc<[u8]>,
}

impl PendingThumbnails {
    /// Reads the event.
    ///
    /// # Errors
    /// When the stored event is none that this version understands.
    pub fn event(&self) -> Result<Event, StoreError> {
        serde_json::from_slice(&self.payload).map_err(|error| StoreError::Unreadable {
            source: Arc::new(error),
        })
    }

    /// The same without the event's content, for whoever has read it.
    #[must_use]
    pub fn without_event(self) -> Self {
        Self {
            payload: Arc::from([].as_slice()),
            ..self
        }
    }
}

/// Without the event, so that a stray `{:?}` gives nothing away.
impl fmt::Debug for PendingThumbnails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingThumbnails")
            .field("event_id", &self.event_id)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

impl Queue {
    /// At most `limit` events whose mails wait for small copies of their pictures, oldest first:
    /// those with an `event_seq` above `after` that [`Queue::begin_thumbnails`] has not marked.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn pending_thumbnails(
        &self,
        after: i64,
        limit: usize,
    ) -> Result<Vec<PendingThumbnails>, StoreError> {
        self.store.pending_thumbnails(after, limit).await
    }

    /// Marks events as being worked on, before anything is fetched or decoded for them: when the
    /// process dies meanwhile, [`Queue::open`] gives up their copies and lets their mails go, so
    /// that a picture that kills the process does it once. Returns those that still wait.
    ///
    /// # Errors
    /// When the store refuses; nothing is marked then.
    pub async fn begin_thumbnails(
        &self,
        waiting: Vec<PendingThumbnails>,
        now: Timestamp,
    ) -> Result<Vec<PendingThumbnails>, StoreError> {
        let marked = self
            .store
            .mark_thumbnails(waiting.clone(), true, now)
            .await?;
        Ok(waiting
            .into_iter()
            .zip(marked)
            .filter_map(|(event, marked)| marked.then_some(event))
            .collect())
    }

    /// Takes those marks back in an orderly stop, so that the next start takes the events up again.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn release_thumbnails(
        &self,
        begun: Vec<PendingThumbnails>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.store
            .mark_thumbnails(begun, false, now)
            .await
            .map(drop)
    }

    /// Waits until an event has come in whose mails wait for pictures. For one waiter; a call in
    /// its absence is kept.
    pub async fn wait_for_thumbnails(&self) {
        self.store.wait_for_thumbnails().await;
    }

    /// Puts down what became of an event's pictures and makes its deliveries due. Says whether that
    /// was in time: from the first claim of one of its deliveries on, nothing is added any more.
    ///
    /// # Errors
    /// When the store refuses; nothing has changed then.
    pub async fn finish_thumbnails(
        &self,
        waiting: &PendingThumbnails,
        captures: Vec<ThumbnailResult>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.store
            .finish_thumbnails(waiting.clone(), captures, now)
            .await
    }

    /// What became of the pictures of a lease's event; the same at every attempt. None when small
    /// copies were not asked for.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn thumbnails(
        &self,
        lease: &Lease,
    ) -> Result<Option<Vec<ThumbnailResult>>, StoreError> {
        match lease.thumbnails_of {
            Some(event_seq) => self.store.thumbnails(event_seq).await.map(Some),
            None => Ok(None),
        }
    }
}
