//! Requests to the writer, and the verb that each of them runs.

use std::time::Duration;

#[cfg(test)]
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::tx::WriteTx;
use super::{claim, enqueue, operator, purge, redact, settle, thumbnails, unmapped};
use crate::domain::{DeliveryId, SuppressReason, ThumbnailResult, Timestamp};
use crate::queue::claimer::ClaimRequest;
use crate::queue::held::Renewal;
use crate::queue::prepared::PreparedRequest;
use crate::queue::{
    ClaimLimit, DeliveryRecord, EnqueueError, Enqueued, Lease, OperatorError, Settled, Settlement,
    StoreError, ThumbnailJob, UnmappedPayload,
};

/// A request's input, its result and the channel for its answer. The input is kept until the
/// commit and returned if that fails.
pub(super) struct Pending<I, R> {
    input: I,
    now: Timestamp,
    result: Option<R>,
    reply: oneshot::Sender<Answer<I, R>>,
}

/// The result, or the error together with the input.
pub(super) type Answer<I, R> = Result<R, (I, StoreError)>;

impl<I, R> Pending<I, R> {
    pub(super) fn new(input: I, now: Timestamp) -> (Self, oneshot::Receiver<Answer<I, R>>) {
        let (reply, answer) = oneshot::channel();
        let pending = Self {
            input,
            now,
            result: None,
            reply,
        };
        (pending, answer)
    }

    fn run(
        &mut self,
        tx: &mut WriteTx<'_>,
        verb: impl FnOnce(&mut WriteTx<'_>, &I, Timestamp) -> rusqlite::Result<R>,
    ) -> rusqlite::Result<()> {
        tx.now = tx.now.max(self.now);
        self.result = Some(verb(tx, &self.input, self.now)?);
        Ok(())
    }

    /// Sends the answer. An error of `send` only means that the caller has given up.
    fn finish(self, committed: Result<(), StoreError>) {
        let answer = match (committed, self.result) {
            (Ok(()), Some(result)) => Ok(result),
            (Ok(()), None) => Err((self.input, StoreError::Closed)),
            (Err(error), _) => Err((self.input, error)),
        };
        drop(self.reply.send(answer));
    }
}

#[cfg(test)]
type Inject = Box<dyn FnMut(&Connection) -> rusqlite::Result<()> + Send>;

/// A request to the writer.
pub(super) enum Request {
    Enqueue(Pending<PreparedRequest, Result<Vec<Enqueued>, EnqueueError>>),
    Claim(Pending<(ClaimLimit, Duration), Vec<Lease>>),
    /// Replaces the pending claim.
    SetClaim(ClaimRequest),
    /// Removes the pending claim, then answers.
    StopClaim(oneshot::Sender<()>),
    Renew(Renewal),
    Settle(Pending<Vec<Settlement>, Vec<Settled>>),
    Retry(Pending<(DeliveryId, Timestamp), Result<DeliveryRecord, OperatorError>>),
    Cancel(Pending<DeliveryId, Result<DeliveryRecord, OperatorError>>),
    Suppress(Pending<(DeliveryId, SuppressReason), Result<DeliveryRecord, OperatorError>>),
    Purge(Pending<(Vec<i64>, Timestamp), u64>),
    Redact(Pending<(Vec<i64>, Timestamp), u64>),
    ClaimThumbnails(Pending<(i64, usize), Vec<ThumbnailJob>>),
    ReleaseThumbnails(Pending<Vec<ThumbnailJob>, ()>),
    FinishThumbnails(Pending<(ThumbnailJob, Vec<ThumbnailResult>), bool>),
    KeepUnmapped(Pending<UnmappedPayload, ()>),
    PurgeUnmapped(Pending<Timestamp, ()>),
    /// An empty write, to see whether the disk has recovered.
    Probe,
    /// End after this batch.
    Stop,
    /// Lets a test change the writer's connection.
    #[cfg(test)]
    Inject(Inject),
}

impl Request {
    pub(super) fn run(&mut self, tx: &mut WriteTx<'_>) -> rusqlite::Result<()> {
        match self {
            Self::Enqueue(it) => it.run(tx, enqueue::run),
            Self::Claim(it) => it.run(tx, |tx, (limit, lease), now| {
                claim::run(tx, *limit, now.after(*lease), now, None)
            }),
            Self::Renew(renewal) => {
                tx.now = tx.now.max(renewal.now);
                claim::renew(tx, &renewal.leases, renewal.until)
            }
            Self::Settle(it) => {
                it.run(tx, |tx, settlements, now| settle::run(tx, settlements, now))
            }
            Self::Retry(it) => it.run(tx, |tx, (id, expires_at), now| {
                operator::retry(tx, *id, *expires_at, now)
            }),
            Self::Cancel(it) => it.run(tx, |tx, id, now| operator::cancel(tx, *id, now)),
            Self::Suppress(it) => it.run(tx, |tx, (id, reason), now| {
                operator::suppress(tx, *id, *reason, now)
            }),
            Self::Purge(it) => it.run(tx, |tx, (rows, before), _| purge::run(tx, rows, *before)),
            Self::Redact(it) => it.run(tx, |tx, (rows, before), _| redact::run(tx, rows, *before)),
            Self::ClaimThumbnails(it) => it.run(tx, |tx, (after, limit), _| {
                thumbnails::claim(tx, *after, *limit)
            }),
            Self::ReleaseThumbnails(it) => it.run(tx, |tx, jobs, _| thumbnails::release(tx, jobs)),
            Self::FinishThumbnails(it) => it.run(tx, |tx, (job, results), now| {
                thumbnails::finish(tx, job, results, now)
            }),
            Self::KeepUnmapped(it) => {
                it.run(tx, |tx, payload, now| unmapped::keep(tx, payload, now))
            }
            Self::PurgeUnmapped(it) => it.run(tx, |tx, before, _| unmapped::purge(tx, *before)),
            Self::SetClaim(_) | Self::StopClaim(_) | Self::Probe | Self::Stop => Ok(()),
            #[cfg(test)]
            Self::Inject(inject) => inject(tx.conn),
        }
    }

    pub(super) fn finish(self, committed: Result<(), StoreError>) {
        match self {
            Self::Enqueue(it) => it.finish(committed),
            Self::Claim(it) => it.finish(committed),
            Self::Renew(renewal) if committed.is_ok() => renewal.committed(),
            Self::Settle(it) => it.finish(committed),
            Self::Retry(it) => it.finish(committed),
            Self::Cancel(it) => it.finish(committed),
            Self::Suppress(it) => it.finish(committed),
            Self::Purge(it) | Self::Redact(it) => it.finish(committed),
            Self::ClaimThumbnails(it) => it.finish(committed),
            Self::ReleaseThumbnails(it) => it.finish(committed),
            Self::FinishThumbnails(it) => it.finish(committed),
            Self::KeepUnmapped(it) => it.finish(committed),
            Self::PurgeUnmapped(it) => it.finish(committed),
            Self::SetClaim(_) | Self::StopClaim(_) | Self::Renew(_) | Self::Probe | Self::Stop => {}
            #[cfg(test)]
            Self::Inject(_) => {}
        }
    }
}
