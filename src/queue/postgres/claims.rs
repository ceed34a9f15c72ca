//! The pending claim: new deliveries are handed out by the commit that stores them; others are
//! claimed when they become due.
//!
//! To claim costs a statement, so it is made only when something may be due: the backlog is known to
//! be empty after a claim that found nothing, until this node adds a row to `due`, a notification
//! comes, the next due time is reached, or the poll time is over.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::claim;
use super::store::{Shared, Store, lock};
use crate::domain::{Lane, Timestamp};
use crate::queue::claimer::{ClaimReply, ClaimRequest};
use crate::queue::held::Renewal;
use crate::queue::{ClaimLimit, Lease, StoreError};

/// How often rows of other nodes are looked for, with notifications and without. They are lost while
/// their connection is, so there is always a poll.
const POLL: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(1));

/// The claim that waits, at most one, and what is known about the backlog.
#[derive(Debug, Default)]
pub(super) struct Claims {
    state: Mutex<State>,
    /// Wakes the task that claims.
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    request: Option<ClaimRequest>,
    /// The claimer of the last request, and how many answers it was sent.
    claimer: Option<ClaimReply>,
    answers: u64,
    backlog: Backlog,
    /// Whether notifications arrive.
    is_notified: bool,
}

/// What this node knows about the rows of `due`.
#[derive(Debug, Clone, Copy, Default)]
struct Backlog {
    /// Whether no row of the lane is due, apart from those that this node knows.
    is_empty: Lanes,
    /// When the next row becomes due, as far as known.
    next_due: Option<Timestamp>,
    /// Increased whenever rows may have been added.
    changes: u64,
}

/// Something about both lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Lanes {
    pub(super) urgent: bool,
    pub(super) normal: bool,
}

impl Lanes {
    const fn of(self, lane: Lane) -> bool {
        match lane {
            Lane::Urgent => self.urgent,
            Lane::Normal => self.normal,
        }
    }
}

impl State {
    /// Ends a request with this answer.
    fn answer(&mut self, request: &ClaimRequest, answer: Result<Vec<Lease>, StoreError>) {
        self.answers += 1;
        request.reply.answer(answer);
    }

    /// Whether the pending request may find something now.
    fn is_wanted(&self, now: Timestamp) -> bool {
        self.request.as_ref().is_some_and(|request| {
            let empty = self.backlog.is_empty;
            let is_unknown = !empty.urgent || (request.limit.normal > 0 && !empty.normal);
            let is_due = self.backlog.next_due.is_some_and(|due| due <= now);
            !request.reply.is_closed() && (is_unknown || is_due)
        })
    }

    fn is_from_claimer_of(&self, request: &ClaimRequest) -> bool {
        (self.claimer.as_ref()).is_some_and(|last| last.is_same(&request.reply))
    }
}

impl Claims {
    /// Rows may be due: another node, a verb of the operator or an outage of this node left them.
    pub(super) fn woken(&self) {
        let mut state = self.state();
        state.backlog.changes += 1;
        state.backlog.is_empty = Lanes::default();
        drop(state);
        self.wake.notify_one();
    }

    /// This node has added a row to `due`.
    pub(super) fn added(&self, due_at: Timestamp, now: Timestamp) {
        if due_at <= now {
            self.woken();
            return;
        }
        let mut state = self.state();
        // A claim that is under way may not have seen the row.
        state.backlog.changes += 1;
        let next_due = &mut state.backlog.next_due;
        if next_due.is_none_or(|next| due_at < next) {
            *next_due = Some(due_at);
            if let Some(request) = &state.request {
                request.reply.wait_until(Some(due_at));
            }
        }
    }

    /// Whether notifications of other nodes arrive.
    pub(super) fn set_notified(&self, is_notified: bool) {
        self.state().is_notified = is_notified;
    }

    /// Reserves slots of the pending claim for new deliveries: a lane for each, and whether it is due
    /// at once. `None` if no claim waits, or something older may be due.
    pub(super) fn reserve(self: &Arc<Self>, new: &[(Lane, bool)]) -> Option<Reservation> {
        let mut state = self.state();
        let request = state.request.as_ref()?;
        if request.reply.is_closed() || !state.backlog.is_empty.urgent {
            return None;
        }
        let is_empty = state.backlog.is_empty;
        let mine = allot(request.limit, new, is_empty);
        if !mine.contains(&true) {
            return None;
        }
        let request = state.request.take()?;
        drop(state);
        Some(Reservation {
            claims: Arc::clone(self),
            request: Some(request),
            mine,
        })
    }

    /// Replaces the request. A request made before its claimer saw the last answer is dropped: its
    /// limit counts the slots of that answer as free.
    fn replace(&self, request: ClaimRequest) {
        let mut state = self.state();
        if !state.is_from_claimer_of(&request) {
            (state.claimer, state.answers) = (Some(request.reply.clone()), 0);
            state.backlog.is_empty = Lanes::default();
        }
        if request.seen < state.answers {
            return;
        }
        if request.limit == ClaimLimit::NONE {
            state.request = None;
            return;
        }
        let now = request.now;
        request.reply.wait_until(state.backlog.next_due);
        state.request = Some(request);
        let is_wanted = state.is_wanted(now);
        drop(state);
        if is_wanted {
            self.wake.notify_one();
        }
    }

    fn remove(&self) {
        let mut state = self.state();
        state.request = None;
        // A claim that is under way finds no claimer to return its request to.
        state.answers += 1;
    }

    /// Puts a request back that was given nothing, unless its claimer has made another one.
    fn give_back(&self, request: ClaimRequest) {
        let mut state = self.state();
        if state.request.is_some()
            || !state.is_from_claimer_of(&request)
            || request.seen < state.answers
        {
            return;
        }
        let now = request.now;
        request.reply.wait_until(state.backlog.next_due);
        state.request = Some(request);
        let is_wanted = state.is_wanted(now);
        drop(state);
        if is_wanted {
            self.wake.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Which of the new deliveries get a slot: urgent ones first, see [`ClaimLimit`]. In a lane that is
/// not known to be empty, older ones are first.
fn allot(limit: ClaimLimit, new: &[(Lane, bool)], is_empty: Lanes) -> Vec<bool> {
    let mut mine = vec![false; new.len()];
    let mut taken = 0;
    for (lane, most) in [
        (Lane::Urgent, limit.urgent.saturating_add(limit.normal)),
        (Lane::Normal, limit.normal),
    ] {
        for (slot, (of, is_due)) in mine.iter_mut().zip(new) {
            if *of == lane && *is_due && is_empty.of(lane) && taken < most {
                *slot = true;
                taken += 1;
            }
        }
    }
    mine
}

/// The slots of the pending claim, while a commit is under way. They are given back when it is
/// dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    claims: Arc<Claims>,
    request: Option<ClaimRequest>,
    mine: Vec<bool>,
}

impl Reservation {
    /// Whether each of the new deliveries is claimed.
    pub(super) fn mine(&self) -> &[bool] {
        &self.mine
    }

    /// How long a lease lasts that nobody renews.
    pub(super) fn lease(&self) -> Duration {
        self.request.as_ref().map_or(Duration::ZERO, |it| it.lease)
    }

    /// Hands the leases to the claimer.
    pub(super) fn answer(mut self, leases: Vec<Lease>) {
        if leases.is_empty() {
            return;
        }
        if let Some(request) = self.request.take() {
            self.claims.state().answer(&request, Ok(leases));
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            self.claims.give_back(request);
        }
    }
}

/// Claims for the pending request whenever something may be due, until the store is closed.
pub(super) async fn run(shared: Arc<Shared>, closed: CancellationToken) {
    loop {
        let poll = if shared.claims.state().is_notified {
            POLL.0
        } else {
            POLL.1
        };
        tokio::select! {
            () = closed.cancelled() => return,
            () = shared.claims.wake.notified() => {}
            () = tokio::time::sleep(poll.mul_f64(0.8 + fastrand::f64() * 0.4)) => {
                shared.claims.state().backlog.is_empty = Lanes::default();
            }
        }
        claim_pending(&shared).await;
    }
}

async fn claim_pending(shared: &Arc<Shared>) {
    let (request, changes, now) = {
        let mut state = shared.claims.state();
        let now = shared.clock.now();
        if !state.is_wanted(now) {
            return;
        }
        let changes = state.backlog.changes;
        match state.request.take() {
            Some(request) => (request, changes, now),
            None => return,
        }
    };
    let claimed = claim::run(shared, request.limit, request.lease, now, true).await;
    let mut state = shared.claims.state();
    match claimed {
        Ok(claimed) => {
            // What was added meanwhile may have come too late for the statement.
            if state.backlog.changes == changes {
                state.backlog.is_empty = claimed.is_empty;
                state.backlog.next_due = claimed.next_due;
            }
            if claimed.leases.is_empty() {
                drop(state);
                shared.claims.give_back(ClaimRequest { now, ..request });
            } else {
                state.answer(&request, Ok(claimed.leases));
            }
        }
        Err(error) => state.answer(&request, Err(error)),
    }
}

impl Store {
    pub(in crate::queue) async fn claim(
        &self,
        limit: ClaimLimit,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Lease>, StoreError> {
        claim::sweep(&self.shared, now).await?;
        let claimed = claim::run(&self.shared, limit, lease, now, false).await?;
        Ok(claimed.leases)
    }

    /// Sets the pending claim.
    pub(in crate::queue) async fn set_claim(
        &self,
        request: ClaimRequest,
    ) -> Result<(), StoreError> {
        self.check_open()?;
        self.shared.claims.replace(request);
        Ok(())
    }

    /// Extends leases in memory: the lease is the node's, which its heartbeat renews. Then returns
    /// what this node holds without knowing it.
    pub(in crate::queue) async fn renew(&self, renewal: Renewal) -> Result<(), StoreError> {
        renewal.committed();
        claim::sweep(&self.shared, renewal.now).await
    }

    /// Removes the pending claim. After this, it is given no more leases.
    pub(in crate::queue) async fn stop_claim(&self) -> Result<(), StoreError> {
        self.shared.claims.remove();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgent_deliveries_get_slots_first_and_normal_ones_leave_some_free() {
        use Lane::{Normal, Urgent};
        let limit = |urgent, normal| ClaimLimit { urgent, normal };
        let both = Lanes {
            urgent: true,
            normal: true,
        };
        let new = [
            (Normal, true),
            (Urgent, true),
            (Normal, false),
            (Urgent, true),
            (Normal, true),
        ];
        assert_eq!(
            allot(limit(0, 3), &new, both),
            [true, true, false, true, false],
            "three slots for either lane"
        );
        assert_eq!(
            allot(limit(1, 1), &new, both),
            [false, true, false, true, false]
        );
        assert_eq!(
            allot(limit(1, 0), &new, both),
            [false, true, false, false, false]
        );
        assert_eq!(
            allot(limit(9, 9), &new, both),
            [true, true, false, true, true]
        );
    }
}
