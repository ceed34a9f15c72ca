//! The circuit breaker of a server: decides when the server is left alone for a while. Pure: takes
//! results and the time, returns pauses.
//!
//! When other nodes use the server as well, each has its own breaker, which follows what the others
//! publish ([`Breaker::follow`]).

use std::time::Duration;

use crate::domain::{FailureKind, Timestamp};

/// How many failures of the whole server in a row open its circuit breaker.
const THRESHOLD: u32 = 3;

/// When to look again at a server that another node is probing.
const SOON: Duration = Duration::from_secs(1);

/// The circuit breaker of one server. It is kept in memory only: a restart closes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    state: BreakerState,
    /// The next cooldown.
    pause: Duration,
    cooldown: Duration,
    cooldown_max: Duration,
}

/// The state that all nodes have agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreed {
    /// The server is used.
    Closed,
    /// It is not tried until then, after a pause of this length.
    Open {
        /// The end of the pause.
        until: Timestamp,
        /// Its length.
        step: Duration,
    },
    /// Another node probes it after a pause of this length.
    Probed {
        /// The length of the pause.
        step: Duration,
    },
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

    /// The longest time that a probe may take.
    pub fn probe_limit(&self) -> Duration {
        self.cooldown_max
    }

    /// Adopts the state that all nodes have agreed on.
    pub fn follow(&mut self, agreed: Agreed, now: Timestamp) {
        let (until, step) = match agreed {
            Agreed::Closed if self.is_closed() => return,
            Agreed::Closed => return self.succeeded(),
            Agreed::Open { until, step } => (BreakerState::Open { until }, step),
            Agreed::Probed { step } => {
                let until = now.after(self.cooldown_max);
                (BreakerState::HalfOpen { until }, step)
            }
        };
        self.state = until;
        self.pause = step
            .saturating_mul(2)
            .clamp(self.cooldown, self.cooldown_max);
    }

    /// The mail may not be the probe. Returns when to look again.
    pub fn wait_for_probe(&mut self, now: Timestamp) -> Timestamp {
        let until = now.after(SOON);
        self.state = BreakerState::HalfOpen { until };
        until
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
    fn breaker_follows_the_other_nodes() {
        let mut breaker = breaker();
        breaker.failed(DOWN, NOW);
        breaker.follow(Agreed::Closed, NOW);
        let until = NOW.after(Duration::from_secs(20));
        let step = Duration::from_secs(30);
        breaker.follow(Agreed::Open { until, step }, NOW);
        assert_eq!(breaker.admit(NOW), Err(until));
        assert!(breaker.admit(until).is_ok() && !breaker.is_closed());
        let again = breaker.wait_for_probe(until);
        assert_eq!(breaker.admit(until), Err(again));
        assert!(breaker.admit(again).is_ok());
        assert_eq!(
            breaker.failed(DOWN, again),
            Some(Duration::from_mins(1)),
            "the cooldown grows over all nodes"
        );
        breaker.follow(Agreed::Probed { step }, again);
        assert!(breaker.admit(again.after(step)).is_err());
        breaker.follow(Agreed::Closed, again);
        assert!(breaker.is_closed());
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
