//! Thumbnail jobs: events whose mails wait for thumbnails.

use std::fmt;
use std::sync::Arc;

use super::{Lease, PictureRecord, Queue, StoreError};
use crate::domain::{
    Event, EventId, MissingReason, Thumbnail, ThumbnailResult, ThumbnailState, Timestamp,
};

/// The right to make the thumbnails of an event, until `deadline`: its deliveries are due then, with
/// thumbnails or without, so this lease is never renewed.
#[derive(Clone)]
pub struct ThumbnailJob {
    /// The event.
    pub event_id: EventId,
    /// The end of the lease.
    pub deadline: Timestamp,
    /// The position in the order of acceptance.
    pub event_seq: i64,
    /// The fencing token, another one for each claim of the job.
    pub(super) token: i64,
    pub(super) payload: Arc<[u8]>,
}

impl ThumbnailJob {
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
impl fmt::Debug for ThumbnailJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThumbnailJob")
            .field("event_id", &self.event_id)
            .field("deadline", &self.deadline)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

impl Queue {
    /// Claims at most `limit` thumbnail jobs that no node holds, oldest first, with an `event_seq`
    /// above `after`.
    ///
    /// If the process dies, its jobs are not claimed again and their mails are sent without
    /// thumbnails, so that an image can crash the process only once.
    ///
    /// # Errors
    /// When the write fails; nothing is claimed then.
    pub async fn claim_thumbnails(
        &self,
        after: i64,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<ThumbnailJob>, StoreError> {
        on_store!(self, store => store.claim_thumbnails(after, limit, now).await)
    }

    /// Returns jobs to the queue, to be claimed again.
    ///
    /// # Errors
    /// When the write fails; the jobs stay claimed then.
    pub async fn release_thumbnails(
        &self,
        jobs: Vec<ThumbnailJob>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        on_store!(self, store => store.release_thumbnails(jobs, now).await)
    }

    /// Stores the thumbnails of an event and makes its deliveries due. Returns `false` and stores
    /// nothing if the lease is over: after the first claim of one of its deliveries, for example.
    ///
    /// # Errors
    /// When the write fails; nothing has changed then.
    pub async fn finish_thumbnails(
        &self,
        job: &ThumbnailJob,
        results: Vec<ThumbnailResult>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        on_store!(self, store => store.finish_thumbnails(job.clone(), results, now).await)
    }

    /// Waits until an event with thumbnails is enqueued. For one waiter; a notification without a
    /// waiter is stored.
    pub async fn wait_for_thumbnails(&self) {
        on_store!(self, store => store.wait_for_thumbnails().await);
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
        if !lease.has_thumbnails {
            return Ok(None);
        }
        on_store!(self, store => store.thumbnails(lease.event_key).await).map(Some)
    }
}

/// The images of an event, in their order. `known` are those with a row; the others wait for the
/// event's job, or will have no thumbnail.
pub(super) fn records(event: &Event, waits: bool, known: Vec<PictureRecord>) -> Vec<PictureRecord> {
    let Event::Job(job) = event else {
        return Vec::new();
    };
    let unknown = |index| {
        let (state, reason) = match index {
            Thumbnail::MAX_PER_EVENT.. => (ThumbnailState::None, Some(MissingReason::NotShown)),
            _ if waits => (ThumbnailState::Waiting, None),
            _ => (ThumbnailState::None, Some(MissingReason::NoTime)),
        };
        PictureRecord {
            index,
            state,
            reason,
            width: None,
            height: None,
            bytes: None,
        }
    };
    let mut records: Vec<PictureRecord> = (0..job.images.len()).map(unknown).collect();
    for record in known {
        if let Some(place) = records.get_mut(record.index) {
            *place = record;
        }
    }
    records
}
