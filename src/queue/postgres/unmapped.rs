//! Payloads of webhooks that could not be mapped to an event.

use super::store::Store;
use crate::domain::Timestamp;
use crate::queue::{StoreError, UnmappedPayload, UnmappedRecord};

impl Store {
    pub(in crate::queue) async fn keep_unmapped(
        &self,
        _payload: UnmappedPayload,
        _now: Timestamp,
    ) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    pub(in crate::queue) async fn unmapped(
        &self,
        _limit: u32,
    ) -> Result<Vec<UnmappedRecord>, StoreError> {
        Err(StoreError::Closed)
    }

    pub(in crate::queue) async fn find_unmapped(
        &self,
        _id: i64,
    ) -> Result<Option<UnmappedRecord>, StoreError> {
        Err(StoreError::Closed)
    }
}
