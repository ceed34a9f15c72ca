//! What an operator does to one delivery.

use super::{DeliveryRecord, OperatorError, Queue};
use crate::domain::{DeliveryId, SuppressReason, Timestamp};

impl Queue {
    /// Puts a dead or cancelled delivery back into the queue, due now, its attempts at 0, to expire
    /// at `expires_at`; a queued one becomes due now and keeps the rest. May exceed `max_pending`:
    /// it is the operator's word. A message with a life of its own
    /// ([`Event::life`](crate::domain::Event::life)) gets no longer one.
    ///
    /// # Errors
    /// [`OperatorError::Conflict`] when it is being sent, was sent or suppressed;
    /// [`OperatorError::PayloadRemoved`] when its payload, or the code or link in it, was removed;
    /// [`OperatorError::TooSoon`] within a minute of the last retry by hand; [`OperatorError::Expired`]
    /// when its own life is over.
    pub async fn retry(
        &self,
        id: DeliveryId,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<DeliveryRecord, OperatorError> {
        self.store.retry(id, expires_at, now).await
    }

    /// Takes a queued delivery back.
    ///
    /// # Errors
    /// [`OperatorError::Conflict`] when it is in any other state.
    pub async fn cancel(
        &self,
        id: DeliveryId,
        now: Timestamp,
    ) -> Result<DeliveryRecord, OperatorError> {
        self.store.cancel(id, now).await
    }

    /// Ends a queued, dead or cancelled delivery that is not to be sent any more.
    ///
    /// # Errors
    /// [`OperatorError::Conflict`] when it is in any other state.
    pub async fn suppress(
        &self,
        id: DeliveryId,
        reason: SuppressReason,
        now: Timestamp,
    ) -> Result<DeliveryRecord, OperatorError> {
        self.store.suppress(id, reason, now).await
    }
}
