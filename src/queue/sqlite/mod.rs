//! The queue on SQLite.
//!
//! - One thread writes (`writer`): everything that waits becomes one `BEGIN IMMEDIATE` transaction
//!   and one fsync, then all are answered. So a thousand producers share one fsync, and an answer
//!   means that the event is on disk.
//! - `synchronous = FULL` in WAL mode: the commit is fsynced before it is acknowledged. A torn tail
//!   of the log is dropped at the next open.
//! - A batch that the disk refuses is rolled back and all who asked are told; after anything but a
//!   full disk or a lock held too long the handle is opened anew. The next write that succeeds ends
//!   the failing state; no restart is needed.
//! - A request that fails by itself takes nobody with it: its batch is rolled back and run again
//!   one by one.
//! - A claim that finds nothing may stay (`standing`): the commit that brings something hands it
//!   out as well.
//! - Two connections read beside the writer (`readers`), and two more are for lists alone, with a
//!   limit of time; they see commits only.
//! - Codes and secret links are encrypted (`vault`), and masked when their mail has ended
//!   (`secrets`).
//! - `place` keeps a second daemon out with a lock on the database file, `watch` notices when that
//!   file is removed or replaced, and `place` refuses to begin anew where a queue was kept; `log`
//!   refuses a log that lost commits.
//! - Numbers by state live in one row of `counts`, written in the transaction that changes them; a
//!   start does not count rows.

mod backup;
mod check;
mod claim;
mod claimer;
mod clock_shift;
mod connect;
mod crashed;
mod enqueue;
mod key;
mod location;
mod migrate;
mod open;
mod operator;
mod purge;
mod read;
mod readers;
mod reading;
mod redact;
mod row;
mod secrets;
mod send_history;
mod settle;
#[cfg(test)]
mod tests;
mod thumbnails;
mod tx;
mod unmapped;
mod wal;
mod watch;
mod writer;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::domain::{DeliveryId, SuppressReason, ThumbnailResult, Timestamp};
use crate::queue::prepared::PreparedRequest;
use crate::queue::rendering::Rendering;
use crate::queue::vault::Vault;
use crate::queue::{
    ClaimLimit, Counts, DeliveryRecord, EnqueueError, Enqueued, Health, Lease, NewEvent,
    OperatorError, PendingThumbnails, RedactBatch, SettleError, Settled, Settlement, StoreError,
    UnmappedPayload,
};
pub(super) use backup::backup;
pub(super) use check::{check, find};
use claimer::ClaimRequest;
use location::Location;
use readers::Readers;
use tx::{Answer, Pending, Request};
use watch::Watch;
use writer::Shared;

/// How many requests may wait for the writer.
const INBOX: usize = 4096;
/// How long a verb of our own waits for a place among them; producers do not wait at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// The handle: what the rest of the crate holds while the writer's thread does the work.
///
/// Fields are dropped in this order: without a sender the thread ends, and then it is waited for,
/// so that the lock is free when the last handle is gone.
#[derive(Debug)]
pub(super) struct Store {
    inbox: mpsc::Sender<Request>,
    readers: Arc<Readers>,
    /// Apart from the others, because a list may take long.
    lists: Arc<Readers>,
    shared: Arc<Shared>,
    files: Files,
    closed: AtomicBool,
    pub(super) rendering: Rendering,
    thread: Thread,
}

/// What the writer and the readers of a store share.
#[derive(Debug, Clone)]
struct Files {
    place: Location,
    watch: Arc<Watch>,
    vault: Arc<Vault>,
}

/// Where the answer to a claim that may stay comes in.
pub(super) struct ClaimAnswer(oneshot::Receiver<Answer<ClaimRequest, Vec<Lease>>>);

impl ClaimAnswer {
    /// May be dropped while it waits, and asked again.
    pub(super) async fn leases(&mut self) -> Result<Vec<Lease>, StoreError> {
        match (&mut self.0).await {
            Ok(answer) => answer.map_err(|(_, error)| error),
            Err(_) => Err(StoreError::Closed),
        }
    }
}

/// The writer's thread, waited for when dropped.
#[derive(Debug)]
struct Thread(Mutex<Option<JoinHandle<()>>>);

impl Thread {
    fn take(&self) -> Option<JoinHandle<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some(thread) = self.take() {
            drop(thread.join());
        }
    }
}

impl Store {
    /// Hands a request to the writer and waits for its answer; the input comes back with an error,
    /// unless the thread died with it.
    async fn ask<I, R>(
        &self,
        request: fn(Pending<I, R>) -> Request,
        input: I,
        now: Timestamp,
        wait: bool,
    ) -> Result<R, (Option<I>, StoreError)> {
        match self.hand_in(request, input, now, wait).await?.await {
            Ok(answer) => answer.map_err(|(input, error)| (Some(input), error)),
            Err(_) => Err((None, StoreError::Closed)),
        }
    }

    /// Hands a request to the writer.
    async fn hand_in<I, R>(
        &self,
        request: fn(Pending<I, R>) -> Request,
        input: I,
        now: Timestamp,
        wait: bool,
    ) -> Result<oneshot::Receiver<Answer<I, R>>, (Option<I>, StoreError)> {
        if self.closed.load(Ordering::Acquire) {
            return Err((Some(input), StoreError::Closed));
        }
        let place = match self.inbox.try_reserve() {
            Ok(place) => place,
            Err(mpsc::error::TrySendError::Closed(())) => {
                return Err((Some(input), StoreError::Closed));
            }
            Err(mpsc::error::TrySendError::Full(())) if !wait => {
                return Err((Some(input), StoreError::Busy));
            }
            Err(mpsc::error::TrySendError::Full(())) => {
                match tokio::time::timeout(PATIENCE, self.inbox.reserve()).await {
                    Ok(Ok(place)) => place,
                    Ok(Err(_)) => return Err((Some(input), StoreError::Closed)),
                    Err(_) => return Err((Some(input), StoreError::Busy)),
                }
            }
        };
        let (ask, answer) = Pending::new(input, now);
        place.send(request(ask));
        Ok(answer)
    }

    pub(super) async fn enqueue(
        &self,
        events: Vec<NewEvent>,
        key: Option<String>,
        now: Timestamp,
    ) -> Result<Vec<Enqueued>, EnqueueError> {
        let group = PreparedRequest::new(events, key, &self.files.vault)?;
        match self.ask(Request::Enqueue, group, now, false).await {
            Ok(answer) => answer,
            Err((_, StoreError::Busy)) => Err(EnqueueError::Busy),
            Err((_, error)) => Err(error.into()),
        }
    }

    pub(super) async fn claim(
        &self,
        limit: ClaimLimit,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Lease>, StoreError> {
        self.ask(Request::Claim, (limit, lease), now, true)
            .await
            .map_err(|(_, error)| error)
    }

    pub(super) async fn claim_next(
        &self,
        limit: ClaimLimit,
        lease: Duration,
        instead: bool,
        now: Timestamp,
    ) -> Result<ClaimAnswer, StoreError> {
        self.shared.status().next_claim_at = None;
        let handed = self
            .hand_in(
                Request::ClaimNext,
                ClaimRequest {
                    limit,
                    lease,
                    instead,
                },
                now,
                true,
            )
            .await;
        handed.map(ClaimAnswer).map_err(|(_, error)| error)
    }

    pub(super) fn next_claim_at(&self) -> Option<Timestamp> {
        self.shared.status().next_claim_at
    }

    pub(super) async fn settle(
        &self,
        settlements: Vec<Settlement>,
        now: Timestamp,
    ) -> Result<Vec<Settled>, SettleError> {
        let refused = |(settlements, error): (Option<_>, _)| SettleError {
            error,
            settlements: settlements.unwrap_or_default(),
        };
        self.ask(Request::Settle, settlements, now, true)
            .await
            .map_err(refused)
    }

    pub(super) async fn retry(
        &self,
        id: DeliveryId,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<DeliveryRecord, OperatorError> {
        self.ask(Request::Retry, (id, expires_at), now, true)
            .await
            .map_err(|(_, error)| error)?
    }

    pub(super) async fn cancel(
        &self,
        id: DeliveryId,
        now: Timestamp,
    ) -> Result<DeliveryRecord, OperatorError> {
        self.ask(Request::Cancel, id, now, true)
            .await
            .map_err(|(_, error)| error)?
    }

    pub(super) async fn suppress(
        &self,
        id: DeliveryId,
        reason: SuppressReason,
        now: Timestamp,
    ) -> Result<DeliveryRecord, OperatorError> {
        self.ask(Request::Suppress, (id, reason), now, true)
            .await
            .map_err(|(_, error)| error)?
    }

    pub(super) async fn purge(
        &self,
        ended_before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let rows = self
            .readers
            .read(move |conn| Ok(purge::look(conn, ended_before, limit)?))
            .await?;
        if rows.is_empty() {
            return Ok(0);
        }
        self.ask(Request::Purge, (rows, ended_before), ended_before, true)
            .await
            .map_err(|(_, error)| error)
    }

    pub(super) async fn shift_schedule(
        &self,
        millis: i64,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.ask(Request::ShiftSchedule, millis, now, true)
            .await
            .map_err(|(_, error)| error)
    }

    pub(super) async fn redact_payloads(
        &self,
        ended_before: Timestamp,
        after: i64,
        limit: u32,
    ) -> Result<RedactBatch, StoreError> {
        let (rows, found) = self
            .readers
            .read(move |conn| Ok(redact::look(conn, ended_before, after, limit)?))
            .await?;
        if rows.is_empty() {
            return Ok(found);
        }
        let events = self
            .ask(Request::Forget, (rows, ended_before), ended_before, true)
            .await
            .map_err(|(_, error)| error)?;
        Ok(RedactBatch { events, ..found })
    }

    pub(super) async fn ping(&self) {
        // An empty batch touches no row. That the disk fails is told by `health`; here it only
        // matters that the thread answers.
        drop(
            self.ask(
                Request::Purge,
                (Vec::new(), Timestamp::from_millis(0)),
                Timestamp::from_millis(0),
                true,
            )
            .await,
        );
    }

    pub(super) async fn mark_thumbnails(
        &self,
        waiting: Vec<PendingThumbnails>,
        started: bool,
        now: Timestamp,
    ) -> Result<Vec<bool>, StoreError> {
        self.ask(Request::MarkThumbnails, (waiting, started), now, true)
            .await
            .map_err(|(_, error)| error)
    }

    pub(super) async fn finish_thumbnails(
        &self,
        waiting: PendingThumbnails,
        captures: Vec<ThumbnailResult>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.ask(Request::FinishThumbnails, (waiting, captures), now, true)
            .await
            .map_err(|(_, error)| error)
    }

    pub(super) async fn wait_for_thumbnails(&self) {
        self.shared.wait_for_thumbnails.called().await;
    }

    pub(super) async fn keep_unmapped(
        &self,
        failure: UnmappedPayload,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.ask(Request::KeepUnmapped, failure, now, false)
            .await
            .map_err(|(_, error)| error)
    }

    pub(super) async fn purge_unmapped(&self, before: Timestamp) -> Result<(), StoreError> {
        if self
            .readers
            .read(move |conn| Ok(unmapped::any(conn, before)?))
            .await?
        {
            self.ask(Request::PurgeUnmapped, before, before, true)
                .await
                .map_err(|(_, error)| error)?;
        }
        Ok(())
    }

    pub(super) fn counts(&self) -> Result<Counts, StoreError> {
        if self.closed.load(Ordering::Acquire) {
            Err(StoreError::Closed)
        } else {
            Ok(self.shared.status().counts)
        }
    }

    pub(super) async fn wait_for_work(&self) {
        self.shared.wake.called().await;
    }

    pub(super) fn health(&self) -> Health {
        if self.inbox.is_closed() {
            return Health::Failing(StoreError::Closed.to_string());
        }
        let failing = self.shared.status().failing.clone();
        match failing {
            None => match self.files.watch.check() {
                Ok(()) => Health::Ready,
                Err(displaced) => {
                    // The writer finds the same, and says it once in the log.
                    drop(self.inbox.try_send(Request::Probe));
                    Health::Failing(displaced.to_string())
                }
            },
            Some(reason) => {
                // Producers stay away while we are not ready, so nobody else might ever try. A full
                // inbox tries by itself.
                drop(self.inbox.try_send(Request::Probe));
                Health::Failing(reason)
            }
        }
    }

    pub(super) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.readers.close().await;
        self.lists.close().await;
        if let Some(thread) = self.thread.take() {
            // Fails only when the thread has ended already.
            drop(self.inbox.send(Request::Stop).await);
            drop(tokio::task::spawn_blocking(move || drop(thread.join())).await);
        }
    }
}
