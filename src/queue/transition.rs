//! The transitions of a delivery: what a claim, a settlement, an operator or the end of a node
//! changes in its row. Values in, values out; a backend reads and writes the rows.

use std::time::Duration;

use super::OperatorError;
use crate::domain::{DeadReason, Outcome, State, SuppressReason, Timestamp};

/// The number of crashes during rendering after which a mail becomes dead; more than one, since a
/// crash may have another cause.
const MAX_CRASHES: u32 = 3;
/// The shortest time between two retries by the operator, which protects mail servers from endless
/// retries.
const BETWEEN_RETRIES: Duration = Duration::from_mins(1);

/// The detail of the recorded attempt of a mail that may have been sent when its node ended.
pub(super) const INTERRUPTED: &str =
    "the daemon stopped while sending this mail; the server may have accepted it";
/// The same for a mail that was being rendered.
pub(super) const CRASHED: &str = "the daemon crashed while rendering this mail; it was not sent";

/// The columns that the end of a lease and an operator change. A claim changes others ([`claim`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change<'a> {
    pub(super) state: State,
    /// For an ended delivery, the time of its end.
    pub(super) due_at: Timestamp,
    pub(super) attempts: u32,
    pub(super) reason: Option<&'static str>,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) preferred_server: Option<&'a str>,
}

/// What transitions need to know of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row<'a> {
    pub(super) attempts: u32,
    pub(super) preferred_server: Option<&'a str>,
}

impl<'a> Row<'a> {
    const fn queued(self, due_at: Timestamp) -> Change<'a> {
        Change {
            state: State::Queued,
            due_at,
            attempts: self.attempts,
            reason: None,
            ended_at: None,
            preferred_server: self.preferred_server,
        }
    }

    const fn ended(self, state: State, reason: Option<&'static str>, now: Timestamp) -> Change<'a> {
        Change {
            state,
            due_at: now,
            attempts: self.attempts,
            reason,
            ended_at: Some(now),
            preferred_server: self.preferred_server,
        }
    }
}

/// The new numbers of attempts and token of a claimed row. It is `sending`, and due when its lease
/// ends.
pub(super) const fn claim(attempts: u32, token: u64) -> (u32, u64) {
    (attempts.saturating_add(1), token.saturating_add(1))
}

/// Ends the lease of a row that is sending.
pub(super) fn settle<'a>(row: Row<'a>, outcome: &'a Outcome, now: Timestamp) -> Change<'a> {
    let nowhere = Row {
        preferred_server: None,
        ..row
    };
    let uncounted = row.attempts.saturating_sub(1);
    match outcome {
        Outcome::Sent => nowhere.ended(State::Sent, None, now),
        // The server is kept for a retry by the operator: the mail may still be there.
        Outcome::Dead(reason) => row.ended(State::Dead, Some(reason.as_str()), now),
        Outcome::Suppressed(reason) => nowhere.ended(State::Suppressed, Some(reason.as_str()), now),
        Outcome::RetryAt {
            at,
            counted,
            preferred_server,
        } => Row {
            attempts: if *counted { row.attempts } else { uncounted },
            preferred_server: preferred_server.as_deref(),
        }
        .queued(*at),
        Outcome::Released => Row {
            attempts: uncounted,
            ..row
        }
        .queued(now),
    }
}

/// Returns a row to the queue whose node ended while it was sending. The attempt counts, since it
/// may have crashed the process, and the row is due after a pause, since the server may have the
/// mail (RFC 1047).
pub(super) const fn recover(row: Row<'_>, due_at: Timestamp) -> Change<'_> {
    row.queued(due_at)
}

/// The same for a mail that was being rendered. After several crashes it is dead.
pub(super) const fn recover_rendering(
    row: Row<'_>,
    crashes: u32,
    due_at: Timestamp,
    now: Timestamp,
) -> Change<'_> {
    if crashes < MAX_CRASHES {
        row.queued(due_at)
    } else {
        let reason = DeadReason::Unrenderable.as_str();
        row.ended(State::Dead, Some(reason), now)
    }
}

/// A row of any state, before an operator changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored<'a> {
    pub(super) row: Row<'a>,
    pub(super) state: State,
    /// The end of the message's TTL, if it has one.
    pub(super) ttl_end: Option<Timestamp>,
    /// Whether the payload, or the code or link in it, was removed.
    pub(super) is_redacted: bool,
    pub(super) retried_at: Option<Timestamp>,
}

impl<'a> Stored<'a> {
    /// Makes a delivery due now. A dead or cancelled one starts again without attempts.
    pub(super) fn retry(self, now: Timestamp) -> Result<Change<'a>, OperatorError> {
        self.require(&[State::Queued, State::Dead, State::Cancelled])?;
        if self.ttl_end.is_some_and(|end| end <= now) {
            return Err(OperatorError::Expired);
        }
        let is_queued = self.state == State::Queued;
        if self.is_redacted && !is_queued {
            return Err(OperatorError::PayloadRemoved);
        }
        if let Some(wait) = self.pause_left(now) {
            return Err(OperatorError::TooSoon { wait });
        }
        let attempts = if is_queued { self.row.attempts } else { 0 };
        Ok(Row {
            attempts,
            ..self.row
        }
        .queued(now))
    }

    pub(super) fn cancel(self, now: Timestamp) -> Result<Change<'a>, OperatorError> {
        self.require(&[State::Queued])?;
        Ok(self.row.ended(State::Cancelled, None, now))
    }

    pub(super) fn suppress(
        self,
        reason: SuppressReason,
        now: Timestamp,
    ) -> Result<Change<'a>, OperatorError> {
        self.require(&[State::Queued, State::Dead, State::Cancelled])?;
        let reason = Some(reason.as_str());
        Ok(self.row.ended(State::Suppressed, reason, now))
    }

    fn require(self, states: &[State]) -> Result<(), OperatorError> {
        if states.contains(&self.state) {
            Ok(())
        } else {
            Err(OperatorError::Conflict { state: self.state })
        }
    }

    /// How long until the delivery may be retried again; `None` if it may be now, or if the last
    /// retry is in the future: versions without store time recorded it before a backward clock step.
    fn pause_left(self, now: Timestamp) -> Option<Duration> {
        let last = self.retried_at.filter(|last| *last <= now)?;
        let again = last.after(BETWEEN_RETRIES);
        (now < again).then(|| again.since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);
    const LATER: Timestamp = Timestamp::from_millis(1_060_000);
    const ROW: Row<'_> = Row {
        attempts: 3,
        preferred_server: Some("a"),
    };
    const STORED: Stored<'_> = Stored {
        row: ROW,
        state: State::Dead,
        ttl_end: None,
        is_redacted: false,
        retried_at: None,
    };

    fn queued(due_at: Timestamp, attempts: u32, server: Option<&str>) -> Change<'_> {
        Change {
            state: State::Queued,
            due_at,
            attempts,
            reason: None,
            ended_at: None,
            preferred_server: server,
        }
    }

    fn ended<'a>(
        state: State,
        reason: Option<&'static str>,
        server: Option<&'a str>,
    ) -> Change<'a> {
        Change {
            state,
            due_at: NOW,
            attempts: 3,
            reason,
            ended_at: Some(NOW),
            preferred_server: server,
        }
    }

    #[test]
    fn claim_counts_the_attempt_and_changes_the_token() {
        assert_eq!(claim(0, 0), (1, 1));
        assert_eq!(claim(3, 7), (4, 8));
        assert_eq!(claim(u32::MAX, u64::MAX), (u32::MAX, u64::MAX));
    }

    #[test]
    fn settlement_changes_the_row_by_its_outcome() {
        let again = |counted, server: Option<&str>| Outcome::RetryAt {
            at: LATER,
            counted,
            preferred_server: server.map(Into::into),
        };
        let suppressed = SuppressReason::NotAllowed;
        for (outcome, expected) in [
            (Outcome::Sent, ended(State::Sent, None, None)),
            (
                Outcome::Dead(DeadReason::Rejected),
                ended(State::Dead, Some("rejected"), Some("a")),
            ),
            (
                Outcome::Suppressed(suppressed),
                ended(State::Suppressed, Some("not_allowed"), None),
            ),
            (again(true, None), queued(LATER, 3, None)),
            (again(false, Some("b")), queued(LATER, 2, Some("b"))),
            (Outcome::Released, queued(NOW, 2, Some("a"))),
        ] {
            assert_eq!(settle(ROW, &outcome, NOW), expected, "{outcome:?}");
        }
    }

    #[test]
    fn recovered_delivery_is_queued_with_its_attempt() {
        assert_eq!(recover(ROW, LATER), queued(LATER, 3, Some("a")));
    }

    #[test]
    fn mail_is_dead_after_three_crashes_during_rendering() {
        for crashes in [1, 2] {
            let change = recover_rendering(ROW, crashes, LATER, NOW);
            assert_eq!(change, queued(LATER, 3, Some("a")));
        }
        let dead = ended(State::Dead, Some("unrenderable"), Some("a"));
        assert_eq!(recover_rendering(ROW, 3, LATER, NOW), dead);
    }

    #[test]
    fn retry_keeps_the_attempts_of_a_queued_delivery_only() {
        for (state, attempts) in [(State::Queued, 3), (State::Dead, 0), (State::Cancelled, 0)] {
            let retried = Stored { state, ..STORED }.retry(NOW).unwrap();
            assert_eq!(retried, queued(NOW, attempts, Some("a")), "{state}");
        }
    }

    #[test]
    fn retry_is_refused_without_time_payload_or_pause() {
        let expired = Stored {
            ttl_end: Some(NOW),
            ..STORED
        };
        assert!(matches!(expired.retry(NOW), Err(OperatorError::Expired)));
        let redacted = Stored {
            is_redacted: true,
            ..STORED
        };
        let refused = redacted.retry(NOW);
        assert!(matches!(refused, Err(OperatorError::PayloadRemoved)));
        let queued = Stored {
            state: State::Queued,
            ..redacted
        };
        queued.retry(NOW).unwrap();
        let retried = Stored {
            retried_at: Some(NOW),
            ..STORED
        };
        let soon = retried.retry(NOW.after(Duration::from_secs(59)));
        assert!(
            matches!(soon, Err(OperatorError::TooSoon { wait }) if wait == Duration::from_secs(1))
        );
        retried.retry(LATER).unwrap();
        retried.retry(NOW.before(Duration::from_secs(1))).unwrap();
    }

    #[test]
    fn operator_verbs_require_certain_states() {
        use State::{Cancelled, Dead, Queued, Sending, Sent, Suppressed};
        let reason = SuppressReason::NotAllowed;
        for state in State::ALL {
            let stored = Stored {
                state: *state,
                ..STORED
            };
            let verbs = [
                stored.retry(NOW).is_ok(),
                stored.cancel(NOW).is_ok(),
                stored.suppress(reason, NOW).is_ok(),
            ];
            let expected = match state {
                Queued => [true; 3],
                Dead | Cancelled => [true, false, true],
                Sending | Sent | Suppressed => [false; 3],
            };
            assert_eq!(verbs, expected, "{state}");
        }
        let queued = Stored {
            state: Queued,
            ..STORED
        };
        let cancelled = ended(Cancelled, None, Some("a"));
        assert_eq!(queued.cancel(NOW).unwrap(), cancelled);
        let suppressed = ended(Suppressed, Some("not_allowed"), Some("a"));
        assert_eq!(STORED.suppress(reason, NOW).unwrap(), suppressed);
    }
}
