//! The circuit breaker of a server: decides when the server is left alone for a while. Pure: takes
//! results and the time, returns pauses.

use std::time::Duration;

use crate::domain::{FailureKind, Timestamp};

/// How many failures of the whole server in a row open its circuit breaker.
const THRESHOLD: u32 = 3;

/// The circuit breaker of one server. It is kept in memory only: a restart closes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    state: BreakerState,
    /// The next cooldown.
    pause: Duration,
    cooldown: Duration,
    cooldown_max: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BreakerState {
    /// The server is used. Counts failures in a row.
    Closed { failures: u32 },
    /// The server is not tried until then. The first mail after that is the probe.
    Open { until: Timestamp },
    /// A probe is being sent; other mails skip the server. If the probe has not ended by then,
    /// another mail may be the probe.
    HalfOpen { until: Timestamp },
}

impl Breaker {
    /// A closed breaker with its first and its longest cooldown.
    pub fn new(cooldown: Duration, cooldown_max: Duration) -> Self {
        Self {
            state: BreakerState::Closed { failures: 0 },
            pause: cooldown,
            cooldown,
            cooldown_max: cooldown_max.max(cooldown),
        }
    }

    /// When the server may be tried; `None` means now.
    pub fn open_until(&self, now: Timestamp) -> Option<Timestamp> {
        match self.state {
            BreakerState::Closed { .. } => None,
            BreakerState::Open { until } | BreakerState::HalfOpen { until } => {
                (now < until).then_some(until)
            }
        }
    }

    /// Whether the server is used by any number of mails.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, BreakerState::Closed { .. })
    }

    /// Lets a mail try the server. After a cooldown only one mail may, as the probe.
    ///
    /// # Errors
    /// When the server may be tried, if not now.
    pub fn admit(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        if let Some(until) = self.open_until(now) {
            return Err(until);
        }
        if !self.is_closed() {
            self.state = BreakerState::HalfOpen {
                until: now.after(self.cooldown_max),
            };
        }
        Ok(())
    }

    /// Records that the server works. That includes the refusal of a single mail.
    pub fn succeeded(&mut self) {
        *self = Self::new(self.cooldown, self.cooldown_max);
    }

    /// Records a failed try. Returns the cooldown if that opened the breaker.
    pub fn failed(&mut self, kind: FailureKind, now: Timestamp) -> Option<Duration> {
        match kind {
            FailureKind::Rejected
            | FailureKind::RejectedHere
            | FailureKind::TooLarge
            | FailureKind::Deferred { .. }
            | FailureKind::Unavailable {
                server_wide: false, ..
            } => {
                self.succeeded();
                None
            }
            // The longest cooldown at once: providers block clients that repeat a refused login, and
            // only a change of the configuration helps.
            FailureKind::Misconfigured => Some(self.open(now, self.cooldown_max)),
            FailureKind::Unavailable { retry_after, .. } => {
                self.server_failed(now, retry_after.unwrap_or_default())
            }
            FailureKind::Uncertain => self.server_failed(now, Duration::ZERO),
            // It says nothing about the server. A probe has not ended, so another mail is the probe.
            FailureKind::LeaseOver => {
                if let BreakerState::HalfOpen { .. } = self.state {
                    self.state = BreakerState::Open { until: now };
                }
                None
            }
        }
    }

    fn server_failed(&mut self, now: Timestamp, retry_after: Duration) -> Option<Duration> {
        match &mut self.state {
            BreakerState::Closed { failures } => {
                *failures += 1;
                let opens = *failures >= THRESHOLD || !retry_after.is_zero();
                opens.then(|| self.open(now, retry_after))
            }
            BreakerState::HalfOpen { .. } => Some(self.open(now, retry_after)),
            // The mail was already being sent when the breaker opened.
            BreakerState::Open { .. } => None,
        }
    }

    fn open(&mut self, now: Timestamp, retry_after: Duration) -> Duration {
        if let BreakerState::Open { until } = self.state
            && now < until
        {
            return until.since(now);
        }
        let pause = self.pause.max(retry_after);
        self.state = BreakerState::Open {
            until: now.after(pause),
        };
        self.pause = self.pause.saturating_mul(2).min(self.cooldown_max);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);
    const DOWN: FailureKind = FailureKind::Unavailable {
        retry_after: None,
        server_wide: true,
    };

    fn breaker() -> Breaker {
        Breaker::new(Duration::from_secs(30), Duration::from_secs(100))
    }

    #[test]
    fn third_failure_in_a_row_opens_the_breaker_with_growing_cooldowns() {
        let mut breaker = breaker();
        assert_eq!(
            (breaker.failed(DOWN, NOW), breaker.failed(DOWN, NOW)),
            (None, None)
        );
        let mut now = NOW;
        assert_eq!(breaker.failed(DOWN, now), Some(Duration::from_secs(30)));
        for pause in [60, 100, 100] {
            assert!(breaker.admit(now).is_err());
            now = breaker.open_until(now).unwrap();
            assert!(breaker.admit(now).is_ok(), "the probe");
            assert!(breaker.admit(now).is_err(), "one probe only");
            assert_eq!(breaker.failed(DOWN, now), Some(Duration::from_secs(pause)));
        }
    }

    #[test]
    fn successful_probe_closes_the_breaker_and_resets_the_cooldown() {
        let mut breaker = breaker();
        assert_eq!(
            breaker.failed(FailureKind::Misconfigured, NOW),
            Some(Duration::from_secs(100)),
            "the longest cooldown at once"
        );
        let later = NOW.after(Duration::from_secs(100));
        assert!(breaker.admit(later).is_ok());
        breaker.succeeded();
        assert!(breaker.is_closed() && breaker.admit(later).is_ok());
        assert_eq!(
            [DOWN; 3].map(|kind| breaker.failed(kind, later)),
            [None, None, Some(Duration::from_secs(30))]
        );
    }

    #[test]
    fn failure_of_a_single_mail_resets_the_failures() {
        let mut breaker = breaker();
        breaker.failed(DOWN, NOW);
        breaker.failed(DOWN, NOW);
        breaker.failed(
            FailureKind::Unavailable {
                retry_after: None,
                server_wide: false,
            },
            NOW,
        );
        assert_eq!(breaker.failed(DOWN, NOW), None);
    }

    #[test]
    fn mail_whose_lease_ended_neither_counts_nor_stays_the_probe() {
        let mut breaker = breaker();
        breaker.failed(DOWN, NOW);
        breaker.failed(DOWN, NOW);
        assert_eq!(breaker.failed(FailureKind::LeaseOver, NOW), None);
        assert!(breaker.failed(DOWN, NOW).is_some(), "the third failure");
        let until = breaker.open_until(NOW).unwrap();
        breaker.failed(FailureKind::LeaseOver, NOW);
        assert_eq!(breaker.open_until(NOW), Some(until));
        assert!(breaker.admit(until).is_ok() && breaker.admit(until).is_err());
        breaker.failed(FailureKind::LeaseOver, until);
        assert!(breaker.admit(until).is_ok(), "the next mail is the probe");
        let cooldown = breaker.failed(DOWN, until);
        assert_eq!(cooldown, Some(Duration::from_mins(1)));
    }

    #[test]
    fn late_failures_do_not_extend_a_cooldown() {
        let mut breaker = breaker();
        breaker.failed(FailureKind::Misconfigured, NOW);
        let until = breaker.open_until(NOW);
        breaker.failed(
            FailureKind::Misconfigured,
            NOW.after(Duration::from_secs(1)),
        );
        breaker.failed(DOWN, NOW.after(Duration::from_secs(2)));
        assert_eq!(breaker.open_until(NOW), until);
    }
}
