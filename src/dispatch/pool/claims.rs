//! How many deliveries the dispatcher claims, and what happens to their leases.

use std::time::Duration;

use super::{Dispatcher, LONGEST_SLEEP};
use crate::domain::{Outcome, Timestamp};
use crate::queue::{ClaimLimit, Lease, Settlement, StoreError};
use crate::transport::permits::urgent_share;

/// How long a store that hangs may delay the shutdown. The leases of a pending claim are then
/// recovered at the next start.
const WITHDRAW_TIMEOUT: Duration = Duration::from_secs(2);

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

    /// When the capacity changes without an event that wakes the dispatcher. The claimer wakes it
    /// when deliveries become due.
    pub(super) fn wake_at(&self, now: Timestamp) -> Timestamp {
        let latest = now.after(LONGEST_SLEEP);
        if self.claimer.limit().is_some_and(|limit| limit.normal > 0) {
            return latest;
        }
        let more_at = self.current.capacity(now).more_at;
        more_at.map_or(latest, |at| at.min(latest))
    }

    /// Starts the attempts of a claim.
    pub(super) fn take(
        &mut self,
        leases: Result<Vec<Lease>, StoreError>,
    ) -> Result<(), StoreError> {
        let leases = leases.inspect_err(|error| error.log("could not read the queue"))?;
        if !leases.is_empty() {
            self.store_pause = Duration::ZERO;
        }
        self.spawn_attempts(leases);
        Ok(())
    }

    /// Stops claiming and releases leases that were claimed but not started.
    pub(super) async fn withdraw(&mut self) {
        let leases = match tokio::time::timeout(WITHDRAW_TIMEOUT, self.claimer.stop()).await {
            Ok(Ok(leases)) => leases,
            Ok(Err(error)) => {
                error.log("could not read the queue");
                return;
            }
            Err(_) => return,
        };
        let released = |lease| Settlement {
            lease,
            attempts: Vec::new(),
            outcome: Outcome::Released,
        };
        self.finished.extend(leases.into_iter().map(released));
    }
}
