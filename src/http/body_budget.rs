//! A shared budget for the bodies of all requests, counted as bytes arrive.
//!
//! ```text
//!  server.body_budget  ├─ unauthenticated senders: at most a quarter ─┤
//!  small bodies (up to 64 KiB each) are counted and never refused
//! ```
//!
//! A larger body waits for free budget. In the meantime, bodies that arrive slowly are displaced,
//! so that slow senders cannot block others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Bodies up to this size are never refused.
pub const SMALL: usize = 64 * 1_024;
/// How long a body waits for free budget.
const WAIT: Duration = Duration::from_secs(2);
/// How often a waiting body checks for slow ones.
const RECHECK: Duration = Duration::from_millis(100);
/// Minimum rate of larger bodies while others wait, in bytes per second.
const MIN_RATE: u64 = 64 * 1_024;
/// How far a body may fall behind that rate.
const MAX_DELAY: Duration = Duration::from_secs(1);

/// The budget. Clones share it.
#[derive(Debug, Clone)]
pub struct BodyBudget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    limit: usize,
    total: usize,
    unauthenticated: usize,
    /// Larger bodies that are arriving and may be displaced.
    arriving: HashMap<u64, Large>,
    next: u64,
}

#[derive(Debug)]
struct Large {
    authenticated: bool,
    /// The time up to which the body has kept to [`MIN_RATE`].
    on_pace_until: Instant,
    displaced: Arc<Notify>,
}

/// The budget is exhausted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted;

/// The part of the budget that a body holds, released on drop.
#[derive(Debug)]
pub struct Reservation {
    budget: BodyBudget,
    held: usize,
    authenticated: bool,
    /// Key in [`State::arriving`].
    large: Option<u64>,
    displaced: Arc<Notify>,
}

impl BodyBudget {
    /// A budget of this many bytes.
    pub fn new(limit: usize) -> Self {
        let state = State {
            limit,
            total: 0,
            unauthenticated: 0,
            arriving: HashMap::new(),
            next: 0,
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            freed: Notify::new(),
        }))
    }

    /// Changes the size; reserved bytes stay reserved.
    pub fn resize(&self, limit: usize) {
        self.state().limit = limit;
    }

    /// Number of reserved bytes.
    pub fn held(&self) -> usize {
        self.state().total
    }

    /// The largest body that can ever fit.
    pub fn largest(&self, authenticated: bool) -> usize {
        self.state().limit_of(authenticated).max(SMALL)
    }

    /// Starts an empty reservation for a body.
    pub fn reserve(&self, authenticated: bool) -> Reservation {
        Reservation {
            budget: self.clone(),
            held: 0,
            authenticated,
            large: None,
            displaced: Arc::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The limit for authenticated senders, or for all others.
    const fn limit_of(&self, authenticated: bool) -> usize {
        if authenticated {
            self.limit
        } else {
            self.limit / 4
        }
    }

    fn fits(&self, reservation: &Reservation, bytes: usize) -> bool {
        let small = reservation.held.saturating_add(bytes) <= SMALL;
        let within = |held: usize, limit: usize| held.saturating_add(bytes) <= limit;
        small
            || (within(self.total, self.limit)
                && (reservation.authenticated
                    || within(self.unauthenticated, self.limit_of(false))))
    }

    fn add(&mut self, reservation: &mut Reservation, bytes: usize) {
        reservation.held = reservation.held.saturating_add(bytes);
        self.total = self.total.saturating_add(bytes);
        if !reservation.authenticated {
            self.unauthenticated = self.unauthenticated.saturating_add(bytes);
        }
        if reservation.held > SMALL {
            self.note_progress(reservation, bytes);
        } else if self.total > self.limit {
            self.displace(true, Duration::ZERO);
        }
    }

    fn note_progress(&mut self, reservation: &mut Reservation, bytes: usize) {
        let now = Instant::now();
        let worth = Duration::from_micros(
            u64::try_from(bytes)
                .unwrap_or(u64::MAX)
                .saturating_mul(1_000_000)
                / MIN_RATE,
        );
        let id = *reservation.large.get_or_insert_with(|| {
            self.next += 1;
            self.next
        });
        let new = || Large {
            authenticated: reservation.authenticated,
            on_pace_until: now,
            displaced: Arc::clone(&reservation.displaced),
        };
        let large = self.arriving.entry(id).or_insert_with(new);
        large.on_pace_until = (large.on_pace_until + worth).min(now);
    }

    /// Displaces the slowest larger body that is at least this far behind, unauthenticated senders
    /// first. `for_authenticated` includes authenticated senders.
    fn displace(&mut self, for_authenticated: bool, behind: Duration) {
        let slow = self.arriving.iter().filter(|(_, large)| {
            (for_authenticated || !large.authenticated) && large.on_pace_until.elapsed() >= behind
        });
        let Some(id) = slow
            .min_by_key(|(_, large)| (large.authenticated, large.on_pace_until))
            .map(|(id, _)| *id)
        else {
            return;
        };
        if let Some(large) = self.arriving.remove(&id) {
            large.displaced.notify_one();
        }
    }
}

impl Reservation {
    /// Reserves more bytes, waiting if necessary.
    ///
    /// # Errors
    /// If the budget is exhausted.
    pub async fn add(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let deadline = tokio::time::Instant::now() + WAIT;
        let shared = Arc::clone(&self.budget.0);
        loop {
            let freed = shared.freed.notified();
            if self.try_add(bytes) {
                return Ok(());
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(Exhausted);
            }
            tokio::select! {
                () = freed => {}
                () = tokio::time::sleep(RECHECK) => {}
            }
        }
    }

    fn try_add(&mut self, bytes: usize) -> bool {
        let budget = self.budget.clone();
        let mut state = budget.state();
        let fits = state.fits(self, bytes);
        if fits {
            state.add(self, bytes);
        } else {
            // While this body waits for budget, its sender is not to blame for the delay.
            self.unregister(&mut state);
            state.displace(self.authenticated, MAX_DELAY);
        }
        fits
    }

    fn unregister(&mut self, state: &mut State) {
        if let Some(id) = self.large.take() {
            state.arriving.remove(&id);
        }
    }

    /// Resolves when this body has to give up its reservation.
    pub async fn displaced(&self) {
        self.displaced.notified().await;
    }

    /// Marks the body as complete: it can no longer be displaced.
    pub fn complete(&mut self) {
        let budget = self.budget.clone();
        self.unregister(&mut budget.state());
    }

    /// Marks the sender as authenticated.
    pub fn mark_authenticated(&mut self) {
        if !std::mem::replace(&mut self.authenticated, true) {
            let mut state = self.budget.state();
            state.unauthenticated = state.unauthenticated.saturating_sub(self.held);
            drop(state);
            self.budget.0.freed.notify_waiters();
        }
    }

    /// Releases everything: the body is discarded as it arrives.
    pub fn release(&mut self) {
        if self.held == 0 {
            return;
        }
        let budget = self.budget.clone();
        let mut state = budget.state();
        self.unregister(&mut state);
        let held = std::mem::take(&mut self.held);
        state.total = state.total.saturating_sub(held);
        if !self.authenticated {
            state.unauthenticated = state.unauthenticated.saturating_sub(held);
        }
        drop(state);
        self.budget.0.freed.notify_waiters();
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[tokio::test(start_paused = true)]
    async fn unauthenticated_bodies_share_a_quarter_of_the_budget() {
        let budget = BodyBudget::new(8 * MIB);
        let mut first = budget.reserve(false);
        first.add(2 * MIB).await.unwrap();
        let mut second = budget.reserve(false);
        second.add(SMALL).await.unwrap();
        assert_eq!(second.add(1).await, Err(Exhausted));
        let mut authenticated = budget.reserve(true);
        authenticated.add(5 * MIB).await.unwrap();
        assert_eq!(
            authenticated.add(MIB).await,
            Err(Exhausted),
            "reservations of others count"
        );
        first.mark_authenticated();
        second.add(MIB / 2).await.unwrap();
        assert_eq!(
            (budget.held(), budget.largest(true), budget.largest(false)),
            (7 * MIB + MIB / 2 + SMALL, 8 * MIB, 2 * MIB)
        );
        drop((first, second, authenticated));
        let state = budget.state();
        assert_eq!(
            (state.total, state.unauthenticated, state.arriving.len()),
            (0, 0, 0)
        );
    }

    #[tokio::test]
    async fn reservation_waits_for_a_release() {
        let budget = BodyBudget::new(4 * MIB);
        let mut first = budget.reserve(true);
        first.add(4 * MIB).await.unwrap();
        let mut second = budget.reserve(true);
        let waiting = tokio::spawn(async move { second.add(MIB).await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        first.release();
        assert_eq!(waiting.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn slow_body_is_displaced_and_a_complete_one_is_not() {
        let budget = BodyBudget::new(4 * MIB);
        let (mut slow, mut complete, mut quick) = (
            budget.reserve(false),
            budget.reserve(false),
            budget.reserve(false),
        );
        slow.add(MIB / 2).await.unwrap();
        complete.add(MIB / 2).await.unwrap();
        complete.complete();
        let id = slow.large.unwrap();
        budget.state().arriving.get_mut(&id).unwrap().on_pace_until -= 2 * MAX_DELAY;
        let waiting = async { quick.add(MIB / 2).await };
        let leaving = async {
            slow.displaced().await;
            drop(slow);
        };
        assert_eq!(tokio::join!(waiting, leaving).0, Ok(()));
        assert_eq!(budget.held(), MIB);
    }

    #[tokio::test]
    async fn small_body_beyond_the_budget_displaces_a_large_one() {
        let budget = BodyBudget::new(MIB);
        let (mut large, mut small) = (budget.reserve(true), budget.reserve(false));
        large.add(MIB).await.unwrap();
        small.add(SMALL).await.unwrap();
        large.displaced().await;
    }
}
