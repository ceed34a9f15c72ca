//! Which servers are tried, in which order, and when one is left alone for a while. Pure: health
//! and the time in, a choice out.

use std::time::Duration;

use crate::domain::{Attempt, AttemptResult, FailureKind, ServerName, Timestamp};

/// How many troubles of a whole server in a row open its breaker.
const THRESHOLD: u32 = 3;

/// The health of one server: in use, resting, or on probation with one mail as a probe. In memory
/// only: a restart clears it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    state: BreakerState,
    /// The next pause.
    pause: Duration,
    cooldown: Duration,
    cooldown_max: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BreakerState {
    /// In use; so many troubles in a row.
    Closed { troubles: u32 },
    /// `RemainingServers` alone until then; the first mail after that is the probe.
    Open { until: Timestamp },
    /// One mail is trying it; all others pass it over. A probe that never comes back is replaced
    /// after `until`.
    HalfOpen { until: Timestamp },
}

impl Breaker {
    /// A server in use, with its first and its longest pause.
    pub fn new(cooldown: Duration, cooldown_max: Duration) -> Self {
        Self {
            state: BreakerState::Closed { troubles: 0 },
            pause: cooldown,
            cooldown,
            cooldown_max: cooldown_max.max(cooldown),
        }
    }

    /// When the server may be tried: `None` is now.
    pub fn closed_until(&self, now: Timestamp) -> Option<Timestamp> {
        match self.state {
            BreakerState::Closed { .. } => None,
            BreakerState::Open { until } | BreakerState::HalfOpen { until } => {
                (now < until).then_some(until)
            }
        }
    }

    /// Moves a pause along with a clock that was set by so many milliseconds.
    pub const fn move_along(&mut self, millis: i64) {
        match &mut self.state {
            BreakerState::Closed { .. } => {}
            BreakerState::Open { until } | BreakerState::HalfOpen { until } => {
                *until = until.moved(millis);
            }
        }
    }

    /// Whether it is in use without reserve.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, BreakerState::Closed { .. })
    }

    /// Asks for leave to try the server now; after a pause only one mail gets it, as the probe.
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

    /// Notes that the server did its work (also when it refused a mail for the mail's sake).
    pub fn succeeded(&mut self) {
        *self = Self::new(self.cooldown, self.cooldown_max);
    }

    /// Notes a failed try; returns the pause if the server rests from now on.
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
            // At once for the longest pause: providers ban those who repeat a refused login, and
            // only a new setting will cure it.
            FailureKind::Misconfigured => Some(self.open(now, self.cooldown_max)),
            FailureKind::Unavailable { retry_after, .. } => {
                self.trouble(now, retry_after.unwrap_or_default())
            }
            FailureKind::Uncertain => self.trouble(now, Duration::ZERO),
        }
    }

    fn trouble(&mut self, now: Timestamp, retry_after: Duration) -> Option<Duration> {
        match &mut self.state {
            BreakerState::Closed { troubles } => {
                *troubles += 1;
                let enough = *troubles >= THRESHOLD || !retry_after.is_zero();
                enough.then(|| self.open(now, retry_after))
            }
            BreakerState::HalfOpen { .. } => Some(self.open(now, retry_after)),
            // Mails that were under way when it opened say nothing new.
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

/// A server that was not asked, and when it can be: it rests, or has reached its rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The server.
    pub server: ServerName,
    /// When it can be asked.
    pub until: Timestamp,
}

/// The order in which servers are tried, by their places: as configured, but the one that may
/// already have the mail goes first.
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

/// Whether no further server is asked after the last of these tries. A mail that one server refuses
/// for reasons of its own gets one more chance elsewhere.
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

/// How many servers will never take this mail, though another may: what a server says to less of
/// the mail replaces what it said to more.
pub fn refusals(tries: &[Attempt]) -> usize {
    let is_last_word = |index: usize, attempt: &Attempt| {
        tries
            .iter()
            .skip(index + 1)
            .all(|later| later.server != attempt.server)
    };
    tries
        .iter()
        .enumerate()
        .filter(|(index, attempt)| {
            is_refused_here(&attempt.result) && is_last_word(*index, attempt)
        })
        .count()
}

/// Whether the server will never take this mail, though another may.
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
    fn it_opens_at_the_third_trouble_in_a_row_and_rests_longer_each_time() {
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
    fn a_probe_that_works_closes_it_and_forgets_the_pauses() {
        let mut breaker = breaker();
        assert_eq!(
            breaker.failed(FailureKind::Misconfigured, NOW),
            Some(Duration::from_secs(100)),
            "the longest pause at once"
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
    fn a_mails_own_trouble_says_that_the_server_works() {
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
    fn stragglers_do_not_lengthen_a_rest() {
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
    fn refusal_of_the_mail_ends_the_attempt_and_trouble_of_a_server_does_not() {
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
            "one more chance, not two"
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
    fn the_server_that_may_have_the_mail_goes_first() {
        let ordered = |names: &[&str], same| order(names.iter().copied(), same).collect::<Vec<_>>();
        assert_eq!(ordered(&["a", "b", "c"], Some("b")), [1, 0, 2]);
        assert_eq!(ordered(&["a", "b"], Some("gone")), [0, 1]);
        assert_eq!(ordered(&["a", "b"], None), [0, 1]);
    }
}
