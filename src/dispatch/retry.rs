//! When to try again, and when to give up. Pure: what happened and the time in, a verdict out.

use std::time::Duration;

use super::failover::{Skipped, is_refused_here, refusals};
use crate::domain::{
    Attempt, AttemptResult, DeadReason, DeliveryId, Failure, FailureKind, Outcome, ServerName,
    Timestamp,
};

/// The shortest pause, so that a mail which no server may be given does not go round and round.
const SOONEST: Duration = Duration::from_millis(100);

/// The `[retry]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The most attempts, at least 1.
    pub max_attempts: u32,
    /// The pause after the first attempt; doubles each time, ±20 %.
    pub initial: Duration,
    /// The longest pause.
    pub max: Duration,
}

/// What the policy needs to know of a delivery.
#[derive(Debug, Clone, Copy)]
pub struct AttemptInfo<'a> {
    /// Whose jitter it is.
    pub id: DeliveryId,
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// After this moment the mail is not sent any more.
    pub expires_at: Timestamp,
    /// The server that is asked first, since it may have the mail or has asked for it again.
    pub preferred_server: Option<&'a ServerName>,
}

impl RetryPolicy {
    /// Gives a verdict before anything is tried, when there is nothing left to try: the mail is too
    /// old, or its budget was used up by attempts that never came back (a mail that kills its
    /// worker).
    pub fn check_before_attempt(&self, info: AttemptInfo<'_>, now: Timestamp) -> Option<Outcome> {
        if now >= info.expires_at {
            Some(Outcome::Dead(DeadReason::Expired))
        } else if info.attempt > self.max_attempts {
            Some(Outcome::Dead(DeadReason::Attempts))
        } else {
            None
        }
    }

    /// Gives the verdict over one attempt's tries, which are on different servers, in order.
    ///
    /// `skipped` is the server that can be asked first of those that were not asked.
    pub fn decide(
        &self,
        info: AttemptInfo<'_>,
        tries: &[Attempt],
        skipped: Option<&Skipped>,
        now: Timestamp,
    ) -> Outcome {
        // A last look at the moment of expiry rather than none: the claim then ends it as expired.
        let in_time = |at: Timestamp| at.min(info.expires_at.max(now));
        let Some(last) = tries.last() else {
            // Not much later, whatever was said of the server: claims wait for it in any case, and
            // it may be back early.
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
            // It may still have the mail.
            RemainingServers::Any => info.preferred_server.cloned(),
        };
        let at = now.after(self.pause(info).max(wait(failure, tries, skipped, now)));
        Outcome::RetryAt {
            at: in_time(at),
            counted,
            preferred_server,
        }
    }

    /// The pause after attempt `n`: `initial` × 2ⁿ⁻¹, at most `max`, ±20 %. The jitter comes from
    /// the delivery and the attempt, so that the same question has the same answer and a crowd that
    /// failed together comes back spread out.
    pub fn pause(&self, info: AttemptInfo<'_>) -> Duration {
        let doublings = info.attempt.saturating_sub(1).min(31);
        let pause = self.initial.saturating_mul(1 << doublings).min(self.max);
        let seed = info.id.0.as_u128()
            ^ u128::from(info.attempt).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834);
        let share = fastrand::Rng::with_seed(fold(seed)).f64();
        pause.mul_f64(0.8 + 0.4 * share).min(self.max)
    }
}

/// Both halves of a 128-bit number in one of 64 bits.
fn fold(seed: u128) -> u64 {
    let low = u64::try_from(seed & u128::from(u64::MAX)).unwrap_or(0);
    let high = u64::try_from(seed >> 64).unwrap_or(0);
    low ^ high
}

/// Whether a try uses up the mail's budget: a server that is out of order as a whole, or set up
/// wrongly, is not the mail's fault.
fn counts(attempt: &Attempt) -> bool {
    match &attempt.result {
        AttemptResult::Sent(_) => true,
        AttemptResult::Failed(failure) => match failure.kind {
            FailureKind::Unavailable { server_wide, .. } => !server_wide,
            FailureKind::Misconfigured => false,
            FailureKind::Rejected
            | FailureKind::RejectedHere
            | FailureKind::TooLarge
            | FailureKind::Deferred { .. }
            | FailureKind::Uncertain => true,
        },
    }
}

/// Which servers may still take the mail.
enum RemainingServers<'a> {
    /// Any of them.
    Any,
    /// This one, after another has refused the mail for reasons of its own.
    This(&'a ServerName),
}

/// Which servers may still take the mail; `None` when it is refused for good. Two that refuse it
/// for reasons of their own are enough.
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

/// Whether the next attempt begins with the server that was tried last: it may have the mail
/// already, or has asked for this very mail again later.
fn goes_back(last: &Failure) -> bool {
    matches!(
        last.kind,
        FailureKind::Uncertain | FailureKind::Deferred { .. }
    )
}

/// How long until a server is ready for the mail again, by the servers' own words: the one to go
/// back to, else the first of them all.
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
    fn a_taken_mail_is_sent_whatever_came_before() {
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
    fn a_refused_mail_is_dead_at_once() {
        assert_eq!(
            policy().decide(info(1), &[failed(FailureKind::Rejected)], None, NOW),
            Outcome::Dead(DeadReason::Rejected)
        );
    }

    #[test]
    fn the_last_attempt_ends_it_unless_the_whole_server_is_out_of_order() {
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
    fn doubt_goes_back_to_the_same_server() {
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
    fn a_mail_that_one_server_will_never_take_is_left_to_the_other_until_that_refuses_it_too() {
        let (here, resting) = (
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
                "b is still to be asked, whichever was asked last"
            );
        }
        let again = Outcome::RetryAt {
            at: resting.until,
            counted: true,
            preferred_server: Some("b".into()),
        };
        assert_eq!(
            policy().decide(info(1), std::slice::from_ref(&here), Some(&resting), NOW),
            again,
            "b rests"
        );
        assert_eq!(
            policy().decide(info(3), &[here], Some(&resting), NOW),
            Outcome::Dead(DeadReason::Attempts),
            "not for ever"
        );
    }

    #[test]
    fn the_next_attempt_is_when_the_first_server_is_ready() {
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
            "the usual pause where one of them named none"
        );
        let put_off = of(
            "b",
            FailureKind::Deferred {
                retry_after: Some(Duration::from_mins(5)),
            },
        );
        assert_eq!(
            at(&[failed(mail_only()), put_off], None),
            Duration::from_mins(5),
            "the one that asked for the mail again is asked"
        );
    }

    #[test]
    fn a_mail_that_no_server_could_be_asked_about_is_looked_at_again_soon_and_keeps_its_server() {
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
        let still_there = policy().decide(
            info,
            &[of("b", unavailable(0)), of("a", unavailable(0))],
            None,
            NOW,
        );
        assert!(
            matches!(still_there, Outcome::RetryAt { preferred_server: Some(name), .. } if name == server),
            "it may have the mail all the while"
        );
    }

    #[test]
    fn pauses_double_stay_within_a_fifth_and_under_the_cap() {
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
    fn a_servers_wish_is_heard_and_expiry_bounds_it() {
        let wish = FailureKind::Unavailable {
            retry_after: Some(Duration::from_mins(2)),
            server_wide: false,
        };
        let Outcome::RetryAt { at, .. } = policy().decide(info(1), &[failed(wish)], None, NOW)
        else {
            panic!("must be retried")
        };
        assert_eq!(at, NOW.after(Duration::from_mins(2)));
        let short = AttemptInfo {
            expires_at: NOW.after(Duration::from_secs(5)),
            ..info(1)
        };
        let Outcome::RetryAt { at, .. } = policy().decide(short, &[failed(wish)], None, NOW) else {
            panic!("must be retried")
        };
        assert_eq!(at, short.expires_at);
    }

    #[test]
    fn nothing_is_tried_past_expiry_or_budget() {
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
