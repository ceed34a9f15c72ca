//! A request that was taken, by a claim statement or for a commit that stores events.

use std::sync::Arc;
use std::time::Duration;

use super::Inner;
use crate::domain::Lane;
use crate::queue::claimer::ClaimRequest;
use crate::queue::{ClaimLimit, Lease, StoreError};

/// A request for which something is being done; put back when dropped without an answer.
#[derive(Debug)]
pub(in crate::queue::postgres) struct Taken {
    claims: Arc<Inner>,
    /// `None` once it was answered.
    request: Option<ClaimRequest>,
    version: u64,
}

impl Taken {
    pub(super) fn new(claims: &Arc<Inner>, request: ClaimRequest, version: u64) -> Self {
        Self {
            claims: Arc::clone(claims),
            request: Some(request),
            version,
        }
    }

    pub(in crate::queue::postgres) fn limit(&self) -> ClaimLimit {
        (self.request.as_ref()).map_or(ClaimLimit::NONE, |request| request.limit)
    }

    pub(in crate::queue::postgres) fn lease(&self) -> Duration {
        (self.request.as_ref()).map_or(Duration::ZERO, |request| request.lease)
    }

    /// Uses the request up. No leases are no answer.
    pub(in crate::queue::postgres) fn answer(mut self, mut answer: Result<Vec<Lease>, StoreError>) {
        if matches!(&answer, Ok(leases) if leases.is_empty()) {
            return;
        }
        let Some(request) = self.request.take() else {
            return;
        };
        for lease in answer.iter_mut().flatten() {
            // A commit has held it for the node, since it had no claimer yet.
            lease.holding = None;
            let key = (lease.row_seq, lease.token);
            lease.holding = Some(request.reply.held.hold(key, lease.until));
        }
        let first = answer.iter().flatten().map(|lease| lease.until).min();
        self.claims.ends_at(first);
        self.claims.answered(&request.reply);
        request.reply.answer(answer);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.claims.end(self.request.take(), self.version);
    }
}

/// The request, reserved for a commit that is being made.
#[derive(Debug)]
pub(in crate::queue::postgres) struct Reservation {
    taken: Taken,
    mine: Vec<bool>,
}

impl Reservation {
    pub(super) const fn new(taken: Taken, mine: Vec<bool>) -> Self {
        Self { taken, mine }
    }

    /// Which of the deliveries are claimed by the commit, in order.
    pub(in crate::queue::postgres) fn mine(&self) -> &[bool] {
        &self.mine
    }

    /// How long their leases last.
    pub(in crate::queue::postgres) fn lease(&self) -> Duration {
        self.taken.lease()
    }

    /// Hands out the leases after the commit.
    pub(in crate::queue::postgres) fn answer(self, leases: Vec<Lease>) {
        self.taken.answer(Ok(leases));
    }
}

/// Which of these deliveries a claim takes: urgent ones first.
pub(super) fn choose(limit: ClaimLimit, deliveries: &[(Lane, bool)]) -> Vec<bool> {
    let count = |lane| {
        let due = deliveries.iter().filter(|one| **one == (lane, true));
        due.count()
    };
    let mut urgent = limit.urgent.saturating_add(limit.normal);
    let taken = count(Lane::Urgent).min(urgent);
    let mut normal = limit.normal.saturating_sub(taken);
    let mut choose = |(lane, is_due): &(Lane, bool)| {
        let left = match lane {
            Lane::Urgent => &mut urgent,
            Lane::Normal => &mut normal,
        };
        let is_mine = *is_due && *left > 0;
        *left -= usize::from(is_mine);
        is_mine
    };
    deliveries.iter().map(&mut choose).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commit_claims_urgent_deliveries_first_and_only_due_ones() {
        const U: Lane = Lane::Urgent;
        const N: Lane = Lane::Normal;
        let limit = |urgent, normal| ClaimLimit { urgent, normal };
        let chosen = |limit, deliveries: &[(Lane, bool)]| choose(limit, deliveries);
        assert_eq!(
            chosen(limit(1, 2), &[(N, true), (N, true), (N, true)]),
            [true, true, false]
        );
        assert_eq!(
            chosen(limit(1, 2), &[(N, true), (U, true), (U, false), (N, true)]),
            [true, true, false, false],
            "two slots are for both lanes"
        );
        assert_eq!(
            chosen(
                limit(1, 2),
                &[(N, true), (U, true), (U, true), (U, true), (U, true)]
            ),
            [false, true, true, true, false]
        );
        assert_eq!(chosen(limit(2, 0), &[(N, true)]), [false]);
    }
}
