//! The system's clock without its leaps: told from the progress of the monotonic clock.

use std::time::{Duration, Instant};

use crate::domain::Timestamp;

/// A difference that is followed at once: clocks drift, are slewed, and are set right by a little
/// at start.
const SMALL: i64 = 10_000;

/// The system's clock, but for how far it was set meanwhile.
#[derive(Debug)]
pub struct StepDetector {
    wall: Timestamp,
    monotonic: Instant,
    begun: Instant,
    /// Time since boot, asleep or not, when the monotonic clock showed `begun`; none where the
    /// system does not say.
    booted: Option<Duration>,
    /// How long the machine has slept since `begun`, as far as is known.
    slept: Duration,
    /// How far the system's clock is ahead, in milliseconds.
    ahead: i64,
    /// What was made up for in all.
    followed: i64,
}

impl StepDetector {
    /// A clock that shows what the system's clock shows.
    pub fn new(wall: Timestamp, monotonic: Instant) -> Self {
        Self {
            wall,
            monotonic,
            begun: monotonic,
            booted: since_boot(),
            slept: Duration::ZERO,
            ahead: 0,
            followed: 0,
        }
    }

    /// What it shows when the system's clocks show this.
    pub fn read(&mut self, wall: Timestamp, monotonic: Instant) -> Timestamp {
        self.read_with(wall, monotonic, since_boot)
    }

    fn read_with(
        &mut self,
        wall: Timestamp,
        monotonic: Instant,
        since_boot: impl FnOnce() -> Option<Duration>,
    ) -> Timestamp {
        let passed = monotonic.saturating_duration_since(self.monotonic);
        let mut leap = wall
            .as_millis()
            .saturating_sub(self.wall.after(passed).as_millis());
        if leap > SMALL {
            // The monotonic clock stands still while the machine sleeps, and that time has passed.
            let awake = monotonic.saturating_duration_since(self.begun);
            let slept = since_boot()
                .zip(self.booted)
                .map_or(Duration::ZERO, |(now, then)| {
                    now.saturating_sub(then).saturating_sub(awake)
                });
            let anew =
                i64::try_from(slept.saturating_sub(self.slept).as_millis()).unwrap_or(i64::MAX);
            self.slept = self.slept.max(slept);
            leap -= anew.min(leap);
        }
        if leap.abs() > SMALL {
            self.ahead = self.ahead.saturating_add(leap);
        }
        (self.wall, self.monotonic) = (wall, monotonic);
        wall.moved(-self.ahead)
    }

    /// How far the system's clock was set forward, in milliseconds; fewer than none when it was set
    /// back.
    pub const fn set_by(&self) -> i64 {
        self.ahead
    }

    /// Goes on by the system's clock as it was set.
    pub const fn follow(&mut self, millis: i64) {
        self.ahead = self.ahead.saturating_sub(millis);
        self.followed = self.followed.saturating_add(millis);
    }

    /// What was made up for in all, in milliseconds.
    pub const fn followed(&self) -> i64 {
        self.followed
    }
}

/// Time since boot, sleep included (`proc_uptime(5)`).
fn since_boot() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    Duration::try_from_secs_f64(text.split_whitespace().next()?.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const NOON: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    /// A clock begun at noon, and its reading after so many seconds, with the system's clock set by
    /// so many hours and the machine asleep for others.
    fn after(steady: &mut StepDetector, seconds: u64, set_hours: i64, slept_hours: i64) -> i64 {
        let (passed, slept) = (
            Duration::from_secs(seconds),
            Duration::from_secs(u64::try_from(slept_hours).unwrap() * 3600),
        );
        let wall = NOON.after(passed).moved((set_hours + slept_hours) * HOUR);
        let booted = steady.booted;
        let shown = steady.read_with(wall, steady.begun + passed, || {
            booted.map(|then| then + passed + slept)
        });
        shown.as_millis() - NOON.as_millis()
    }

    fn begun() -> StepDetector {
        StepDetector {
            booted: Some(Duration::from_secs(99)),
            ..StepDetector::new(NOON, Instant::now())
        }
    }

    #[test]
    fn a_clock_that_is_set_by_a_day_goes_on_as_before_until_it_is_told_to_follow() {
        for set in [24, -24] {
            let mut steady = begun();
            assert_eq!(after(&mut steady, 5, 0, 0), 5_000);
            assert_eq!(
                (after(&mut steady, 6, set, 0), steady.set_by()),
                (6_000, set * HOUR)
            );
            assert_eq!(
                (after(&mut steady, 9, set, 0), steady.set_by()),
                (9_000, set * HOUR)
            );
            steady.follow(set * HOUR);
            assert_eq!(
                (after(&mut steady, 10, set, 0), steady.set_by()),
                (10_000 + set * HOUR, 0)
            );
            // Set right again before anybody followed.
            assert_eq!(
                (after(&mut steady, 11, 0, 0), steady.set_by()),
                (11_000 + set * HOUR, -set * HOUR)
            );
            assert_eq!(
                (after(&mut steady, 12, set, 0), steady.set_by()),
                (12_000 + set * HOUR, 0)
            );
        }
    }

    #[test]
    fn time_asleep_has_passed() {
        let mut steady = begun();
        assert_eq!(
            (after(&mut steady, 5, 0, 8), steady.set_by()),
            (5_000 + 8 * HOUR, 0)
        );
        assert_eq!(
            (after(&mut steady, 6, 24, 8), steady.set_by()),
            (6_000 + 8 * HOUR, 24 * HOUR)
        );
        assert_eq!(
            (after(&mut steady, 7, 24, 9), steady.set_by()),
            (7_000 + 9 * HOUR, 24 * HOUR)
        );
    }

    #[test]
    fn small_corrections_are_followed_at_once() {
        let mut steady = begun();
        for (number, off) in [900i64, -400, 9_000, -300].into_iter().enumerate() {
            let passed = Duration::from_secs(60 * (number as u64 + 1));
            let wall = NOON.after(passed).moved(off);
            assert_eq!(
                (steady.read(wall, steady.begun + passed), steady.set_by()),
                (wall, 0)
            );
        }
    }
}
