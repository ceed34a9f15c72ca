//! Store time and the wall clock.
//!
//! Every time that is stored is store time: the wall clock minus an offset. A step of the system's
//! clock goes into the offset, so store time continues as if there had been no step, and nothing
//! that waits for a time expires early or late. Times that people see are wall time
//! ([`Clock::to_wall`]).

mod fence;
mod step_detector;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

pub use fence::{Fence, FenceHandle, FenceOver};
pub use step_detector::{ClockState, Reading, StepDetector, boot_id, since_boot};

use crate::domain::Timestamp;

/// A source of store time and wall time. Clones are the same clock.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The system's wall clock; store time is the same and follows every step.
    #[default]
    System,
    /// The system's wall clock, and store time without its steps.
    Adjusted(Arc<Mutex<StepDetector>>),
    /// A clock for tests, which stands still until it is changed by [`Clock::step`] or
    /// [`Clock::set`].
    Manual {
        /// What its system's clocks show.
        system: watch::Sender<Reading>,
        /// Detects the steps made by [`Clock::set`].
        detector: Arc<Mutex<StepDetector>>,
    },
}

impl Clock {
    /// A clock whose store time has no steps. [`Queue::open`](crate::queue::Queue::open) continues
    /// the store time of its database.
    pub fn adjusted() -> Self {
        let detector = StepDetector::new(Reading::system(), boot_id());
        Self::Adjusted(Arc::new(Mutex::new(detector)))
    }

    /// A clock that shows `start`, on a machine booted now.
    pub fn manual(start: Timestamp) -> Self {
        let reading = Reading {
            wall: start,
            since_boot: Duration::ZERO,
        };
        let boot_id = format!("manual {}", fastrand::u64(..));
        Self::Manual {
            system: watch::Sender::new(reading),
            detector: Arc::new(Mutex::new(StepDetector::new(reading, Some(boot_id)))),
        }
    }

    /// The current store time. Never goes back, except for [`Clock::System`].
    pub fn now(&self) -> Timestamp {
        match self.detector() {
            Some(detector) => detector.now(),
            None => self.wall(),
        }
    }

    /// The current wall time, for signatures, tokens and certificates.
    pub fn wall(&self) -> Timestamp {
        self.reading().wall
    }

    /// Wall time minus store time, in milliseconds.
    pub fn offset(&self) -> i64 {
        self.state().offset
    }

    /// The wall time at which people see a stored time.
    pub fn to_wall(&self, stored: Timestamp) -> Timestamp {
        stored.shifted(self.offset())
    }

    /// The store time of a wall time.
    pub fn to_store(&self, wall: Timestamp) -> Timestamp {
        wall.shifted(-self.offset())
    }

    /// What a store has to keep, so that store time continues after a restart.
    pub fn state(&self) -> ClockState {
        self.detector()
            .map(|detector| detector.state().clone())
            .unwrap_or_default()
    }

    /// Continues the store time of a store whose last commit was made at `as_of`.
    pub fn resume(&self, saved: ClockState, as_of: Timestamp) {
        let reading = self.reading();
        if let Some(mut detector) = self.detector() {
            detector.resume(saved, as_of, reading);
        }
    }

    /// Makes store time the time of a database, which shows `now` at the moment, give or take
    /// `precision`. A manual clock stays as it is.
    pub fn follow(&self, now: Timestamp, precision: Duration) {
        if let Self::Adjusted(detector) = self {
            let reading = self.reading();
            lock(detector).follow(now, precision, reading);
        }
    }

    /// Waits until store time is `moment`; within a tokio runtime. On a machine that is suspended
    /// meanwhile, it waits longer.
    pub fn sleep_until(&self, moment: Timestamp) -> impl Future<Output = ()> + Send + 'static {
        let manual = match self {
            Self::System | Self::Adjusted(_) => None,
            Self::Manual { system, detector } => Some((system.subscribe(), Arc::clone(detector))),
        };
        let pause = moment.since(self.now());
        async move {
            match manual {
                None => tokio::time::sleep(pause).await,
                // Fails only when all clones of the clock are gone.
                Some((mut system, detector)) => drop(
                    system
                        .wait_for(|reading| lock(&detector).read(*reading) >= moment)
                        .await,
                ),
            }
        }
    }

    /// Lets time pass on a manual clock.
    pub fn step(&self, span: Duration) {
        self.change(|system| {
            system.wall = system.wall.after(span);
            system.since_boot += span;
        });
    }

    /// Sets the wall clock of a manual clock forward, or back if `millis` is negative.
    pub fn set(&self, millis: i64) {
        self.change(|system| system.wall = system.wall.shifted(millis));
    }

    fn change(&self, change: impl FnOnce(&mut Reading)) {
        if let Self::Manual { system, .. } = self {
            system.send_modify(change);
        }
    }

    fn reading(&self) -> Reading {
        match self {
            Self::System | Self::Adjusted(_) => Reading::system(),
            Self::Manual { system, .. } => *system.borrow(),
        }
    }

    /// The detector after a reading; none for [`Clock::System`].
    fn detector(&self) -> Option<MutexGuard<'_, StepDetector>> {
        let (Self::Adjusted(detector) | Self::Manual { detector, .. }) = self else {
            return None;
        };
        // Read before the lock is taken: `sleep_until` takes the lock while it borrows `system`.
        let reading = self.reading();
        let mut detector = lock(detector);
        detector.read(reading);
        Some(detector)
    }
}

fn lock(detector: &Mutex<StepDetector>) -> MutexGuard<'_, StepDetector> {
    detector.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sleeper_wakes_after_its_time_in_spite_of_a_step() {
        let clock = Clock::manual(Timestamp::from_millis(5_000_000));
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(Timestamp::from_millis(5_010_000)).await }
        });
        tokio::task::yield_now().await;
        clock.set(3_600_000);
        clock.step(Duration::from_secs(9));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.step(Duration::from_secs(1));
        sleeper.await.unwrap();
        assert_eq!(clock.now(), Timestamp::from_millis(5_010_000));
        assert_eq!(clock.wall(), clock.to_wall(clock.now()));
    }
}
