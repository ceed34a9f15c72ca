//! Decides when a delivery is retried and when it fails for good. Pure: takes the results and the
//! time, returns the outcome.

use std::time::Duration;

use super::failover::{Skipped, is_refused_here, refusals};
use crate::domain::{
    Attempt, AttemptResult, DeadReason, DeliveryId, Failure, FailureKind, Outcome, ServerName,
    Timestamp,
};

/// The shortest pause. Without it, a mail that no server can take now would be claimed in a busy
/// loop.
const SOONEST: Duration = Duration::from_millis(100);

/// The `[retry]` table of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The most attempts, at least 1.
    pub max_attempts: u32,
    /// The pause after the first attempt. It doubles with each attempt, ±20 %.
    pub initial: Duration,
    /// The longest pause.
    pub max: Duration,
}

/// The delivery of an attempt, as far as the policy needs it.
#[derive(Debug, Clone, Copy)]
pub struct AttemptInfo<'a> {
    /// The delivery's id; seeds the jitter.
    pub id: DeliveryId,
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// When the mail expires.
    pub expires_at: Timestamp,
    /// The server that is tried first, because it may have the mail or asked to send it again.
    pub preferred_server: Option<&'a ServerName>,
}

impl RetryPolicy {
    /// Returns the outcome of a delivery that must not be tried: it has expired, or has used up its
    /// attempts because they never ended (a mail that kills its worker).
    pub fn check_before_attempt(&self, info: AttemptInfo<'_>, now: Timestamp) -> Option<Outcome> {
        if now >= info.expires_at {
            Some(Outcome::Dead(DeadReason::Expired))
        } else if info.attempt > self.max_attempts {
            Some(Outcome::Dead(DeadReason::Attempts))
        } else {
            None
        }
    }

    /// Decides the outcome of one attempt from its tries on one or more servers, in order.
    ///
    /// `skipped` is, of the servers that were not tried, the one that is available first.
    pub fn decide(
        &self,
        info: AttemptInfo<'_>,
        tries: &[Attempt],
        skipped: Option<&Skipped>,
        now: Timestamp,
    ) -> Outcome {
        // At its expiry at the latest: the next attempt then ends the delivery as expired.
        let in_time = |at: Timestamp| at.min(info.expires_at.max(now));
        let Some(last) = tries.last() else {
            // Soon, even if the server is not available for long: claims wait for it in any case,
            // and it may be available earlier.
            let soon = now.after(self.initial);
            let at = skipped.map_or(soon, |skipped| {
                skipped
                    .until
                    .clamp(now.after(SOONEST), soon.max(now.after(SOONEST)))
            });
            return Outcome::RetryAt {
                at: in_time(at),
                counted: false,
                preferred_server: info.preferred_server.cloned(),
            };
        };
        let failure = match &last.result {
            AttemptResult::Sent(_) => return Outcome::Sent,
            AttemptResult::Failed(failure) => failure,
        };
        if failure.kind == FailureKind::LeaseOver {
            return Outcome::Released;
        }
        let Some(left) = remaining_servers(tries, skipped) else {
            return Outcome::Dead(DeadReason::Rejected);
        };
        let counted = tries.iter().any(counts);
        if counted && info.attempt >= self.max_attempts {
            return Outcome::Dead(DeadReason::Attempts);
        }
        let preferred_server = match left {
            RemainingServers::This(server) => Some(server.clone()),
            RemainingServers::Any if goes_back(failure) => Some(last.server.clone()),
            // That server may still have the mail.
            RemainingServers::Any => info.preferred_server.cloned(),
        };
        let at = now.after(self.pause(info).max(wait(failure, tries, skipped, now)));
        Outcome::RetryAt {
            at: in_time(at),
            counted,
            preferred_server,
        }
    }

    /// The pause after attempt `n`: `initial` × 2ⁿ⁻¹ ±20 %, at most `max`. The jitter depends only
    /// on the delivery and the attempt, so the result is reproducible, and deliveries that failed
    /// together are spread out.
    pub fn pause(&self, info: AttemptInfo<'_>) -> Duration {
        let doublings = info.attempt.saturating_sub(1).min(31);
        let pause = self.initial.saturating_mul(1 << doublings).min(self.max);
        let seed = info.id.0.as_u128()
            ^ u128::from(info.attempt).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834);
        let share = fastrand::Rng::with_seed(fold(seed)).f64();
        pause.mul_f64(0.8 + 0.4 * share).min(self.max)
    }
}

/// Combines both halves of a 128-bit number.
fn fold(seed: u128) -> u64 {
    let low = u64::try_from(seed & u128::from(u64::MAX)).unwrap_or(0);
    let high = u64::try_from(seed >> 64).unwrap_or(0);
    low ^ high
}

/// Whether a try counts towards `max_attempts`. A server that is down or misconfigured is not the
/// mail's fault.
fn counts(attempt: &Attempt) -> bool {
    match &attempt.result {
        AttemptResult::Sent(_) => true,
        AttemptResult::Failed(failure) => match failure.kind {
            FailureKind::Unavailable { server_wide, .. } => !server_wide,
            FailureKind::Misconfigured | FailureKind::LeaseOver => false,
            FailureKind::Rejected
            | FailureKind::RejectedHere
            | FailureKind::TooLarge
            | FailureKind::Deferred { .. }
            | FailureKind::Uncertain => true,
        },
    }
}

/// The servers that may still take the mail.
enum RemainingServers<'a> {
    Any,
    /// Only this one: another one has refused the mail for local reasons.
    This(&'a ServerName),
}

/// The servers that may still take the mail, or `None` if it is refused for good: rejected by one
/// server, or refused for local reasons by two.
fn remaining_servers<'a>(
    tries: &'a [Attempt],
    skipped: Option<&'a Skipped>,
) -> Option<RemainingServers<'a>> {
    let refused_for_good = |attempt: &Attempt| matches!(&attempt.result, AttemptResult::Failed(failure) if failure.kind == FailureKind::Rejected);
    if tries.iter().any(refused_for_good) {
        return None;
    }
    match refusals(tries) {
        0 => Some(RemainingServers::Any),
        1 => {
            let other = tries
                .iter()
                .rfind(|attempt| !is_refused_here(&attempt.result))
                .map(|attempt| &attempt.server);
            other
                .or(skipped.map(|skipped| &skipped.server))
                .map(RemainingServers::This)
        }
        _ => None,
    }
}

/// Whether the next attempt starts with the server that was tried last: it may have the mail
/// already, or asked to send this mail again later.
fn goes_back(last: &Failure) -> bool {
    matches!(
        last.kind,
        FailureKind::Uncertain | FailureKind::Deferred { .. }
    )
}

/// How long the servers asked to wait: the server that the mail goes back to, or else the one with
/// the shortest pause.
fn wait(last: &Failure, tries: &[Attempt], skipped: Option<&Skipped>, now: Timestamp) -> Duration {
    if goes_back(last) {
        return retry_after(last);
    }
    let pauses = tries.iter().filter_map(|attempt| match &attempt.result {
        AttemptResult::Failed(failure) if !is_refused_here(&attempt.result) => {
            Some(retry_after(failure))
        }
        _ => None,
    });
    pauses
        .chain(skipped.map(|skipped| skipped.until.since(now)))
        .min()
        .unwrap_or_default()
}

fn retry_after(failure: &Failure) -> Duration {
    match failure.kind {
        FailureKind::Unavailable { retry_after, .. } | FailureKind::Deferred { retry_after } => {
            retry_after.unwrap_or_default()
        }
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Receipt, Reply, Stage};

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn policy() -> RetryPolicy {
        RetryPolicy {
            max_attempts: 3,
            initial: Duration::from_secs(10),
            max: Duration::from_mins(1),
        }
    }

    fn info(attempt: u32) -> AttemptInfo<'static> {
        AttemptInfo {
            id: DeliveryId::new(NOW),
            attempt,
            expires_at: NOW.after(Duration::from_hours(1)),
            preferred_server: None,
        }
    }

    fn failed(kind: FailureKind) -> Attempt {
        let failure = Failure {
            kind,
            stage: Stage::Rcpt,
            reply: None,
            detail: String::new(),
            explanation: None,
        };
        Attempt {
            number: 1,
            server: "primary".into(),
            at: NOW,
            took: Duration::ZERO,
            result: AttemptResult::Failed(failure),
        }
    }

    fn mail_only() -> FailureKind {
        FailureKind::Unavailable {
            retry_after: None,
            server_wide: false,
        }
    }

    #[test]
    fn accepted_mail_is_sent_whatever_failed_before() {
        let reply = Reply {
            code: 250,
            enhanced: None,
            text: "ok".into(),
        };
        let taken = Attempt {
            result: AttemptResult::Sent(Receipt { reply }),
            ..failed(mail_only())
        };
        assert_eq!(
            policy().decide(info(1), &[failed(mail_only()), taken], None, NOW),
            Outcome::Sent
        );
    }

    #[test]
    fn rejected_mail_is_dead_at_once() {
        assert_eq!(
            policy().decide(info(1), &[failed(FailureKind::Rejected)], None, NOW),
            Outcome::Dead(DeadReason::Rejected)
        );
    }

    #[test]
    fn last_attempt_is_dead_unless_the_whole_server_is_down() {
        assert_eq!(
            policy().decide(info(3), &[failed(mail_only())], None, NOW),
            Outcome::Dead(DeadReason::Attempts)
        );
        for kind in [
            FailureKind::Unavailable {
                retry_after: None,
                server_wide: true,
            },
            FailureKind::Misconfigured,
        ] {
            assert!(matches!(
                policy().decide(info(3), &[failed(kind)], None, NOW),
                Outcome::RetryAt { counted: false, .. }
            ));
        }
    }

    #[test]
    fn uncertain_mail_goes_back_to_the_same_server() {
        let Outcome::RetryAt {
            preferred_server,
            counted,
            ..
        } = policy().decide(info(1), &[failed(FailureKind::Uncertain)], None, NOW)
        else {
            panic!("must be retried");
        };
        assert_eq!(
            (preferred_server.as_deref(), counted),
            (Some("primary"), true)
        );
    }

    #[test]
    fn mail_whose_lease_ended_returns_to_the_queue_whatever_failed_before() {
        for before in [FailureKind::RejectedHere, mail_only()] {
            let tries = [failed(before), failed(FailureKind::LeaseOver)];
            assert_eq!(
                policy().decide(info(3), &tries, None, NOW),
                Outcome::Released
            );
        }
    }

    fn of(server: &str, kind: FailureKind) -> Attempt {
        Attempt {
            server: server.into(),
            ..failed(kind)
        }
    }

    fn unavailable(seconds: u64) -> FailureKind {
        FailureKind::Unavailable {
            retry_after: Some(Duration::from_secs(seconds)),
            server_wide: true,
        }
    }

    #[test]
    fn mail_refused_by_one_server_is_left_to_another_until_that_refuses_too() {
        let (here, paused) = (
            of("a", FailureKind::RejectedHere),
            Skipped {
                server: "b".into(),
                until: NOW.after(Duration::from_mins(5)),
            },
        );
        let dead = Outcome::Dead(DeadReason::Rejected);
        assert_eq!(
            policy().decide(info(1), std::slice::from_ref(&here), None, NOW),
            dead,
            "there is no other"
        );
        assert_eq!(
            policy().decide(
                info(1),
                &[here.clone(), of("b", FailureKind::RejectedHere)],
                None,
                NOW
            ),
            dead
        );
        assert_eq!(
            policy().decide(
                info(1),
                &[here.clone(), of("b", FailureKind::Rejected)],
                None,
                NOW
            ),
            dead
        );
        for tries in [
            [here.clone(), of("b", unavailable(60))],
            [of("b", unavailable(60)), here.clone()],
        ] {
            let again = Outcome::RetryAt {
                at: NOW.after(Duration::from_mins(1)),
                counted: true,
                preferred_server: Some("b".into()),
            };
            assert_eq!(
                policy().decide(info(1), &tries, None, NOW),
                again,
                "b may still take it, whichever was tried last"
            );
        }
        let again = Outcome::RetryAt {
            at: paused.until,
            counted: true,
            preferred_server: Some("b".into()),
        };
        assert_eq!(
            policy().decide(info(1), std::slice::from_ref(&here), Some(&paused), NOW),
            again,
            "b is paused"
        );
        assert_eq!(
            policy().decide(info(3), &[here], Some(&paused), NOW),
            Outcome::Dead(DeadReason::Attempts),
            "the attempts are limited"
        );
    }

    #[test]
    fn next_attempt_is_when_the_first_server_is_available() {
        let at = |tries: &[Attempt], skipped: Option<&Skipped>| match policy().decide(
            info(1),
            tries,
            skipped,
            NOW,
        ) {
            Outcome::RetryAt { at, .. } => at.since(NOW),
            other => panic!("{other:?}"),
        };
        let (hour, minute) = (of("a", unavailable(3_000)), of("b", unavailable(60)));
        assert_eq!(at(&[hour.clone(), minute], None), Duration::from_mins(1));
        let skipped = Skipped {
            server: "b".into(),
            until: NOW.after(Duration::from_mins(2)),
        };
        assert_eq!(
            at(std::slice::from_ref(&hour), Some(&skipped)),
            Duration::from_mins(2)
        );
        assert!(
            at(&[hour.clone(), failed(mail_only())], None) < Duration::from_secs(13),
            "the usual pause if one of them asked for none"
        );
        let deferred = of(
            "b",
            FailureKind::Deferred {
                retry_after: Some(Duration::from_mins(5)),
            },
        );
        assert_eq!(
            at(&[failed(mail_only()), deferred], None),
            Duration::from_mins(5),
            "the server that deferred the mail decides"
        );
    }

    #[test]
    fn mail_without_an_available_server_is_retried_soon_and_keeps_its_server() {
        let server: ServerName = "b".into();
        let info = AttemptInfo {
            preferred_server: Some(&server),
            ..info(1)
        };
        for (until, pause) in [(0, 100), (2_000, 2_000), (86_400_000, 10_000)] {
            let skipped = Skipped {
                server: "a".into(),
                until: NOW.after(Duration::from_millis(until)),
            };
            let again = Outcome::RetryAt {
                at: NOW.after(Duration::from_millis(pause)),
                counted: false,
                preferred_server: Some(server.clone()),
            };
            assert_eq!(policy().decide(info, &[], Some(&skipped), NOW), again);
        }
        let kept = policy().decide(
            info,
            &[of("b", unavailable(0)), of("a", unavailable(0))],
            None,
            NOW,
        );
        assert!(
            matches!(kept, Outcome::RetryAt { preferred_server: Some(name), .. } if name == server),
            "that server may still have the mail"
        );
    }

    #[test]
    fn pauses_double_within_the_jitter_and_the_maximum() {
        for (attempt, seconds) in [(1, 10.0), (2, 20.0), (3, 40.0), (4, 60.0), (40, 60.0)] {
            let pause = policy().pause(info(attempt)).as_secs_f64();
            assert!(
                (seconds * 0.8..=(seconds * 1.2f64).min(60.0)).contains(&pause),
                "{attempt}: {pause}"
            );
        }
        let same = info(2);
        assert_eq!(policy().pause(same), policy().pause(same));
    }

    #[test]
    fn server_retry_after_is_respected_until_expiry() {
        let asked = FailureKind::Unavailable {
            retry_after: Some(Duration::from_mins(2)),
            server_wide: false,
        };
        let Outcome::RetryAt { at, .. } = policy().decide(info(1), &[failed(asked)], None, NOW)
        else {
            panic!("must be retried")
        };
        assert_eq!(at, NOW.after(Duration::from_mins(2)));
        let short = AttemptInfo {
            expires_at: NOW.after(Duration::from_secs(5)),
            ..info(1)
        };
        let Outcome::RetryAt { at, .. } = policy().decide(short, &[failed(asked)], None, NOW)
        else {
            panic!("must be retried")
        };
        assert_eq!(at, short.expires_at);
    }

    #[test]
    fn nothing_is_tried_after_expiry_or_the_last_attempt() {
        let old = AttemptInfo {
            expires_at: NOW,
            ..info(1)
        };
        assert_eq!(
            policy().check_before_attempt(old, NOW),
            Some(Outcome::Dead(DeadReason::Expired))
        );
        assert_eq!(
            policy().check_before_attempt(info(4), NOW),
            Some(Outcome::Dead(DeadReason::Attempts))
        );
        assert_eq!(policy().check_before_attempt(info(3), NOW), None);
    }
}
