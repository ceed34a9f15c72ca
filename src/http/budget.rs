//! One budget for the bodies of all requests, counted as their bytes arrive.
//!
//! ```text
//!   server.body_budget  ├─ unproven senders: at most a quarter ─┤
//!   small bodies (up to 64 KiB each) are counted and never refused
//! ```
//!
//! A larger body waits a moment for room. Meanwhile one that arrives slowly gives way to it, so
//! that senders who send little cannot keep others out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// A body up to this size always fits.
pub const SMALL: usize = 64 * 1_024;
/// How long a body waits for room.
const WAIT: Duration = Duration::from_secs(2);
/// How often it looks meanwhile who has become slow.
const LOOK: Duration = Duration::from_millis(100);
/// While others wait for room: the slowest that a larger body may arrive, in bytes a second.
const MIN_RATE: u64 = 64 * 1_024;
/// How far it may be behind that.
const MAX_DELAY: Duration = Duration::from_secs(1);

/// The budget. Clones share it.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    limit: usize,
    total: usize,
    unproven: usize,
    /// The larger bodies that are arriving and may have to give way.
    arriving: HashMap<u64, Large>,
    next: u64,
}

#[derive(Debug)]
struct Large {
    proven: bool,
    /// The moment up to which it has kept to [`MIN_RATE`].
    kept_up: Instant,
    displaced: Arc<Notify>,
}

/// There is no room for more of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoom;

/// What one body takes of the budget. Dropping it gives that back.
#[derive(Debug)]
pub struct Room {
    budget: Budget,
    held: usize,
    proven: bool,
    /// Its place among the larger bodies that are arriving.
    large: Option<u64>,
    displaced: Arc<Notify>,
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(limit: usize) -> Self {
        let state = State {
            limit,
            total: 0,
            unproven: 0,
            arriving: HashMap::new(),
            next: 0,
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            freed: Notify::new(),
        }))
    }

    /// Changes the size of the budget; what is held stays.
    pub fn resize(&self, limit: usize) {
        self.state().limit = limit;
    }

    /// How many bytes are held.
    pub fn held(&self) -> usize {
        self.state().total
    }

    /// The largest body that could ever fit.
    pub fn largest(&self, proven: bool) -> usize {
        self.state().limit_of(proven).max(SMALL)
    }

    /// Room for a body of which nothing has arrived yet.
    pub fn room(&self, proven: bool) -> Room {
        Room {
            budget: self.clone(),
            held: 0,
            proven,
            large: None,
            displaced: Arc::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What all bodies of proven senders, or of others, may take together.
    const fn limit_of(&self, proven: bool) -> usize {
        if proven { self.limit } else { self.limit / 4 }
    }

    fn fits(&self, room: &Room, bytes: usize) -> bool {
        let small = room.held.saturating_add(bytes) <= SMALL;
        let within = |held: usize, limit: usize| held.saturating_add(bytes) <= limit;
        small
            || (within(self.total, self.limit)
                && (room.proven || within(self.unproven, self.limit_of(false))))
    }

    fn add(&mut self, room: &mut Room, bytes: usize) {
        room.held = room.held.saturating_add(bytes);
        self.total = self.total.saturating_add(bytes);
        if !room.proven {
            self.unproven = self.unproven.saturating_add(bytes);
        }
        if room.held > SMALL {
            self.note_progress(room, bytes);
        } else if self.total > self.limit {
            self.displace(true, Duration::ZERO);
        }
    }

    fn note_progress(&mut self, room: &mut Room, bytes: usize) {
        let now = Instant::now();
        let worth = Duration::from_micros(
            u64::try_from(bytes)
                .unwrap_or(u64::MAX)
                .saturating_mul(1_000_000)
                / MIN_RATE,
        );
        let id = *room.large.get_or_insert_with(|| {
            self.next += 1;
            self.next
        });
        let new = || Large {
            proven: room.proven,
            kept_up: now,
            displaced: Arc::clone(&room.displaced),
        };
        let large = self.arriving.entry(id).or_insert_with(new);
        large.kept_up = (large.kept_up + worth).min(now);
    }

    /// Makes the slowest of the larger bodies that are so far behind give way, those of senders not
    /// proven first; `for_proven` says whether those of proven senders are among them.
    fn displace(&mut self, for_proven: bool, behind: Duration) {
        let slow = self.arriving.iter().filter(|(_, large)| {
            (for_proven || !large.proven) && large.kept_up.elapsed() >= behind
        });
        let Some(id) = slow
            .min_by_key(|(_, large)| (large.proven, large.kept_up))
            .map(|(id, _)| *id)
        else {
            return;
        };
        if let Some(large) = self.arriving.remove(&id) {
            large.displaced.notify_one();
        }
    }
}

impl Room {
    /// Takes room for so many bytes that have arrived; waits a moment for it.
    ///
    /// # Errors
    /// When there is none, or when this body has to give way to others.
    pub async fn take(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let deadline = tokio::time::Instant::now() + WAIT;
        let shared = Arc::clone(&self.budget.0);
        loop {
            let freed = shared.freed.notified();
            if self.try_take(bytes) {
                return Ok(());
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(NoRoom);
            }
            tokio::select! {
                () = freed => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    fn try_take(&mut self, bytes: usize) -> bool {
        let budget = self.budget.clone();
        let mut state = budget.state();
        let fits = state.fits(self, bytes);
        if fits {
            state.add(self, bytes);
        } else {
            // While it waits for us it is not slow.
            self.stay_with(&mut state);
            state.displace(self.proven, MAX_DELAY);
        }
        fits
    }

    fn stay_with(&mut self, state: &mut State) {
        if let Some(id) = self.large.take() {
            state.arriving.remove(&id);
        }
    }

    /// Resolves when this body has to give way to others.
    pub async fn displaced(&self) {
        self.displaced.notified().await;
    }

    /// Notes that the body is complete: from now on it is held by us and not by its sender, and
    /// does not give way.
    pub fn complete(&mut self) {
        let budget = self.budget.clone();
        self.stay_with(&mut budget.state());
    }

    /// Notes that the sender has proven who it is.
    pub fn prove(&mut self) {
        if !std::mem::replace(&mut self.proven, true) {
            let mut state = self.budget.state();
            state.unproven = state.unproven.saturating_sub(self.held);
            drop(state);
            self.budget.0.freed.notify_waiters();
        }
    }

    /// Gives back everything: the body is thrown away as it arrives.
    pub fn give_back(&mut self) {
        if self.held == 0 {
            return;
        }
        let budget = self.budget.clone();
        let mut state = budget.state();
        self.stay_with(&mut state);
        let held = std::mem::take(&mut self.held);
        state.total = state.total.saturating_sub(held);
        if !self.proven {
            state.unproven = state.unproven.saturating_sub(held);
        }
        drop(state);
        self.budget.0.freed.notify_waiters();
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[tokio::test(start_paused = true)]
    async fn unproven_bodies_share_a_quarter_and_small_ones_always_fit() {
        let budget = Budget::new(8 * MIB);
        let mut first = budget.room(false);
        first.take(2 * MIB).await.unwrap();
        let mut second = budget.room(false);
        second.take(SMALL).await.unwrap();
        assert_eq!(second.take(1).await, Err(NoRoom));
        let mut proven = budget.room(true);
        proven.take(5 * MIB).await.unwrap();
        assert_eq!(
            proven.take(MIB).await,
            Err(NoRoom),
            "what is held by others counts"
        );
        first.prove();
        second.take(MIB / 2).await.unwrap();
        assert_eq!(
            (budget.held(), budget.largest(true), budget.largest(false)),
            (7 * MIB + MIB / 2 + SMALL, 8 * MIB, 2 * MIB)
        );
        drop((first, second, proven));
        let state = budget.state();
        assert_eq!(
            (state.total, state.unproven, state.arriving.len()),
            (0, 0, 0)
        );
    }

    #[tokio::test]
    async fn a_body_waits_until_another_is_done() {
        let budget = Budget::new(4 * MIB);
        let mut first = budget.room(true);
        first.take(4 * MIB).await.unwrap();
        let mut second = budget.room(true);
        let waiting = tokio::spawn(async move { second.take(MIB).await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        first.give_back();
        assert_eq!(waiting.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn slow_body_gives_way_and_a_complete_one_does_not() {
        let budget = Budget::new(4 * MIB);
        let (mut slow, mut complete, mut quick) =
            (budget.room(false), budget.room(false), budget.room(false));
        slow.take(MIB / 2).await.unwrap();
        complete.take(MIB / 2).await.unwrap();
        complete.complete();
        let id = slow.large.unwrap();
        budget.state().arriving.get_mut(&id).unwrap().kept_up -= 2 * MAX_DELAY;
        let waiting = async { quick.take(MIB / 2).await };
        let leaving = async {
            slow.displaced().await;
            drop(slow);
        };
        assert_eq!(tokio::join!(waiting, leaving).0, Ok(()));
        assert_eq!(budget.held(), MIB);
    }

    #[tokio::test]
    async fn small_body_beyond_the_budget_makes_a_large_one_give_way() {
        let budget = Budget::new(MIB);
        let (mut large, mut small) = (budget.room(true), budget.room(false));
        large.take(MIB).await.unwrap();
        small.take(SMALL).await.unwrap();
        large.displaced().await;
    }
}
