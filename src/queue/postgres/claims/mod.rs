//! The pending claim of this node: new deliveries are handed out by the commit that stores them,
//! others by a claim statement when they become due.
//!
//! A request is taken by a statement or by a reservation, at most one at a time, and is put back if
//! they find nothing for it. While nothing can be due as far as this node knows, it stays pending
//! and costs no statement.

mod backlog;
mod taken;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use backlog::Backlog;
pub(super) use backlog::{Lanes, LowerBounds};
pub(super) use taken::{Reservation, Taken};

use crate::clock::Clock;
use crate::domain::{Lane, Timestamp};
use crate::queue::ClaimLimit;
use crate::queue::claimer::{ClaimReply, ClaimRequest};
use crate::queue::held::HeldLeases;

/// How often the database is asked for deliveries that other nodes have added: a notification may
/// be lost. The second period is for a node that is known to receive them.
const POLL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// The claim that waits, at most one.
#[derive(Debug, Clone)]
pub(super) struct Claims(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    state: Mutex<State>,
    /// Whether notifications of other nodes are known to arrive.
    is_notified: AtomicBool,
    /// Wakes the task that runs the statements.
    work: Notify,
    /// Notified when a statement or a reservation ends.
    ended: Notify,
}

#[derive(Debug, Default)]
struct State {
    request: Option<ClaimRequest>,
    /// Changes whenever the request is replaced or removed, so that an older one is not put back.
    version: u64,
    /// The claimer of the last request, how many answers it was sent, and how long its leases last.
    claimer: Option<ClaimReply>,
    answers: u64,
    lease: Duration,
    taken_by: Option<Taker>,
    backlog: Backlog,
    /// When the first lease ends in the database that was not looked at since.
    first_end: Option<Timestamp>,
}

/// What is being done for the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taker {
    Statement,
    Reservation,
}

impl State {
    /// Whether a statement may find something for the request.
    fn needs_statement(&self, now: Timestamp) -> bool {
        self.taken_by.is_none()
            && self.request.as_ref().is_some_and(|request| {
                !request.reply.is_closed() && self.ask_at(request.limit) <= now
            })
    }

    /// When a claim with this limit may find something.
    fn ask_at(&self, limit: ClaimLimit) -> Timestamp {
        let ask_at = self.backlog.ask_at(limit);
        self.first_end.map_or(ask_at, |end| end.min(ask_at))
    }

    fn take(&mut self, by: Taker, claims: &Arc<Inner>) -> Option<Taken> {
        let request = self.request.take()?;
        self.taken_by = Some(by);
        Some(Taken::new(claims, request, self.version))
    }
}

impl Claims {
    pub(super) fn new(clock: &Clock) -> Self {
        Self(Arc::new(Inner {
            clock: clock.clone(),
            state: Mutex::default(),
            is_notified: AtomicBool::new(false),
            work: Notify::new(),
            ended: Notify::new(),
        }))
    }

    /// Replaces the request. One made before its claimer saw the last answer is dropped: its limit
    /// counts the slots of that answer as free.
    pub(super) fn replace(&self, request: ClaimRequest) {
        let mut state = self.0.state();
        let is_same = (state.claimer.as_ref()).is_some_and(|known| known.is_same(&request.reply));
        if !is_same {
            (state.claimer, state.answers) = (Some(request.reply.clone()), 0);
        }
        state.lease = request.lease;
        let is_valid = request.seen == state.answers && request.limit != ClaimLimit::NONE;
        state.version += 1;
        state.request = Some(request).filter(|_| is_valid);
        self.0.consider(&state);
    }

    /// Removes the request.
    pub(super) fn remove(&self) {
        let mut state = self.0.state();
        state.version += 1;
        state.request = None;
    }

    /// Waits until the request has been tried, if something may be due.
    pub(super) async fn tried(&self) {
        let is_tried = |state: &State, now| {
            state.taken_by != Some(Taker::Statement) && !state.needs_statement(now)
        };
        self.0.wait_for(is_tried).await;
    }

    /// Waits until nothing is being done for the request.
    pub(super) async fn idle(&self) {
        self.0.wait_for(|state, _| state.taken_by.is_none()).await;
    }

    /// A delivery of this node was put into `due`.
    pub(super) fn added(&self, lane: Lane, due_at: Timestamp) {
        let mut state = self.0.state();
        state.backlog.add(lane, due_at);
        self.0.consider(&state);
    }

    /// Something may be due: another node or an operator says so.
    pub(super) fn woken(&self) {
        let mut state = self.0.state();
        state.backlog.forget();
        self.0.consider(&state);
    }

    /// Says whether notifications of other nodes are known to arrive.
    pub(super) fn set_notified(&self, is_notified: bool) {
        self.0.is_notified.store(is_notified, Ordering::Relaxed);
    }

    /// A lease ends at this time in the database, unless it is settled before.
    pub(super) fn ends_at(&self, until: Option<Timestamp>) {
        self.0.ends_at(until);
    }

    /// Whether a lease may be over that nobody holds; `false` from then on.
    pub(super) fn take_end(&self, now: Timestamp) -> bool {
        let first_end = &mut self.0.state().first_end;
        first_end.take_if(|first| *first <= now).is_some()
    }

    /// The leases of the last claimer, and how long they last.
    pub(super) fn held(&self) -> Option<(HeldLeases, Duration)> {
        let state = self.0.state();
        let claimer = state.claimer.as_ref()?;
        Some((claimer.held.clone(), state.lease))
    }

    /// Wakes the task that runs the statements, for a sweep.
    pub(super) fn wake(&self) {
        self.0.work.notify_one();
    }

    /// Reserves the request for a commit that adds these deliveries, in order, if nothing older
    /// waits. The flag says whether a delivery is due at once.
    pub(super) fn reserve(&self, deliveries: &[(Lane, bool)]) -> Option<Reservation> {
        let mut state = self.0.state();
        let now = self.0.clock.now();
        let request = (state.request.as_ref())
            .filter(|request| state.taken_by.is_none() && !request.reply.is_closed())?;
        if state.ask_at(request.limit) <= now {
            return None;
        }
        let mine = taken::choose(request.limit, deliveries);
        if !mine.contains(&true) {
            return None;
        }
        let taken = state.take(Taker::Reservation, &self.0)?;
        Some(Reservation::new(taken, mine))
    }

    /// Waits until there is work for the task that runs the statements.
    pub(super) async fn work(&self) {
        self.0.work.notified().await;
    }

    /// Takes the request for a statement, if that may find something.
    pub(super) fn take(&self) -> Option<Taken> {
        let mut state = self.0.state();
        if !state.needs_statement(self.0.clock.now()) {
            return None;
        }
        state.backlog.begin();
        state.take(Taker::Statement, &self.0)
    }

    /// The statement of a claim took everything that was due in this lane.
    pub(super) fn emptied(&self, lane: Lane, next_due: Option<Timestamp>) {
        let (unheard, heard) = POLL;
        let is_notified = self.0.is_notified.load(Ordering::Relaxed);
        let period = if is_notified { heard } else { unheard };
        let jitter = fastrand::f64().mul_add(0.4, 0.8);
        let poll_at = self.0.clock.now().after(period.mul_f64(jitter));
        self.0.state().backlog.emptied(lane, next_due, poll_at);
    }

    /// The statement of a claim may have left something that is due in this lane.
    pub(super) fn left(&self, lane: Lane) {
        self.0.state().backlog.left(lane);
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the request tried, or says when that makes sense.
    fn consider(&self, state: &State) {
        if state.needs_statement(self.clock.now()) {
            self.work.notify_one();
        } else if let Some(request) = &state.request
            && state.taken_by.is_none()
        {
            let ask_at = state.ask_at(request.limit);
            request.reply.wait_until(Some(ask_at));
        }
    }

    fn ends_at(&self, until: Option<Timestamp>) {
        let mut state = self.state();
        state.first_end = match (state.first_end, until) {
            (Some(known), Some(until)) => Some(known.min(until)),
            (known, until) => known.or(until),
        };
    }

    /// Counts an answer. A newer request of its claimer does not count its slots.
    fn answered(&self, claimer: &ClaimReply) {
        let mut state = self.state();
        if (state.claimer.as_ref()).is_some_and(|known| known.is_same(claimer)) {
            state.answers += 1;
            state.request = None;
        }
    }

    /// Ends what is being done for the request, and puts it back unless it was answered, replaced
    /// or removed.
    fn end(&self, request: Option<ClaimRequest>, version: u64) {
        let mut state = self.state();
        state.taken_by = None;
        if request.is_some() && state.version == version {
            state.request = request;
        }
        self.consider(&state);
        drop(state);
        self.ended.notify_waiters();
    }

    async fn wait_for(&self, condition: impl Fn(&State, Timestamp) -> bool) {
        loop {
            let ended = self.ended.notified();
            if condition(&self.state(), self.clock.now()) {
                return;
            }
            ended.await;
        }
    }
}
