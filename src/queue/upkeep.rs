//! What keeps the store in order: the clock, and what has ended.

use super::{Queue, RedactBatch, StoreError};
use crate::domain::Timestamp;

impl Queue {
    /// Moves all that waits or is under way along with a clock that was set by so many
    /// milliseconds: when it is due, and when it expires. One commit, which takes time in
    /// proportion to what waits. `now` is the present by the clock as it goes from then on. No
    /// claim may stand that was made by the old time. Says how many deliveries.
    ///
    /// # Errors
    /// When the store refuses; nothing was moved then.
    pub async fn shift_schedule(&self, millis: i64, now: Timestamp) -> Result<u64, StoreError> {
        self.store.shift_schedule(millis, now).await
    }

    /// Removes the payloads of at most `limit` (and at most 10,000) events whose deliveries all
    /// ended before `ended_before` (and before `now`). The delivery facts stay, and so does what
    /// tells a repetition; a delivery without its payload cannot be retried. Goes on from `after`,
    /// 0 at first.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn redact_payloads(
        &self,
        ended_before: Timestamp,
        after: i64,
        limit: u32,
        now: Timestamp,
    ) -> Result<RedactBatch, StoreError> {
        self.store
            .redact_payloads(ended_before.min(now), after, limit)
            .await
    }

    /// Removes at most `limit` (and at most 10,000) deliveries that ended before `ended_before`
    /// (and before `now`), their tries, and events left without deliveries; says how many
    /// deliveries. The id of a removed event is free again, and a key when the last event of its
    /// request is removed.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn purge(
        &self,
        ended_before: Timestamp,
        limit: u32,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.store.purge(ended_before.min(now), limit).await
    }
}
