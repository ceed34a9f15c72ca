//! Operator verbs for one delivery.

use super::{DeliveryRecord, OperatorError, Queue};
use crate::domain::{DeliveryId, SuppressReason, Timestamp};

impl Queue {
    /// Returns a dead or cancelled delivery to the queue, due now, with attempts at 0, to expire at
    /// `expires_at`; a queued one becomes due now and is otherwise unchanged. Ignores
    /// `max_pending`. Does not extend the TTL of a message
    /// ([`Event::ttl`](crate::domain::Event::ttl)).
    ///
    /// # Errors
    /// [`OperatorError::Conflict`] when it is being sent, was sent or suppressed;
    /// [`OperatorError::PayloadRemoved`] when its payload, or the code or link in it, was removed;
    /// [`OperatorError::TooSoon`] within a minute of the last retry; [`OperatorError::Expired`]
    /// when the TTL of the message is over.
    pub async fn retry(
        &self,
        id: DeliveryId,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<DeliveryRecord, OperatorError> {
        let record = on_store!(self, store => store.retry(id, expires_at, now).await)?;
        Ok(record.shifted(self.clock().offset()))
    }

    /// Cancels a queued delivery.
    ///
    /// # Errors
    /// [`OperatorError::Conflict`] when it is in any other state.
    pub async fn cancel(
        &self,
        id: DeliveryId,
        now: Timestamp,
    ) -> Result<DeliveryRecord, OperatorError> {
        let record = on_store!(self, store => store.cancel(id, now).await)?;
        Ok(record.shifted(self.clock().offset()))
    }

    /// Suppresses a queued, dead or cancelled delivery.
    ///
    /// # Errors
    /// [`OperatorError::Conflict`] when it is in any other state.
    pub async fn suppress(
        &self,
        id: DeliveryId,
        reason: SuppressReason,
        now: Timestamp,
    ) -> Result<DeliveryRecord, OperatorError> {
        let record = on_store!(self, store => store.suppress(id, reason, now).await)?;
        Ok(record.shifted(self.clock().offset()))
    }
}
