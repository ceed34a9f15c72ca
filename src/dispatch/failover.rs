//! Decides which servers are tried and in which order. Pure: takes results and the time, returns
//! choices.

use std::time::Duration;

use crate::domain::{Attempt, AttemptResult, FailureKind, ServerName, Timestamp};

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
    pub fn closed_until(&self, now: Timestamp) -> Option<Timestamp> {
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

    /// Whether a mail may try the server now. After a cooldown only one may, as the probe.
    pub fn admit(&mut self, now: Timestamp) -> bool {
        if self.closed_until(now).is_some() {
            return false;
        }
        if !self.is_closed() {
            self.state = BreakerState::HalfOpen {
                until: now.after(self.cooldown_max),
            };
        }
        true
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

/// A server that was not tried: its breaker is open, or its rate limit is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The server.
    pub server: ServerName,
    /// When it is available.
    pub until: Timestamp,
}

/// The indexes of the servers in the order in which they are tried: as configured, but a preferred
/// server first.
pub fn order<'a, N: ExactSizeIterator<Item = &'a str>>(
    names: N,
    preferred_server: Option<&str>,
) -> impl Iterator<Item = usize> + use<'a, N> {
    let (number, mut names) = (names.len(), names);
    let first = preferred_server.and_then(|name| names.position(|known| known == name));
    first
        .into_iter()
        .chain((0..number).filter(move |index| Some(*index) != first))
}

/// Whether an attempt ends after these tries. A mail that one server refuses for local reasons is
/// tried on one more server.
pub fn is_over(tries: &[Attempt]) -> bool {
    match tries.last().map(|last| &last.result) {
        None => false,
        Some(AttemptResult::Sent(_)) => true,
        Some(AttemptResult::Failed(failure)) => match failure.kind {
            FailureKind::Rejected | FailureKind::Uncertain | FailureKind::Deferred { .. } => true,
            FailureKind::RejectedHere | FailureKind::TooLarge => refusals(tries) > 1,
            FailureKind::Unavailable { .. } | FailureKind::Misconfigured => false,
        },
    }
}

/// How many servers refuse this mail for local reasons. If a server was tried with smaller versions
/// of the mail, only its last reply counts.
pub fn refusals(tries: &[Attempt]) -> usize {
    let is_last_reply = |index: usize, attempt: &Attempt| {
        tries
            .iter()
            .skip(index + 1)
            .all(|later| later.server != attempt.server)
    };
    tries
        .iter()
        .enumerate()
        .filter(|(index, attempt)| {
            is_refused_here(&attempt.result) && is_last_reply(*index, attempt)
        })
        .count()
}

/// Whether the server refuses this mail for local reasons, so that another one may take it.
pub fn is_refused_here(result: &AttemptResult) -> bool {
    matches!(result, AttemptResult::Failed(failure) if matches!(failure.kind, FailureKind::RejectedHere | FailureKind::TooLarge))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Failure, Stage};

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
            assert!(!breaker.admit(now));
            now = breaker.closed_until(now).unwrap();
            assert!(breaker.admit(now), "the probe");
            assert!(!breaker.admit(now), "one probe only");
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
        assert!(breaker.admit(later));
        breaker.succeeded();
        assert!(breaker.is_closed() && breaker.admit(later));
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
    fn late_failures_do_not_extend_a_cooldown() {
        let mut breaker = breaker();
        breaker.failed(FailureKind::Misconfigured, NOW);
        let until = breaker.closed_until(NOW);
        breaker.failed(
            FailureKind::Misconfigured,
            NOW.after(Duration::from_secs(1)),
        );
        breaker.failed(DOWN, NOW.after(Duration::from_secs(2)));
        assert_eq!(breaker.closed_until(NOW), until);
    }

    fn tried(server: &str, kind: FailureKind) -> Attempt {
        let failure = Failure {
            kind,
            stage: Stage::Rcpt,
            reply: None,
            detail: String::new(),
            explanation: None,
        };
        Attempt {
            number: 1,
            server: server.into(),
            at: NOW,
            took: Duration::ZERO,
            result: AttemptResult::Failed(failure),
        }
    }

    #[test]
    fn rejection_ends_the_attempt_but_a_failure_of_the_server_does_not() {
        let over = |kind| is_over(&[tried("a", kind)]);
        for kind in [
            FailureKind::Rejected,
            FailureKind::Uncertain,
            FailureKind::Deferred { retry_after: None },
        ] {
            assert!(over(kind), "{kind:?}");
        }
        let single = FailureKind::Unavailable {
            retry_after: None,
            server_wide: false,
        };
        for kind in [
            DOWN,
            single,
            FailureKind::Misconfigured,
            FailureKind::RejectedHere,
            FailureKind::TooLarge,
        ] {
            assert!(!over(kind), "{kind:?}");
        }
        let (here, there) = (
            tried("a", FailureKind::RejectedHere),
            tried("c", FailureKind::RejectedHere),
        );
        let down = tried("b", DOWN);
        assert!(
            is_over(&[here.clone(), down.clone(), there.clone()]),
            "one more server, not two"
        );
        assert!(!is_over(&[down.clone(), there]) && !is_over(&[here, down]));
    }

    #[test]
    fn smaller_versions_refused_by_one_server_count_once() {
        let large = |server| tried(server, FailureKind::TooLarge);
        assert!(!is_over(&[large("a"), large("a"), large("a")]));
        assert!(is_over(&[large("a"), large("a"), large("b")]));
        assert_eq!(
            refusals(&[large("a"), tried("a", DOWN)]),
            0,
            "it may take the smaller one later"
        );
    }

    #[test]
    fn preferred_server_is_tried_first() {
        let ordered = |names: &[&str], same| order(names.iter().copied(), same).collect::<Vec<_>>();
        assert_eq!(ordered(&["a", "b", "c"], Some("b")), [1, 0, 2]);
        assert_eq!(ordered(&["a", "b"], Some("gone")), [0, 1]);
        assert_eq!(ordered(&["a", "b"], None), [0, 1]);
    }
}
