//! The clock of this machine and that of the database.

use std::time::Duration;

use super::server_check::LARGEST_SKEW;
use crate::clock::Reading;
use crate::domain::Timestamp;

/// What is known about the two clocks.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    /// This machine's clock minus that of the database, in milliseconds.
    skew: i64,
    is_logged: bool,
    /// The time of the database, and the time since boot, at the last heartbeat.
    last: Option<(Timestamp, Duration)>,
    step: Duration,
}

impl Clocks {
    /// The connection was lost: the next heartbeat may see another server.
    pub(super) fn restart(&mut self) {
        self.last = None;
    }

    /// This machine's clock minus that of the database, in milliseconds.
    pub(super) const fn skew(&self) -> i64 {
        self.skew
    }

    /// By how much the database's clock was set before the last comparison.
    pub(super) const fn step(&self) -> Duration {
        self.step
    }

    /// Compares the clocks: the database showed `now` at some time between the readings. Returns its
    /// time at the second one, and how much that may be off.
    pub(super) fn compare(
        &mut self,
        now: i64,
        sent: Reading,
        received: Reading,
    ) -> (Timestamp, Duration) {
        let half = received.since_boot.saturating_sub(sent.since_boot) / 2;
        let database = Timestamp::from_millis(now).after(half);
        self.skew = received.wall.as_millis() - database.as_millis();
        if self.skew.abs() <= LARGEST_SKEW {
            self.is_logged = false;
        } else if !self.is_logged {
            self.is_logged = true;
            tracing::warn!(
                "the clock of this machine differs from that of the database by {} ms; times are those of the database, but set both by NTP",
                self.skew
            );
        }
        self.step = self.passed(database, received.since_boot);
        (database, half)
    }

    /// The difference between what the database's clock and the time since boot say has passed.
    fn passed(&mut self, database: Timestamp, since_boot: Duration) -> Duration {
        let Some((before, booted)) = self.last.replace((database, since_boot)) else {
            return Duration::ZERO;
        };
        let passed = since_boot.saturating_sub(booted);
        let shown = database.as_millis() - before.as_millis();
        let passed = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX);
        Duration::from_millis(shown.abs_diff(passed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_the_database_are_measured_against_the_time_since_boot() {
        const BEAT: Duration = Duration::from_secs(5);
        let mut clocks = Clocks::default();
        let at = |millis: i64| Timestamp::from_millis(1_000_000 + millis);
        assert_eq!(clocks.passed(at(0), BEAT), Duration::ZERO);
        assert_eq!(clocks.passed(at(5_003), BEAT * 2), Duration::from_millis(3));
        let set = clocks.passed(at(0), BEAT * 3);
        assert_eq!(set, Duration::from_millis(10_003));
    }

    #[test]
    fn database_shows_its_time_halfway_between_question_and_answer() {
        let reading = |millis: u64| Reading {
            wall: Timestamp::from_millis(5_000).after(Duration::from_millis(millis)),
            since_boot: Duration::from_millis(millis),
        };
        let mut clocks = Clocks::default();
        let (now, precision) = clocks.compare(1_000, reading(0), reading(10));
        assert_eq!(now, Timestamp::from_millis(1_005));
        assert_eq!(precision, Duration::from_millis(5));
        assert_eq!(clocks.skew(), 4_005);
    }
}
