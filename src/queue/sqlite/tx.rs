//! One transaction for many requests: what a verb is given to work with, and how requests are kept
//! until the commit.

use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::claimer::ClaimRequest;
use super::{claim, clock_shift, enqueue, operator, purge, redact, settle, thumbnails, unmapped};
use crate::domain::{DeliveryId, SuppressReason, ThumbnailResult, Timestamp};
use crate::queue::prepared::PreparedRequest;
use crate::queue::vault::Vault;
use crate::queue::{
    ClaimLimit, Counts, DeliveryRecord, EnqueueError, Enqueued, Lease, OperatorError,
    PendingThumbnails, Settled, Settlement, StoreError, UnmappedPayload,
};

/// The open transaction. What a verb changes here counts only if the commit succeeds.
pub(super) struct WriteTx<'c> {
    pub(super) conn: &'c Connection,
    /// Opens and closes payloads with codes and secret links.
    pub(super) vault: &'c Vault,
    pub(super) counts: Counts,
    pub(super) max_pending: u64,
    /// Whether something came into the queue, so that dispatch should look.
    pub(super) wake: bool,
    /// Whether something waits for pictures that did not before.
    pub(super) wait_for_thumbnails: bool,
    /// The latest moment at which anything in it was asked for.
    pub(super) now: Timestamp,
}

/// A request's input, the answer once it is known, and where it goes. The input is kept until the
/// commit, to be given back if that fails.
pub(super) struct Pending<I, R> {
    input: I,
    now: Timestamp,
    answer: Option<R>,
    reply: oneshot::Sender<Answer<I, R>>,
}

/// The answer, or the reason why there is none together with the input.
pub(super) type Answer<I, R> = Result<R, (I, StoreError)>;

impl<I, R> Pending<I, R> {
    pub(super) fn new(input: I, now: Timestamp) -> (Self, oneshot::Receiver<Answer<I, R>>) {
        let (reply, answer) = oneshot::channel();
        (
            Self {
                input,
                now,
                answer: None,
                reply,
            },
            answer,
        )
    }

    pub(super) const fn input(&self) -> &I {
        &self.input
    }

    pub(super) const fn now(&self) -> Timestamp {
        self.now
    }

    /// Answers at once.
    pub(super) fn answer(self, answer: Result<R, StoreError>) {
        drop(self.reply.send(answer.map_err(|error| (self.input, error))));
    }

    fn run(
        &mut self,
        batch: &mut WriteTx<'_>,
        verb: impl FnOnce(&mut WriteTx<'_>, &I, Timestamp) -> rusqlite::Result<R>,
    ) -> rusqlite::Result<()> {
        batch.now = batch.now.max(self.now);
        self.answer = Some(verb(batch, &self.input, self.now)?);
        Ok(())
    }

    /// Answers. That nobody may be waiting any more changes nothing about what is on disk.
    fn finish(mut self, committed: Result<(), StoreError>) {
        let (given, answer) = (self.answer.take(), self);
        answer.answer(committed.and_then(|()| given.ok_or(StoreError::Closed)));
    }
}

#[cfg(test)]
type Inject = Box<dyn FnMut(&Connection) -> rusqlite::Result<()> + Send>;

/// What the writer can be asked for.
pub(super) enum Request {
    Enqueue(Pending<PreparedRequest, Result<Vec<Enqueued>, EnqueueError>>),
    Claim(Pending<(ClaimLimit, Duration), Vec<Lease>>),
    /// Never run as part of a batch: [`super::claimer`] has it.
    ClaimNext(Pending<ClaimRequest, Vec<Lease>>),
    Settle(Pending<Vec<Settlement>, Vec<Settled>>),
    Retry(Pending<(DeliveryId, Timestamp), Result<DeliveryRecord, OperatorError>>),
    Cancel(Pending<DeliveryId, Result<DeliveryRecord, OperatorError>>),
    Suppress(Pending<(DeliveryId, SuppressReason), Result<DeliveryRecord, OperatorError>>),
    Purge(Pending<(Vec<i64>, Timestamp), u64>),
    Forget(Pending<(Vec<i64>, Timestamp), u64>),
    ShiftSchedule(Pending<i64, u64>),
    MarkThumbnails(Pending<(Vec<PendingThumbnails>, bool), Vec<bool>>),
    FinishThumbnails(Pending<(PendingThumbnails, Vec<ThumbnailResult>), bool>),
    KeepUnmapped(Pending<UnmappedPayload, ()>),
    PurgeUnmapped(Pending<Timestamp, ()>),
    /// A write of its own, to see whether the disk is back.
    Probe,
    /// End after this batch.
    Stop,
    /// Something that only a test does to the connection.
    #[cfg(test)]
    Inject(Inject),
}

impl Request {
    pub(super) fn run(&mut self, batch: &mut WriteTx<'_>) -> rusqlite::Result<()> {
        match self {
            Self::Enqueue(ask) => ask.run(batch, enqueue::run),
            Self::Claim(ask) => ask.run(batch, |batch, (limit, lease), now| {
                claim::run(batch, *limit, now.after(*lease), now)
            }),
            Self::Settle(ask) => ask.run(batch, |batch, settlements, now| {
                settle::run(batch, settlements, now)
            }),
            Self::Retry(ask) => ask.run(batch, |batch, (id, expires_at), now| {
                operator::retry(batch, *id, *expires_at, now)
            }),
            Self::Cancel(ask) => ask.run(batch, |batch, id, now| operator::cancel(batch, *id, now)),
            Self::Suppress(ask) => ask.run(batch, |batch, (id, reason), now| {
                operator::suppress(batch, *id, *reason, now)
            }),
            Self::Purge(ask) => ask.run(batch, |batch, (rows, ended_before), _| {
                purge::run(batch, rows, *ended_before)
            }),
            Self::Forget(ask) => ask.run(batch, |batch, (rows, ended_before), _| {
                redact::run(batch, rows, *ended_before)
            }),
            Self::ShiftSchedule(ask) => {
                ask.run(batch, |batch, millis, _| clock_shift::run(batch, *millis))
            }
            Self::MarkThumbnails(ask) => ask.run(batch, |batch, (waiting, started), _| {
                thumbnails::mark(batch, waiting, *started)
            }),
            Self::FinishThumbnails(ask) => ask.run(batch, |batch, (waiting, captures), now| {
                thumbnails::keep(batch, waiting, captures, now)
            }),
            Self::KeepUnmapped(ask) => ask.run(batch, |batch, failure, now| {
                unmapped::keep(batch, failure, now)
            }),
            Self::PurgeUnmapped(ask) => {
                ask.run(batch, |batch, before, _| unmapped::forget(batch, *before))
            }
            Self::Probe | Self::Stop | Self::ClaimNext(_) => Ok(()),
            #[cfg(test)]
            Self::Inject(tamper) => tamper(batch.conn),
        }
    }

    pub(super) fn finish(self, committed: Result<(), StoreError>) {
        match self {
            Self::Enqueue(ask) => ask.finish(committed),
            Self::Claim(ask) => ask.finish(committed),
            Self::ClaimNext(ask) => ask.finish(committed),
            Self::Settle(ask) => ask.finish(committed),
            Self::Retry(ask) => ask.finish(committed),
            Self::Cancel(ask) => ask.finish(committed),
            Self::Suppress(ask) => ask.finish(committed),
            Self::Purge(ask) | Self::Forget(ask) => ask.finish(committed),
            Self::ShiftSchedule(ask) => ask.finish(committed),
            Self::MarkThumbnails(ask) => ask.finish(committed),
            Self::FinishThumbnails(ask) => ask.finish(committed),
            Self::KeepUnmapped(ask) => ask.finish(committed),
            Self::PurgeUnmapped(ask) => ask.finish(committed),
            Self::Probe | Self::Stop => {}
            #[cfg(test)]
            Self::Inject(_) => {}
        }
    }
}
