//! Where moments come from: the system's clock, or one that a test moves by hand.

mod step_detector;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, watch};

pub use step_detector::StepDetector;

use crate::domain::Timestamp;

/// Where the present moment comes from: the system's clock, or one that a test moves by hand.
///
/// A system clock that is set while a daemon runs must neither expire what waits nor put it off, so
/// its daemon goes by [`Clock::steady`]: that goes on as before, says by [`Clock::set_by`] how far
/// the system's clock was moved, and follows it when [`Clock::follow`] is called, after everything
/// that was planned by it has been moved along. Whoever plans by it meanwhile holds
/// [`Clock::planning`].
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The operating system's wall clock.
    #[default]
    System,
    /// The same, undisturbed when it is set; clones are the same clock.
    Steady {
        /// The clock without its leaps.
        steady: Arc<Mutex<StepDetector>>,
        /// Shared by who plans, alone to who moves along what was planned.
        plans: Arc<RwLock<()>>,
    },
    /// A clock that stands still until [`Clock::step`] moves it; clones share the same hands.
    Stepped {
        /// The moment that it shows.
        hands: watch::Sender<Timestamp>,
        /// How far the system's clock would be ahead, in milliseconds.
        set_by: Arc<AtomicI64>,
        /// What was made up for in all.
        followed: Arc<AtomicI64>,
        /// As of the steady clock.
        plans: Arc<RwLock<()>>,
    },
}

/// A clock goes on as it does for as long as this is held.
#[derive(Debug)]
#[must_use = "what is planned without it may stay behind when the clock is set"]
pub struct Planning(
    #[expect(dead_code, reason = "held until it is dropped")] Option<OwnedRwLockReadGuard<()>>,
);

/// Nothing is planned by a clock for as long as this is held.
#[derive(Debug)]
#[must_use = "what is planned meanwhile stays behind"]
pub struct NoPlans(
    #[expect(dead_code, reason = "held until it is dropped")] Option<OwnedRwLockWriteGuard<()>>,
);

impl Clock {
    /// A clock that stands at `start` until it is stepped.
    pub fn stepped(start: Timestamp) -> Self {
        Self::Stepped {
            hands: watch::Sender::new(start),
            set_by: Arc::default(),
            followed: Arc::default(),
            plans: Arc::default(),
        }
    }

    /// The system's clock, undisturbed when it is set.
    pub fn steady() -> Self {
        Self::Steady {
            steady: Arc::new(Mutex::new(StepDetector::new(wall(), Instant::now()))),
            plans: Arc::default(),
        }
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => wall(),
            Self::Steady { steady, .. } => lock(steady).read(wall(), Instant::now()),
            Self::Stepped { hands, .. } => *hands.borrow(),
        }
    }

    /// To be held from the moment at which the present is read until what was planned by it is in
    /// the store: until then the clock does not follow, so that nothing planned by the old time
    /// comes after what was moved along.
    pub async fn planning(&self) -> Planning {
        Planning(match self {
            Self::System => None,
            Self::Steady { plans, .. } | Self::Stepped { plans, .. } => {
                Some(Arc::clone(plans).read_owned().await)
            }
        })
    }

    /// Waits until nobody plans by this clock, and lets nobody begin: to be held while what was
    /// planned is moved along and the clock follows.
    pub async fn no_plans(&self) -> NoPlans {
        NoPlans(match self {
            Self::System => None,
            Self::Steady { plans, .. } | Self::Stepped { plans, .. } => {
                Some(Arc::clone(plans).write_owned().await)
            }
        })
    }

    /// By how many milliseconds the system's clock was set forward since this clock last followed
    /// it; fewer than none when it was set back.
    pub fn set_by(&self) -> i64 {
        match self {
            Self::System => 0,
            Self::Steady { steady, .. } => lock(steady).set_by(),
            Self::Stepped { set_by, .. } => set_by.load(Ordering::SeqCst),
        }
    }

    /// Goes on by the system's clock as it was set: so many milliseconds from now on are made up
    /// for.
    pub fn follow(&self, millis: i64) {
        match self {
            Self::System => {}
            Self::Steady { steady, .. } => lock(steady).follow(millis),
            Self::Stepped {
                hands,
                set_by,
                followed,
                ..
            } => {
                hands.send_modify(|now| {
                    followed.fetch_add(millis, Ordering::SeqCst);
                    *now = now.moved(millis);
                });
                set_by.fetch_sub(millis, Ordering::SeqCst);
            }
        }
    }

    /// How many milliseconds it has made up for in all: a time that was planned earlier is to be
    /// moved by what was added since.
    pub fn followed(&self) -> i64 {
        match self {
            Self::System => 0,
            Self::Steady { steady, .. } => lock(steady).followed(),
            Self::Stepped { followed, .. } => followed.load(Ordering::SeqCst),
        }
    }

    /// The present moment as it was counted when this much had been made up for: times planned then
    /// compare with it.
    pub fn now_as_of(&self, then: i64) -> Timestamp {
        let (now, followed) = match self {
            Self::System => (wall(), 0),
            Self::Steady { steady, .. } => {
                let mut steady = lock(steady);
                (steady.read(wall(), Instant::now()), steady.followed())
            }
            Self::Stepped {
                hands, followed, ..
            } => {
                let now = hands.borrow();
                (*now, followed.load(Ordering::SeqCst))
            }
        };
        now.moved(then.saturating_sub(followed))
    }

    /// Sets the clock behind a stepped clock, as somebody sets the system's; what it shows stays.
    pub fn set(&self, millis: i64) {
        if let Self::Stepped { set_by, .. } = self {
            set_by.fetch_add(millis, Ordering::SeqCst);
        }
    }

    /// Waits until this clock shows `moment`; within a tokio runtime. A system clock that is set
    /// after the call does not change how long.
    pub fn sleep_until(&self, moment: Timestamp) -> impl Future<Output = ()> + Send + 'static {
        let hands = match self {
            Self::System | Self::Steady { .. } => None,
            Self::Stepped { hands, .. } => Some(hands.subscribe()),
        };
        let pause = moment.since(self.now());
        async move {
            match hands {
                None => tokio::time::sleep(pause).await,
                // Fails only when all clones of the clock are gone.
                Some(mut hands) => drop(hands.wait_for(|now| *now >= moment).await),
            }
        }
    }

    /// Moves a stepped clock forward; the system's clock is not ours to move and stays as it is.
    pub fn step(&self, span: Duration) {
        if let Self::Stepped { hands, .. } = self {
            hands.send_modify(|now| *now = now.after(span));
        }
    }
}

fn lock(steady: &Mutex<StepDetector>) -> MutexGuard<'_, StepDetector> {
    steady.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that asks the system"
)]
fn wall() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_planned_while_a_clock_is_made_to_follow() {
        for clock in [
            Clock::steady(),
            Clock::stepped(Timestamp::from_millis(5_000)),
        ] {
            let (first, second) = (clock.planning().await, clock.planning().await);
            let mut alone = std::pin::pin!(clock.no_plans());
            assert!(at_once(alone.as_mut()).is_none());
            drop(first);
            assert!(at_once(alone.as_mut()).is_none());
            drop(second);
            let held = at_once(alone.as_mut()).unwrap();
            assert!(at_once(std::pin::pin!(clock.planning())).is_none());
            drop(held);
            assert!(at_once(std::pin::pin!(clock.planning())).is_some());
        }
    }

    /// What a future has come to, if it has.
    fn at_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn who_sleeps_by_a_stepped_clock_wakes_when_it_has_been_stepped_far_enough() {
        let clock = Clock::stepped(Timestamp::from_millis(5_000));
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(Timestamp::from_millis(15_000)).await }
        });
        tokio::task::yield_now().await;
        clock.step(Duration::from_secs(9));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.step(Duration::from_secs(1));
        sleeper.await.unwrap();
        assert_eq!(clock.now(), Timestamp::from_millis(15_000));
    }
}
