//! What the dispatcher claims: as much as there is room for, by a claim that stands in the store
//! until something comes.

use std::time::Duration;

use tracing::warn;

use super::{Dispatcher, LONGEST_SLEEP};
use crate::dispatch::pipeline::Capacity;
use crate::dispatch::sliding_window::urgent_share;
use crate::domain::{Outcome, Timestamp};
use crate::queue::{ClaimLimit, Lease, Settlement, StandingClaim, StoreError};

/// How long a store that hangs may keep a stop from beginning; what a claim was given meanwhile is
/// taken back at the next start.
const ENDING: Duration = Duration::from_secs(2);

impl Dispatcher {
    /// How many may be claimed now; `None` is none.
    pub(super) fn room(&self, now: Timestamp) -> Option<ClaimLimit> {
        let pipeline = &self.current;
        let free = pipeline.concurrency.saturating_sub(self.running.len());
        let share = urgent_share(pipeline.concurrency).min(free);
        match pipeline.capacity(now) {
            _ if free == 0 => None,
            Capacity::Unlimited => Some(ClaimLimit {
                urgent: share,
                normal: free - share,
            }),
            Capacity::Limited { all, normal, .. } => {
                let all = all.min(free);
                let normal = normal.min(free - share).min(all);
                Some(ClaimLimit {
                    urgent: all - normal,
                    normal,
                })
            }
            Capacity::Probe => Some(ClaimLimit {
                urgent: 0,
                normal: 1,
            }),
            Capacity::AvailableAt(_) | Capacity::Closed => None,
        }
    }

    /// How long to sleep when nothing else happens. That a server may be given mails again wakes
    /// nobody, nor does time that makes mails due.
    pub(super) fn sleep(&self, now: Timestamp) -> Timestamp {
        let due = if self.standing.is_some() {
            self.queue.next_claim_at()
        } else {
            None
        };
        let until = match self.current.capacity(now) {
            Capacity::AvailableAt(until) => Some(until),
            Capacity::Limited { more_at, .. }
                if self
                    .standing
                    .as_ref()
                    .is_none_or(|claim| claim.limit.normal == 0) =>
            {
                more_at.into_iter().chain(due).min()
            }
            _ => due,
        };
        let longest = now.after(LONGEST_SLEEP);
        until.map_or(longest, |until| until.min(longest))
    }

    /// Leaves a claim for this room in the store, in place of the one that stands there; what that
    /// one was given is begun.
    pub(super) async fn claim(
        &mut self,
        room: Option<ClaimLimit>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let stands = self.standing.as_ref().map(|claim| claim.limit);
        if room == stands && (!self.reclaim || room.is_none()) {
            return Ok(());
        }
        self.reclaim = false;
        let next = if let Some(limit) = room {
            Some(
                self.queue
                    .claim_next(limit, self.current.lease, self.standing.as_ref(), now)
                    .await?,
            )
        } else {
            self.queue
                .claim(ClaimLimit::NONE, Duration::ZERO, now)
                .await?;
            None
        };
        let ended = match std::mem::replace(&mut self.standing, next) {
            Some(mut ended) => ended.leases().await,
            None => return Ok(()),
        };
        self.take(ended)
    }

    /// Begins what a claim was given.
    pub(super) fn take(
        &mut self,
        leases: Result<Vec<Lease>, StoreError>,
    ) -> Result<(), StoreError> {
        let leases = leases.inspect_err(|failed| warn!("the queue cannot be read: {failed}"))?;
        if !leases.is_empty() {
            self.store_pause = Duration::ZERO;
        }
        self.spawn_attempts(leases, self.clock.now());
        Ok(())
    }

    /// Ends the claim that stands, and gives back what it was given meanwhile.
    pub(super) async fn withdraw(&mut self) {
        let Some(mut claim) = self.standing.take() else {
            return;
        };
        let ended = async {
            self.queue
                .claim(ClaimLimit::NONE, Duration::ZERO, self.clock.now())
                .await?;
            claim.leases().await
        };
        let ended = tokio::time::timeout(ENDING, ended)
            .await
            .unwrap_or_else(|_| Ok(Vec::new()));
        let leases = ended
            .inspect_err(|failed| warn!("the queue cannot be read: {failed}"))
            .unwrap_or_default();
        let released = |lease| Settlement {
            lease,
            attempts: Vec::new(),
            outcome: Outcome::Released,
        };
        self.finished.extend(leases.into_iter().map(released));
    }
}

/// The answer to the claim that stands; never, when none does.
pub(super) async fn answer(standing: &mut Option<StandingClaim>) -> Result<Vec<Lease>, StoreError> {
    match standing {
        Some(claim) => claim.leases().await,
        None => std::future::pending().await,
    }
}
