//! Thumbnail jobs: events whose mails wait for thumbnails.

use std::fmt;
use std::sync::Arc;

use super::{Lease, Queue, StoreError};
use crate::domain::{Event, EventId, ThumbnailResult, Timestamp};

/// An event whose deliveries wait until `deadline` for its thumbnails.
#[derive(Clone)]
pub struct PendingThumbnails {
    /// Which event.
    pub event_id: EventId,
    /// Its deliveries are due then, with thumbnails or without.
    pub deadline: Timestamp,
    /// Its position in the order of acceptance.
    pub event_seq: i64,
    pub(super) payload: Arc<[u8]>,
}

impl PendingThumbnails {
    /// Parses the event.
    ///
    /// # Errors
    /// When this version cannot parse the stored event.
    pub fn event(&self) -> Result<Event, StoreError> {
        serde_json::from_slice(&self.payload).map_err(|error| StoreError::Unreadable {
            source: Arc::new(error),
        })
    }

    /// The same without the content of the event, to free memory after parsing.
    #[must_use]
    pub fn without_event(self) -> Self {
        Self {
            payload: Arc::from([].as_slice()),
            ..self
        }
    }
}

/// Omits the event, so that a stray `{:?}` leaks nothing.
impl fmt::Debug for PendingThumbnails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingThumbnails")
            .field("event_id", &self.event_id)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

impl Queue {
    /// At most `limit` events that wait for thumbnails, oldest first, with an `event_seq` above
    /// `after` and except those marked by [`Queue::begin_thumbnails`].
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

    /// Marks events before their images are fetched or decoded. If the process dies,
    /// [`Queue::open`] sends their mails without thumbnails, so that an image can crash the process
    /// only once. Returns the events that still wait.
    ///
    /// # Errors
    /// When the write fails; no event is marked then.
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

    /// Removes the marks in an orderly stop, so that the next start resumes the events.
    ///
    /// # Errors
    /// When the write fails.
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

    /// Waits until an event with thumbnails is enqueued. For one waiter; a call without a waiter is
    /// stored.
    pub async fn wait_for_thumbnails(&self) {
        self.store.wait_for_thumbnails().await;
    }

    /// Stores the thumbnails of an event and makes its deliveries due. Returns whether that was in
    /// time: after the first claim of one of its deliveries, thumbnails are dropped.
    ///
    /// # Errors
    /// When the write fails; nothing has changed then.
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

    /// The thumbnails of a lease's event, the same at every attempt. `None` if its mails include
    /// none.
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
