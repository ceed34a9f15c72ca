//! One transaction for many requests: what a verb is given to work with, and how requests are kept
//! until the commit.

use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::standing::Wanted;
use super::{byhand, claim, enqueue, failures, forget, movealong, pictures, purge, settle};
use crate::domain::{Capture, DeliveryId, SuppressReason, Timestamp};
use crate::queue::entry::Group;
use crate::queue::vault::Vault;
use crate::queue::{
    ClaimLimit, Counts, DeliveryRecord, EnqueueError, Enqueued, HookFailure, Lease, Settled,
    Settlement, StoreError, VerbError, WaitingEvent,
};

/// The open transaction. What a verb changes here counts only if the commit succeeds.
pub(super) struct Batch<'c> {
    pub(super) conn: &'c Connection,
    /// Opens and closes payloads with codes and secret links.
    pub(super) vault: &'c Vault,
    pub(super) counts: Counts,
    pub(super) max_pending: u64,
    /// Whether something came into the queue, so that dispatch should look.
    pub(super) wake: bool,
    /// Whether something waits for pictures that did not before.
    pub(super) pictures_wanted: bool,
    /// The latest moment at which anything in it was asked for.
    pub(super) now: Timestamp,
}

/// A request's input, the answer once it is known, and where it goes. The input is kept until the
/// commit, to be given back if that fails.
pub(super) struct Ask<I, R> {
    input: I,
    now: Timestamp,
    answer: Option<R>,
    reply: oneshot::Sender<Answer<I, R>>,
}

/// The answer, or the reason why there is none together with the input.
pub(super) type Answer<I, R> = Result<R, (I, StoreError)>;

impl<I, R> Ask<I, R> {
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
        batch: &mut Batch<'_>,
        verb: impl FnOnce(&mut Batch<'_>, &I, Timestamp) -> rusqlite::Result<R>,
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
type Tamper = Box<dyn FnMut(&Connection) -> rusqlite::Result<()> + Send>;

/// What the writer can be asked for.
pub(super) enum Request {
    Enqueue(Ask<Group, Result<Vec<Enqueued>, EnqueueError>>),
    Claim(Ask<(ClaimLimit, Duration), Vec<Lease>>),
    /// Never run as part of a batch: [`super::standing`] has it.
    ClaimNext(Ask<Wanted, Vec<Lease>>),
    Settle(Ask<Vec<Settlement>, Vec<Settled>>),
    Retry(Ask<(DeliveryId, Timestamp), Result<DeliveryRecord, VerbError>>),
    Cancel(Ask<DeliveryId, Result<DeliveryRecord, VerbError>>),
    Suppress(Ask<(DeliveryId, SuppressReason), Result<DeliveryRecord, VerbError>>),
    Purge(Ask<(Vec<i64>, Timestamp), u64>),
    Forget(Ask<(Vec<i64>, Timestamp), u64>),
    MoveAlong(Ask<i64, u64>),
    MarkPictures(Ask<(Vec<WaitingEvent>, bool), Vec<bool>>),
    KeepPictures(Ask<(WaitingEvent, Vec<Capture>), bool>),
    KeepHookFailure(Ask<HookFailure, ()>),
    ForgetHookFailures(Ask<Timestamp, ()>),
    /// A write of its own, to see whether the disk is back.
    Probe,
    /// End after this batch.
    Stop,
    /// Something that only a test does to the connection.
    #[cfg(test)]
    Tamper(Tamper),
}

impl Request {
    pub(super) fn run(&mut self, batch: &mut Batch<'_>) -> rusqlite::Result<()> {
        match self {
            Self::Enqueue(ask) => ask.run(batch, enqueue::run),
            Self::Claim(ask) => ask.run(batch, |batch, (limit, lease), now| {
                claim::run(batch, *limit, now.after(*lease), now)
            }),
            Self::Settle(ask) => ask.run(batch, |batch, settlements, now| {
                settle::run(batch, settlements, now)
            }),
            Self::Retry(ask) => ask.run(batch, |batch, (id, expires_at), now| {
                byhand::retry(batch, *id, *expires_at, now)
            }),
            Self::Cancel(ask) => ask.run(batch, |batch, id, now| byhand::cancel(batch, *id, now)),
            Self::Suppress(ask) => ask.run(batch, |batch, (id, reason), now| {
                byhand::suppress(batch, *id, *reason, now)
            }),
            Self::Purge(ask) => ask.run(batch, |batch, (rows, ended_before), _| {
                purge::run(batch, rows, *ended_before)
            }),
            Self::Forget(ask) => ask.run(batch, |batch, (rows, ended_before), _| {
                forget::run(batch, rows, *ended_before)
            }),
            Self::MoveAlong(ask) => {
                ask.run(batch, |batch, millis, _| movealong::run(batch, *millis))
            }
            Self::MarkPictures(ask) => ask.run(batch, |batch, (waiting, started), _| {
                pictures::mark(batch, waiting, *started)
            }),
            Self::KeepPictures(ask) => ask.run(batch, |batch, (waiting, captures), now| {
                pictures::keep(batch, waiting, captures, now)
            }),
            Self::KeepHookFailure(ask) => ask.run(batch, |batch, failure, now| {
                failures::keep(batch, failure, now)
            }),
            Self::ForgetHookFailures(ask) => {
                ask.run(batch, |batch, before, _| failures::forget(batch, *before))
            }
            Self::Probe | Self::Stop | Self::ClaimNext(_) => Ok(()),
            #[cfg(test)]
            Self::Tamper(tamper) => tamper(batch.conn),
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
            Self::MoveAlong(ask) => ask.finish(committed),
            Self::MarkPictures(ask) => ask.finish(committed),
            Self::KeepPictures(ask) => ask.finish(committed),
            Self::KeepHookFailure(ask) => ask.finish(committed),
            Self::ForgetHookFailures(ask) => ask.finish(committed),
            Self::Probe | Self::Stop => {}
            #[cfg(test)]
            Self::Tamper(_) => {}
        }
    }
}
