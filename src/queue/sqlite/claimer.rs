//! The claim that stays: what comes into the queue is handed out in the very commit that brings it.
//!
//! So between an event and its mail there is one wait for the disk and not two, and dispatch asks
//! nobody again and again.

use std::time::Duration;

use super::tx::{Pending, Request, WriteTx};
use super::{claim, read};
use crate::domain::{Lane, Timestamp};
use crate::queue::{ClaimLimit, Lease, StoreError};

/// What a claim that may stay asks for.
pub(super) struct ClaimRequest {
    pub(super) limit: ClaimLimit,
    pub(super) lease: Duration,
    /// Whether its limit counts on the room of the claim before it: when that was answered
    /// meanwhile, this one gets nothing.
    pub(super) instead: bool,
}

/// What a commit did for the claim that stays.
pub(super) enum ClaimResult {
    /// It was answered, or there is none.
    Answered,
    /// It found nothing; the moment at which it may.
    Nothing(Option<Timestamp>),
    /// It was not asked.
    NotAsked,
}

/// At most one claim that found nothing yet.
#[derive(Default)]
pub(super) struct PendingClaim {
    ask: Option<Pending<ClaimRequest, Vec<Lease>>>,
    /// Whether it was never tried.
    fresh: bool,
    found: Option<(Vec<Lease>, Option<Timestamp>)>,
    /// Whether trying it is what has failed.
    at_fault: bool,
}

impl PendingClaim {
    /// Takes the claims that may stay out of a batch; any claim ends the one that stood before it.
    pub(super) fn admit(&mut self, requests: &mut Vec<Request>) {
        requests.retain_mut(|request| match request {
            Request::Claim(_) => {
                self.end();
                true
            }
            Request::ClaimNext(_) => {
                // What is left in its place is dropped at once.
                if let Request::ClaimNext(ask) = std::mem::replace(request, Request::Probe) {
                    self.file(ask);
                }
                false
            }
            _ => true,
        });
    }

    fn file(&mut self, ask: Pending<ClaimRequest, Vec<Lease>>) {
        let stood = self.end();
        if ask.input().instead && !stood {
            ask.answer(Ok(Vec::new()));
        } else {
            (self.ask, self.fresh) = (Some(ask), true);
        }
    }

    /// Answers with nothing; says whether there was one.
    fn end(&mut self) -> bool {
        self.fresh = false;
        self.ask
            .take()
            .map(|ask| ask.answer(Ok(Vec::new())))
            .is_some()
    }

    /// Whether there is one that was never tried.
    pub(super) const fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Tries it at the end of a transaction, if something came into the queue or it was never
    /// tried.
    pub(super) fn run(&mut self, tx: &mut WriteTx<'_>) -> rusqlite::Result<()> {
        (self.found, self.at_fault) = (None, false);
        let Some(ask) = self.ask.as_ref().filter(|_| self.fresh || tx.wake) else {
            return Ok(());
        };
        let ClaimRequest { limit, lease, .. } = *ask.input();
        let now = tx.now.max(ask.now());
        self.at_fault = true;
        let leases = claim::run(tx, limit, now.after(lease), now)?;
        let lanes = if limit.normal > 0 {
            Lane::ALL
        } else {
            &[Lane::Urgent]
        };
        let due = if leases.is_empty() {
            read::earliest(tx.conn, lanes)?
        } else {
            None
        };
        (self.found, self.at_fault) = (Some((leases, due)), false);
        Ok(())
    }

    /// Whether the transaction failed by it and not by a request.
    pub(super) const fn is_at_fault(&self) -> bool {
        self.at_fault
    }

    /// Answers with what was found, now that it is on disk.
    pub(super) fn committed(&mut self) -> ClaimResult {
        match self.found.take() {
            None => ClaimResult::NotAsked,
            Some((leases, due)) => {
                self.fresh = false;
                if leases.is_empty() {
                    return ClaimResult::Nothing(due);
                }
                if let Some(ask) = self.ask.take() {
                    ask.answer(Ok(leases));
                }
                ClaimResult::Answered
            }
        }
    }

    /// Tells a claim that could not be tried even once; one that waits goes on waiting.
    pub(super) fn refuse(&mut self, error: &StoreError) {
        self.found = None;
        if self.fresh {
            self.close(error.clone());
        }
    }

    /// Ends it with an error.
    pub(super) fn close(&mut self, error: StoreError) {
        self.fresh = false;
        if let Some(ask) = self.ask.take() {
            ask.answer(Err(error));
        }
    }
}
