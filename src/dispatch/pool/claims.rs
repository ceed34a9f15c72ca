//! How many deliveries the dispatcher claims, and what happens to their leases.

use std::time::Duration;

use tracing::warn;

use super::{Dispatcher, LONGEST_SLEEP};
use crate::domain::{Outcome, Timestamp};
use crate::queue::{ClaimLimit, Lease, Settlement, StoreError};
use crate::transport::permits::urgent_share;

/// How long a store that hangs may delay a stop; the leases of the pending claim are then recovered
/// at the next start.
const ENDING: Duration = Duration::from_secs(2);

impl Dispatcher {
    /// How many deliveries may be claimed now: what the servers' capacity and the free slots allow.
    pub(super) fn claim_limit(&self, now: Timestamp) -> ClaimLimit {
        let slots = self.current.concurrency;
        let free = slots.saturating_sub(self.running.len());
        let reserved = urgent_share(slots).min(free);
        let capacity = self.current.capacity(now);
        let all = capacity.all.min(free);
        let normal = capacity.normal.min(free - reserved).min(all);
        ClaimLimit {
            urgent: all - normal,
            normal,
        }
    }

    /// When the capacity changes by itself. Deliveries that become due wake the claimer.
    pub(super) fn sleep(&self, now: Timestamp) -> Timestamp {
        let longest = now.after(LONGEST_SLEEP);
        if self.claimer.limit().is_some_and(|limit| limit.normal > 0) {
            return longest;
        }
        let more_at = self.current.capacity(now).more_at;
        more_at.map_or(longest, |at| at.min(longest))
    }

    /// Starts the attempts of a claim.
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

    /// Ends the pending claim and releases its leases.
    pub(super) async fn withdraw(&mut self) {
        let stopped = tokio::time::timeout(ENDING, self.claimer.stop())
            .await
            .unwrap_or_else(|_| Ok(Vec::new()));
        let leases = stopped
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
