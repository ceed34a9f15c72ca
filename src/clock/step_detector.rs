//! Detects steps of the wall clock by comparing it with the time since boot, which cannot be set.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::domain::Timestamp;

/// Smaller deviations from the time since boot, in milliseconds, are corrections of the clock that
/// store time follows. They do not add up: their sum is compared.
const SMALLEST_STEP: i64 = 10_000;

/// What the clocks of a system show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The wall clock.
    pub wall: Timestamp,
    /// Time since boot. Where the system cannot count the time of a suspend, that is a step.
    pub since_boot: Duration,
}

impl Reading {
    /// Reads the system's clocks.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the system"
    )]
    pub fn system() -> Self {
        Self {
            wall: Timestamp::from_millis(jiff::Timestamp::now().as_millisecond()),
            since_boot: since_boot(),
        }
    }

    /// The wall time of the boot. Only a step changes it.
    fn booted_at(self) -> i64 {
        let since_boot = i64::try_from(self.since_boot.as_millis()).unwrap_or(i64::MAX);
        self.wall.as_millis().saturating_sub(since_boot)
    }
}

/// The time since the machine has booted, which neither stops while the machine is suspended nor can
/// be set.
pub fn since_boot() -> Duration {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const SINCE_BOOT: ClockId = ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const SINCE_BOOT: ClockId = ClockId::Monotonic;
    clock_gettime(SINCE_BOOT).try_into().unwrap_or_default()
}

/// The relation of store time to the clocks of the system.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClockState {
    /// Wall time minus store time, in milliseconds.
    pub offset: i64,
    /// The wall time of the boot at which the offset is right, in milliseconds since the epoch.
    pub booted_at: i64,
    /// Which boot that is; `None` if the system does not say.
    pub boot_id: Option<String>,
}

/// Derives store time from readings of the system's clocks.
#[derive(Debug)]
pub struct StepDetector {
    state: ClockState,
    now: Timestamp,
}

impl StepDetector {
    /// Creates a detector whose store time is the wall time.
    pub fn new(reading: Reading, boot_id: Option<String>) -> Self {
        Self {
            state: ClockState {
                offset: 0,
                booted_at: reading.booted_at(),
                boot_id,
            },
            now: reading.wall,
        }
    }

    /// Continues the store time of a process that made its last commit at `as_of`.
    ///
    /// If the machine has not booted since, a step in the meantime is detected as any other. If it
    /// has, the wall clock is believed, except that store time does not go back: a wall clock that
    /// shows less than at `as_of` was set back at least that far. A negative offset is kept only as
    /// long as that is so. It may come from a boot at which the clock was not set, and would count as
    /// time that has passed when the clock is right again.
    pub fn resume(&mut self, saved: ClockState, as_of: Timestamp, reading: Reading) {
        if saved.boot_id.is_some() && saved.boot_id == self.state.boot_id {
            self.state = saved;
        } else {
            let highest = reading.wall.as_millis().saturating_sub(as_of.as_millis());
            self.state.offset = if highest < 0 {
                saved.offset.min(highest)
            } else {
                saved.offset.clamp(0, highest)
            };
            self.state.booted_at = reading.booted_at();
        }
        self.now = as_of;
        self.read(reading);
        // Small corrections explain less than twice the smallest step. Otherwise the time since boot
        // began again, as in a container with its own, and store time would stand still for long.
        let behind = as_of.as_millis() - reading.wall.shifted(-self.state.offset).as_millis();
        if behind > 2 * SMALLEST_STEP {
            self.state.offset = self.state.offset.saturating_sub(behind);
        }
    }

    /// The store time at a reading, at least that of the reading before.
    pub fn read(&mut self, reading: Reading) -> Timestamp {
        let step = reading.booted_at().saturating_sub(self.state.booted_at);
        if step.abs() > SMALLEST_STEP {
            tracing::warn!(
                "the system clock was set by {} s; this neither expires nor delays pending mails",
                step / 1_000
            );
            self.state.offset = self.state.offset.saturating_add(step);
            self.state.booted_at = reading.booted_at();
        }
        self.now = self.now.max(reading.wall.shifted(-self.state.offset));
        self.now
    }

    /// Follows the clock of a database that shows `now` at a reading, give or take `precision`.
    /// Store time goes back only if that clock was set back, since it would stand still for as long.
    pub fn follow(&mut self, now: Timestamp, precision: Duration, reading: Reading) {
        self.read(reading);
        let offset = reading.wall.as_millis().saturating_sub(now.as_millis());
        let precision = i64::try_from(precision.as_millis()).unwrap_or(i64::MAX);
        if self.state.offset.saturating_sub(offset).abs() <= precision {
            return;
        }
        self.state.offset = offset;
        self.state.booted_at = reading.booted_at();
        if self.now.as_millis().saturating_sub(now.as_millis()) > SMALLEST_STEP {
            self.now = now;
        }
    }

    /// The store time at the last reading.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// The state after the last reading.
    pub const fn state(&self) -> &ClockState {
        &self.state
    }
}

/// Identifies the current boot of the machine (`random(4)`); `None` if the system does not say.
pub fn boot_id() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3_600_000;
    const NOON: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    /// The clocks after some time, with the wall clock set by `set`.
    fn reading(millis: i64, set: i64) -> Reading {
        Reading {
            wall: NOON.shifted(millis + set),
            since_boot: Duration::from_millis(u64::try_from(millis).unwrap() + 99_000),
        }
    }

    fn detector() -> StepDetector {
        StepDetector::new(reading(0, 0), Some("boot".to_owned()))
    }

    #[test]
    fn step_goes_into_the_offset() {
        for set in [24 * HOUR, -24 * HOUR] {
            let mut detector = detector();
            for (millis, set) in [(5_000, 0), (6_000, set), (9_000, set), (9_500, 0)] {
                assert_eq!(detector.read(reading(millis, set)), NOON.shifted(millis));
                assert_eq!(detector.state().offset, set);
            }
        }
    }

    #[test]
    fn clock_of_a_database_is_followed() {
        let mut detector = detector();
        let precision = Duration::from_millis(5);
        let at = |seconds: i64| reading(seconds * 1_000, 0);
        detector.follow(NOON.shifted(HOUR), precision, at(0));
        assert_eq!(detector.read(at(1)), NOON.shifted(HOUR + 1_000));
        // Within the precision, nothing changes.
        detector.follow(NOON.shifted(HOUR + 2_004), precision, at(2));
        assert_eq!(detector.state().offset, -HOUR);
        // A small step back stops store time for a moment, a large one is followed.
        detector.follow(NOON.shifted(HOUR), precision, at(3));
        assert_eq!(detector.now(), NOON.shifted(HOUR + 3_000));
        detector.follow(NOON, precision, at(4));
        assert_eq!(detector.read(at(5)), NOON.shifted(1_000));
        // The node's own clock has no effect.
        let set = reading(6_000, 2 * HOUR);
        assert_eq!(detector.read(set), NOON.shifted(2_000));
        detector.follow(NOON.shifted(3_000), precision, reading(7_000, 2 * HOUR));
        assert_eq!(detector.read(reading(8_000, 2 * HOUR)), NOON.shifted(4_000));
    }

    #[test]
    fn time_in_suspend_has_passed() {
        let mut detector = detector();
        let later = 8 * HOUR;
        assert_eq!(detector.read(reading(later, 0)), NOON.shifted(later));
        assert_eq!(detector.read(reading(later, HOUR)), NOON.shifted(later));
        assert_eq!(detector.state().offset, HOUR);
    }

    #[test]
    fn small_corrections_are_followed_and_do_not_add_up() {
        let mut detector = detector();
        for (millis, set, shown) in [
            (60_000, 900, 60_900),
            (120_000, 9_000, 129_000),
            (125_000, -300, 129_000),
            (180_000, -300, 179_700),
            (240_000, 10_001, 240_000),
            (300_000, 10_900, 300_899),
        ] {
            assert_eq!(detector.read(reading(millis, set)), NOON.shifted(shown));
        }
    }

    /// Continues after a boot at which the wall clock shows `wall`.
    fn boot(before: &StepDetector, wall: Timestamp) -> StepDetector {
        let reading = Reading {
            wall,
            since_boot: Duration::from_secs(20),
        };
        let mut detector = StepDetector::new(reading, Some(format!("boot at {wall}")));
        detector.resume(before.state().clone(), before.now(), reading);
        detector
    }

    #[test]
    fn boot_with_an_unset_clock_has_no_effect_on_the_next_boot() {
        let unset = boot(&detector(), Timestamp::from_millis(0));
        assert_eq!(unset.now(), NOON);
        let set = boot(&unset, NOON.shifted(HOUR));
        assert_eq!(set.now(), NOON.shifted(HOUR));
        assert_eq!(set.state().offset, 0);
    }

    #[test]
    fn clock_that_is_ahead_at_each_boot_does_not_add_up() {
        let (ahead, mut running) = (8 * HOUR, detector());
        for day in 1..=5 {
            let noon = NOON.shifted(24 * HOUR * day);
            running = boot(&running, noon.shifted(ahead));
            // Then the clock is corrected.
            let corrected = running.read(Reading {
                wall: noon.shifted(1_000),
                since_boot: Duration::from_secs(21),
            });
            assert_eq!(corrected, noon.shifted(ahead + 1_000));
        }
    }

    #[test]
    fn time_since_boot_that_begins_again_does_not_stop_store_time() {
        let mut detector = detector();
        let as_of = detector.read(reading(5 * HOUR, 0));
        let restarted = Reading {
            wall: NOON.shifted(6 * HOUR),
            since_boot: Duration::from_secs(20),
        };
        let saved = detector.state().clone();
        detector = StepDetector::new(restarted, saved.boot_id.clone());
        detector.resume(saved, as_of, restarted);
        assert_eq!(detector.now(), as_of);
        let later = Reading {
            wall: restarted.wall.shifted(1_000),
            since_boot: Duration::from_secs(21),
        };
        assert_eq!(detector.read(later), as_of.shifted(1_000));
    }

    proptest! {
        #[test]
        fn store_time_is_never_ten_seconds_off(
            changes in proptest::collection::vec(
                (0..2 * HOUR, prop_oneof![-48 * HOUR..48 * HOUR, -12_000..12_000i64], any::<bool>()),
                1..50,
            ),
        ) {
            let (mut detector, mut before) = (detector(), NOON);
            let (mut millis, mut set) = (0, 0);
            for (passed, by, restart) in changes {
                (millis, set) = (millis + passed, set + by);
                let reading = reading(millis, set);
                if restart {
                    let saved = detector.state().clone();
                    detector = StepDetector::new(reading, Some("boot".to_owned()));
                    detector.resume(saved, before, reading);
                }
                let now = detector.read(reading);
                prop_assert!(now >= before, "{now} after {before}");
                let off = now.as_millis() - NOON.as_millis() - millis;
                prop_assert!(off.abs() <= SMALLEST_STEP, "off by {off} ms");
                before = now;
            }
        }
    }
}
