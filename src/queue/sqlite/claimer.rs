//! The claim that waits in the writer: deliveries that a commit adds to the queue are handed out by
//! the same commit.

use super::tx::WriteTx;
use super::{claim, read};
use crate::domain::{Lane, Timestamp};
use crate::queue::claimer::{ClaimReply, ClaimRequest};
use crate::queue::{ClaimLimit, Lease, StoreError};

/// The result of trying the pending claim in a transaction.
struct ClaimResult {
    leases: Vec<Lease>,
    /// If there are no leases: the first due time of its lanes.
    next_due: Option<Timestamp>,
}

/// The pending claim, at most one.
#[derive(Default)]
pub(super) struct PendingClaim {
    request: Option<ClaimRequest>,
    /// Whether the request was never tried.
    is_fresh: bool,
    result: Option<ClaimResult>,
    /// Whether trying the request made the transaction fail.
    is_at_fault: bool,
    /// The claimer of the last request.
    claimer: Option<ClaimReply>,
    /// How many answers it was sent.
    answers: u64,
}

impl PendingClaim {
    /// Replaces the request. A request made before its claimer saw the last answer is dropped: its
    /// limit counts the slots of that answer as free.
    pub(super) fn replace(&mut self, request: ClaimRequest) {
        if !(self.claimer.as_ref()).is_some_and(|claimer| claimer.is_same(&request.reply)) {
            (self.claimer, self.answers) = (Some(request.reply.clone()), 0);
        }
        self.is_fresh = request.seen == self.answers && request.limit != ClaimLimit::NONE;
        self.request = Some(request).filter(|_| self.is_fresh);
    }

    /// Removes the request; it gets no answer.
    pub(super) fn remove(&mut self) {
        (self.request, self.is_fresh) = (None, false);
    }

    /// Whether there is a request that was never tried.
    pub(super) const fn is_fresh(&self) -> bool {
        self.is_fresh
    }

    /// Tries the request at the end of a transaction, if something was added to the queue or it was
    /// never tried.
    pub(super) fn run(&mut self, tx: &mut WriteTx<'_>) -> rusqlite::Result<()> {
        (self.result, self.is_at_fault) = (None, false);
        let Some(request) = (self.request.as_ref())
            .filter(|request| (self.is_fresh || tx.wake) && !request.reply.is_closed())
        else {
            return Ok(());
        };
        let (limit, now) = (request.limit, tx.now.max(request.now));
        self.is_at_fault = true;
        let (until, held) = (now.after(request.lease), Some(&request.reply.held));
        let leases = claim::run(tx, limit, until, now, held)?;
        let lanes = if limit.normal > 0 {
            Lane::ALL
        } else {
            &[Lane::Urgent]
        };
        let next_due = if leases.is_empty() {
            read::next_due(tx.conn, lanes)?
        } else {
            None
        };
        self.result = Some(ClaimResult { leases, next_due });
        self.is_at_fault = false;
        Ok(())
    }

    /// Whether trying the request, and not another one, made the transaction fail.
    pub(super) const fn is_at_fault(&self) -> bool {
        self.is_at_fault
    }

    /// Answers the request after the commit.
    pub(super) fn committed(&mut self) {
        let Some(ClaimResult { leases, next_due }) = self.result.take() else {
            return;
        };
        self.is_fresh = false;
        if !leases.is_empty() {
            self.answer(Ok(leases));
        } else if let Some(request) = &self.request {
            request.reply.wait_until(next_due);
        }
    }

    /// Answers a request that was never tried with the error of the transaction; others stay
    /// pending.
    pub(super) fn fail_fresh(&mut self, error: &StoreError) {
        self.result = None;
        if self.is_fresh {
            self.answer(Err(error.clone()));
        }
    }

    /// Ends the request with this answer.
    pub(super) fn answer(&mut self, answer: Result<Vec<Lease>, StoreError>) {
        self.is_fresh = false;
        if let Some(request) = self.request.take() {
            self.answers += 1;
            request.reply.answer(answer);
        }
    }
}
