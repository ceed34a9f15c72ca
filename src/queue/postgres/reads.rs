//! Reads.

use std::time::Duration;

use super::store::Store;
use crate::domain::{DeliveryId, EventId, Lane, Timestamp};
use crate::queue::{
    CountCheck, Counts, DeliveryRecord, EventRecord, Filter, ListError, Page, SentCount, StoreError,
};

impl Store {
    pub(in crate::queue) async fn sources_of(
        &self,
        _ids: Vec<EventId>,
    ) -> Result<Vec<(EventId, String)>, StoreError> {
        Err(StoreError::Closed)
    }

    pub(in crate::queue) async fn send_history(
        &self,
        _after: Timestamp,
    ) -> Result<Vec<SentCount>, StoreError> {
        Err(StoreError::Closed)
    }

    pub(in crate::queue) async fn find(
        &self,
        _id: EventId,
    ) -> Result<Option<EventRecord>, StoreError> {
        Err(StoreError::Closed)
    }

    pub(in crate::queue) async fn find_delivery(
        &self,
        _id: DeliveryId,
    ) -> Result<Option<DeliveryRecord>, StoreError> {
        Err(StoreError::Closed)
    }

    pub(in crate::queue) async fn list(
        &self,
        _filter: Filter,
        _cursor: Option<&str>,
        _limit: u32,
    ) -> Result<Page, ListError> {
        Err(StoreError::Closed.into())
    }

    pub(in crate::queue) async fn counts(&self) -> Result<Counts, StoreError> {
        Err(StoreError::Closed)
    }

    pub(in crate::queue) async fn verify_counts(&self) -> Result<CountCheck, StoreError> {
        Err(StoreError::Closed)
    }

    pub(in crate::queue) async fn oldest_due(
        &self,
        _now: Timestamp,
    ) -> Result<Vec<(Lane, Duration)>, StoreError> {
        Err(StoreError::Closed)
    }
}
