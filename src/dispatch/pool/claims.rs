//! How many deliveries the dispatcher claims.

use std::time::Duration;

use tracing::warn;

use super::{Dispatcher, LONGEST_SLEEP};
use crate::dispatch::pipeline::Capacity;
use crate::domain::{Outcome, Timestamp};
use crate::queue::{ClaimLimit, Lease, Settlement, StoreError};
use crate::transport::permits::urgent_share;

/// How long a store that hangs may delay a stop; the leases of the pending claim are then recovered
/// at the next start.
const ENDING: Duration = Duration::from_secs(2);

impl Dispatcher {
    /// How many deliveries may be claimed now.
    pub(super) fn room(&self, now: Timestamp) -> ClaimLimit {
        let pipeline = &self.current;
        let free = pipeline.concurrency.saturating_sub(self.running.len());
        let share = urgent_share(pipeline.concurrency).min(free);
        match pipeline.capacity(now) {
            _ if free == 0 => ClaimLimit::NONE,
            Capacity::Unlimited => ClaimLimit {
                urgent: share,
                normal: free - share,
            },
            Capacity::Limited { all, normal, .. } => {
                let all = all.min(free);
                let normal = normal.min(free - share).min(all);
                ClaimLimit {
                    urgent: all - normal,
                    normal,
                }
            }
            Capacity::Probe => ClaimLimit {
                urgent: 0,
                normal: 1,
            },
            Capacity::AvailableAt(_) | Capacity::Closed => ClaimLimit::NONE,
        }
    }

    /// When the capacity changes by itself. Deliveries that become due are the claimer's business.
    pub(super) fn sleep(&self, now: Timestamp) -> Timestamp {
        let until = match self.current.capacity(now) {
            Capacity::AvailableAt(until) => Some(until),
            Capacity::Limited { more_at, .. }
                if self.claimer.limit().is_none_or(|limit| limit.normal == 0) =>
            {
                more_at
            }
            _ => None,
        };
        let longest = now.after(LONGEST_SLEEP);
        until.map_or(longest, |until| until.min(longest))
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
