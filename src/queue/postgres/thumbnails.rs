//! Thumbnail jobs and thumbnails.

use super::store::Store;
use crate::domain::{ThumbnailResult, Timestamp};
use crate::queue::lease::EventKey;
use crate::queue::{StoreError, ThumbnailJob};

impl Store {
    pub(in crate::queue) async fn thumbnails(
        &self,
        _event: EventKey,
    ) -> Result<Vec<ThumbnailResult>, StoreError> {
        Err(StoreError::Closed)
    }

    pub(in crate::queue) async fn claim_thumbnails(
        &self,
        _after: i64,
        _limit: usize,
        _now: Timestamp,
    ) -> Result<Vec<ThumbnailJob>, StoreError> {
        Err(StoreError::Closed)
    }

    pub(in crate::queue) async fn release_thumbnails(
        &self,
        _jobs: Vec<ThumbnailJob>,
        _now: Timestamp,
    ) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    pub(in crate::queue) async fn finish_thumbnails(
        &self,
        _job: ThumbnailJob,
        _results: Vec<ThumbnailResult>,
        _now: Timestamp,
    ) -> Result<bool, StoreError> {
        Err(StoreError::Closed)
    }

    pub(in crate::queue) async fn wait_for_thumbnails(&self) {
        self.shared.thumbnails.notified().await;
    }
}
