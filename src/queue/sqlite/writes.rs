//! The verbs that write.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::redact::{Cursor, RedactBatch};
use super::request::Request;
use super::store::{IfFull, Store};
use super::{purge, redact, unmapped};
use crate::domain::{DeliveryId, SuppressReason, ThumbnailResult, Timestamp};
use crate::queue::claimer::ClaimRequest;
use crate::queue::held::Renewal;
use crate::queue::prepared::PreparedRequest;
use crate::queue::{
    ClaimLimit, DeliveryRecord, EnqueueError, Enqueued, Lease, Maintenance, NewEvent,
    OperatorError, Retention, SettleError, Settled, Settlement, StoreError, ThumbnailJob,
    UnmappedPayload,
};

impl Store {
    pub(in crate::queue) async fn enqueue(
        &self,
        events: Vec<NewEvent>,
        key: Option<String>,
        now: Timestamp,
    ) -> Result<Vec<Enqueued>, EnqueueError> {
        let group = PreparedRequest::new(events, key, &self.files.vault)?;
        let answer = self.call(Request::Enqueue, group, now, IfFull::Refuse);
        match answer.await {
            Ok(answer) => answer,
            Err((_, StoreError::Busy)) => Err(EnqueueError::Busy),
            Err((_, error)) => Err(error.into()),
        }
    }

    pub(in crate::queue) async fn claim(
        &self,
        limit: ClaimLimit,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Lease>, StoreError> {
        self.write(Request::Claim, (limit, lease), now).await
    }

    /// Replaces the pending claim; does not wait for the writer.
    pub(in crate::queue) async fn set_claim(
        &self,
        request: ClaimRequest,
    ) -> Result<(), StoreError> {
        let place = self.reserve(IfFull::Wait).await?;
        place.send(Request::SetClaim(request));
        Ok(())
    }

    /// Extends leases; does not wait for the writer.
    pub(in crate::queue) async fn renew(&self, renewal: Renewal) -> Result<(), StoreError> {
        let place = self.reserve(IfFull::Wait).await?;
        place.send(Request::Renew(renewal));
        Ok(())
    }

    /// Removes the pending claim. After this, it is given no more leases.
    pub(in crate::queue) async fn stop_claim(&self) -> Result<(), StoreError> {
        let place = self.reserve(IfFull::Wait).await?;
        let (reply, stopped) = oneshot::channel();
        place.send(Request::StopClaim(reply));
        stopped.await.map_err(|_| StoreError::Closed)
    }

    pub(in crate::queue) async fn settle(
        &self,
        settlements: Vec<Settlement>,
        now: Timestamp,
    ) -> Result<Vec<Settled>, SettleError> {
        let answer = self.call(Request::Settle, settlements, now, IfFull::Wait);
        answer.await.map_err(|(settlements, error)| SettleError {
            error,
            settlements: settlements.unwrap_or_default(),
        })
    }

    pub(in crate::queue) async fn retry(
        &self,
        id: DeliveryId,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<DeliveryRecord, OperatorError> {
        self.write(Request::Retry, (id, expires_at), now).await?
    }

    pub(in crate::queue) async fn cancel(
        &self,
        id: DeliveryId,
        now: Timestamp,
    ) -> Result<DeliveryRecord, OperatorError> {
        self.write(Request::Cancel, id, now).await?
    }

    pub(in crate::queue) async fn suppress(
        &self,
        id: DeliveryId,
        reason: SuppressReason,
        now: Timestamp,
    ) -> Result<DeliveryRecord, OperatorError> {
        self.write(Request::Suppress, (id, reason), now).await?
    }

    pub(in crate::queue) async fn maintain(
        &self,
        retention: &Retention,
        limit: u32,
        now: Timestamp,
    ) -> Result<Maintenance, StoreError> {
        let purged = self.purge(now.before(retention.deliveries), limit).await?;
        let before = now.before(retention.payloads);
        self.purge_unmapped(before).await?;
        let mut done = Maintenance {
            purged,
            redacted: 0,
            more: purged >= u64::from(limit),
        };
        if retention.payloads < retention.deliveries {
            let after = self.redact_cursor().position(retention.rescan, now);
            let batch = self.redact_payloads(before, after, limit).await?;
            self.redact_cursor().advance(batch.after);
            done.redacted = batch.events;
            done.more |= batch.more;
        }
        Ok(done)
    }

    fn redact_cursor(&self) -> MutexGuard<'_, Cursor> {
        self.redact_cursor
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn purge(&self, ended_before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let rows = self
            .readers
            .read(move |conn| Ok(purge::find(conn, ended_before, limit)?))
            .await?;
        if rows.is_empty() {
            return Ok(0);
        }
        self.write(Request::Purge, (rows, ended_before), ended_before)
            .await
    }

    async fn redact_payloads(
        &self,
        ended_before: Timestamp,
        after: i64,
        limit: u32,
    ) -> Result<RedactBatch, StoreError> {
        let (rows, found) = self
            .readers
            .read(move |conn| Ok(redact::find(conn, ended_before, after, limit)?))
            .await?;
        if rows.is_empty() {
            return Ok(found);
        }
        let events = self
            .write(Request::Redact, (rows, ended_before), ended_before)
            .await?;
        Ok(RedactBatch { events, ..found })
    }

    /// Waits for an answer of the writer. A purge of no rows changes nothing; whether the disk works
    /// is for `health` to tell.
    pub(in crate::queue) async fn ping(&self) {
        let epoch = Timestamp::from_millis(0);
        drop(self.write(Request::Purge, (Vec::new(), epoch), epoch).await);
    }

    pub(in crate::queue) async fn claim_thumbnails(
        &self,
        after: i64,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<ThumbnailJob>, StoreError> {
        self.write(Request::ClaimThumbnails, (after, limit), now)
            .await
    }

    pub(in crate::queue) async fn release_thumbnails(
        &self,
        jobs: Vec<ThumbnailJob>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(Request::ReleaseThumbnails, jobs, now).await
    }

    pub(in crate::queue) async fn finish_thumbnails(
        &self,
        job: ThumbnailJob,
        results: Vec<ThumbnailResult>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(Request::FinishThumbnails, (job, results), now)
            .await
    }

    pub(in crate::queue) async fn wait_for_thumbnails(&self) {
        self.shared.thumbnails.notified().await;
    }

    pub(in crate::queue) async fn keep_unmapped(
        &self,
        payload: UnmappedPayload,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let kept = self.call(Request::KeepUnmapped, payload, now, IfFull::Refuse);
        kept.await.map_err(|(_, error)| error)
    }

    async fn purge_unmapped(&self, before: Timestamp) -> Result<(), StoreError> {
        let any = self
            .readers
            .read(move |conn| Ok(unmapped::any(conn, before)?))
            .await?;
        if any {
            self.write(Request::PurgeUnmapped, before, before).await?;
        }
        Ok(())
    }
}
