//! Decides which servers are tried and in which order. Pure: takes results, returns choices.

use crate::domain::{Attempt, AttemptResult, FailureKind, ServerName, Timestamp};

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
            FailureKind::Rejected
            | FailureKind::Uncertain
            | FailureKind::Deferred { .. }
            | FailureKind::LeaseOver => true,
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
    use std::time::Duration;

    use super::*;
    use crate::domain::{Failure, Stage};

    const DOWN: FailureKind = FailureKind::Unavailable {
        retry_after: None,
        server_wide: true,
    };

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
            at: Timestamp::from_millis(0),
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
            FailureKind::LeaseOver,
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
