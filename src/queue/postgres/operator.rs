//! Verbs of the operator.

use super::store::Store;
use crate::domain::{DeliveryId, SuppressReason, Timestamp};
use crate::queue::{DeliveryRecord, OperatorError, StoreError};

impl Store {
    pub(in crate::queue) async fn retry(
        &self,
        _id: DeliveryId,
        _expires_at: Timestamp,
        _now: Timestamp,
    ) -> Result<DeliveryRecord, OperatorError> {
        Err(StoreError::Closed.into())
    }

    pub(in crate::queue) async fn cancel(
        &self,
        _id: DeliveryId,
        _now: Timestamp,
    ) -> Result<DeliveryRecord, OperatorError> {
        Err(StoreError::Closed.into())
    }

    pub(in crate::queue) async fn suppress(
        &self,
        _id: DeliveryId,
        _reason: SuppressReason,
        _now: Timestamp,
    ) -> Result<DeliveryRecord, OperatorError> {
        Err(StoreError::Closed.into())
    }
}
