//! The claim that stays in the store until there is something to hand out.

use std::fmt;
use std::time::Duration;

use super::sqlite::ClaimAnswer;
use super::{ClaimLimit, Lease, Queue, StoreError};
use crate::domain::Timestamp;

/// A claim that stays until there is something to hand out.
///
/// Dropped before it is answered it may take leases with it until they run out: end it by another
/// claim, and see its answer first.
pub struct StandingClaim {
    /// How many it may take.
    pub limit: ClaimLimit,
    answer: ClaimAnswer,
}

impl StandingClaim {
    /// Waits for the answer, to be had once; may be dropped meanwhile, and asked again. Has no
    /// bound of its own.
    ///
    /// # Errors
    /// When the store could not be asked; nothing is claimed then.
    pub async fn leases(&mut self) -> Result<Vec<Lease>, StoreError> {
        self.answer.leases().await
    }
}

impl fmt::Debug for StandingClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StandingClaim")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl Queue {
    /// Claims as [`Queue::claim`] does; while nothing is due the claim stays, and the commit that
    /// brings something due answers it, so that between an event and its mail there is one wait for
    /// the disk. What is in the queue and becomes due with time does not: claim again at
    /// [`Queue::next_claim_at`]. There is one such claim at a time: any later claim ends it with no
    /// lease.
    ///
    /// A claim made `replaces` one whose answer has not been seen gets no lease either when that
    /// has been answered with some meanwhile: its limit counts on room that they take.
    ///
    /// # Errors
    /// When the store is closed, or too many requests wait for it.
    pub async fn claim_next(
        &self,
        limit: ClaimLimit,
        lease: Duration,
        replaces: Option<&StandingClaim>,
        now: Timestamp,
    ) -> Result<StandingClaim, StoreError> {
        Ok(StandingClaim {
            limit,
            answer: self
                .store
                .claim_next(limit, lease, replaces.is_some(), now)
                .await?,
        })
    }

    /// When the claim that stays may find something other than what comes in: the first due time of
    /// its lanes. `None` until it has been tried.
    pub fn next_claim_at(&self) -> Option<Timestamp> {
        self.store.next_claim_at()
    }
}
