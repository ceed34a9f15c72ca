//! Restarts after a stop or a crash.

use std::time::Duration;

use jobbell::domain::{Attempt, AttemptResult, Failure, Outcome, Stage, State};
use jobbell::queue::{
    EnqueueError, Filter, Health, OperatorError, Queue, Settled, StoreError, sqlite,
};

use super::fixture::{ALL, LEASE, PAUSE, QueueFixture, again, refused, sent};

pub(crate) async fn acknowledged_events_survive_a_crash(fixture: &mut QueueFixture) {
    let (first, second) = (fixture.one("e1").await, fixture.one("e2").await);
    let mut leases = fixture.claim().await;
    fixture.settle(leases.pop().unwrap(), Outcome::Sent).await;
    fixture
        .settle(leases.pop().unwrap(), again(fixture, 60))
        .await;
    let before = (
        fixture.delivery(first).await,
        fixture.delivery(second).await,
        fixture.queue.counts().await.unwrap(),
    );
    fixture.crash().await;
    let after = (
        fixture.delivery(first).await,
        fixture.delivery(second).await,
        fixture.queue.counts().await.unwrap(),
    );
    assert_eq!(before, after);
}

pub(crate) async fn start_recovers_all_leases(fixture: &mut QueueFixture) {
    for number in 0..5 {
        fixture.one(&format!("n{number}")).await;
    }
    fixture
        .enqueue(fixture.event("u").urgent("a@example.com").new)
        .await;
    assert_eq!(fixture.claim().await.len(), 6, "in flight at the crash");
    fixture.one("waiting").await;
    fixture.crash().await;
    let counts = fixture.queue.counts().await.unwrap();
    assert_eq!((counts.queued, counts.sending), (7, 0));
    assert_eq!(
        fixture.claim_one().await.event_id.as_str(),
        "waiting",
        "the others rest"
    );
    fixture.clock.step(PAUSE);
    let attempts: Vec<_> = fixture
        .claim()
        .await
        .iter()
        .map(|lease| (lease.event_id.as_str().to_owned(), lease.attempt))
        .collect();
    let mut sorted = attempts.clone();
    sorted.sort();
    let name = |number: u32| (format!("n{number}"), 2);
    assert_eq!(attempts[0], ("u".to_owned(), 2), "its attempt counted");
    assert_eq!(
        sorted,
        [
            name(0),
            name(1),
            name(2),
            name(3),
            name(4),
            ("u".to_owned(), 2)
        ]
    );
}

pub(crate) async fn deliveries_in_flight_at_a_crash_are_uncertain(fixture: &mut QueueFixture) {
    let (id, waiting) = (fixture.one("e1").await, fixture.one("e2").await);
    let mut leases = fixture.claim().await;
    fixture
        .settle(leases.pop().unwrap(), again(fixture, 60))
        .await;
    fixture
        .settle(leases.pop().unwrap(), again(fixture, 1))
        .await;
    fixture.step(1);
    let before = fixture.delivery(waiting).await;
    fixture.claim_one().await;
    fixture.step(3);
    fixture.crash().await;
    let record = fixture.delivery(id).await;
    assert_eq!(
        (record.state, record.next_attempt_at),
        (State::Queued, Some(fixture.now().after(PAUSE)))
    );
    let [_, interrupted] = record.attempts.as_slice() else {
        panic!("{record:?}")
    };
    assert_eq!(
        (
            interrupted.number,
            interrupted.server.as_str(),
            interrupted.result.as_str()
        ),
        (2, "unknown", "uncertain")
    );
    assert_eq!(
        (interrupted.at, interrupted.took_ms, interrupted.stage),
        (fixture.now(), 0, None)
    );
    assert_eq!(
        interrupted.detail.as_deref(),
        Some("the daemon stopped while sending this mail; the server may have accepted it")
    );
    assert_eq!(
        fixture.delivery(waiting).await,
        before,
        "what only waited is not touched"
    );
    fixture.clock.step(PAUSE);
    let lease = fixture.claim_one().await;
    assert_eq!(lease.attempt, 3);
    fixture.settle(lease, Outcome::Sent).await;
    let results: Vec<_> = fixture
        .delivery(id)
        .await
        .attempts
        .into_iter()
        .map(|attempt| (attempt.number, attempt.result))
        .collect();
    assert_eq!(
        results,
        [
            (1, "unavailable".to_owned()),
            (2, "uncertain".to_owned()),
            (3, "sent".to_owned())
        ]
    );
}

pub(crate) async fn mail_that_crashes_rendering_is_dead_after_three_crashes(
    fixture: &mut QueueFixture,
) {
    let (poison, innocent) = (fixture.one("e1").await, fixture.one("e2").await);
    for crash in 1..=3 {
        let leases = fixture.claim().await;
        assert_eq!(leases.len(), 2);
        // One is being made, the other has been made and is with its server.
        drop(fixture.queue.rendering(innocent));
        std::mem::forget(fixture.queue.rendering(poison));
        fixture.crash().await;
        let record = fixture.delivery(poison).await;
        assert_eq!(
            record.state,
            if crash < 3 {
                State::Queued
            } else {
                State::Dead
            }
        );
        assert_eq!(
            record.attempts.last().unwrap().detail.as_deref(),
            Some("the daemon crashed while rendering this mail; it was not sent")
        );
        assert_eq!(fixture.delivery(innocent).await.state, State::Queued);
        fixture.clock.step(PAUSE);
    }
    assert_eq!(
        fixture.delivery(poison).await.reason.as_deref(),
        Some("unrenderable")
    );
    let lease = fixture.claim_one().await;
    assert_eq!(lease.id, innocent);
    fixture.settle(lease, Outcome::Sent).await;
}

pub(crate) async fn send_history_survives_a_crash_and_counts_mails_in_flight(
    fixture: &mut QueueFixture,
) {
    for number in 0..6 {
        fixture.one(&format!("e{number}")).await;
    }
    let begun = fixture.now();
    for (number, lease) in fixture.claim().await.into_iter().enumerate() {
        let try_on = |server: &str, result| Attempt {
            server: server.into(),
            ..fixture.attempt(&lease, result)
        };
        let not_reached = match refused() {
            AttemptResult::Failed(failure) => AttemptResult::Failed(Failure {
                stage: Stage::Connect,
                ..failure
            }),
            AttemptResult::Sent(_) => unreachable!(),
        };
        let attempts = match number {
            0 => vec![try_on("a", sent())],
            1 => vec![try_on("a", not_reached), try_on("b", sent())],
            2 => vec![try_on("a", refused())],
            3 => vec![try_on("a", sent()), try_on("b", not_reached)],
            // Under way when the program dies.
            _ => continue,
        };
        fixture.step(30);
        fixture.settle_with(lease, attempts, Outcome::Sent).await;
    }
    let given = |server: Option<&str>, after_s: u64, mails| {
        (
            server.map(str::to_owned),
            begun.after(Duration::from_secs(after_s)),
            mails,
        )
    };
    let found = async |fixture: &QueueFixture, after| {
        let used = fixture.queue.send_history(after).await.unwrap();
        used.into_iter()
            .map(|used| {
                (
                    used.server.map(|name| name.to_string()),
                    used.last_at,
                    used.mails,
                )
            })
            .collect::<Vec<_>>()
    };
    // The clock began on the minute.
    let before = [
        given(Some("a"), 30, 1),
        given(Some("b"), 60, 1),
        given(Some("a"), 120, 1),
    ];
    let used = found(fixture, begun).await;
    assert_eq!(
        (used.len(), used.iter().map(|used| used.2).sum::<u32>()),
        (before.len() + 1, 4),
        "{used:?}"
    );
    assert!(before.iter().all(|one| used.contains(one)), "{used:?}");
    fixture.step(30);
    fixture.crash().await;
    let after = found(fixture, begun).await;
    assert_eq!(
        (&after[..used.len()], &after[used.len()..]),
        (&used[..], &[given(None, 150, 2)][..])
    );
    assert_eq!(
        found(fixture, begun.after(Duration::from_secs(119)))
            .await
            .len(),
        2,
        "only what came after"
    );
    fixture.step(26 * 3600);
    fixture.claim().await;
    fixture.crash().await;
    assert_eq!(
        found(fixture, begun)
            .await
            .iter()
            .map(|used| used.2)
            .sum::<u32>(),
        2,
        "entries older than every limit are removed"
    );
}

pub(crate) async fn settlement_from_before_a_crash_is_stale_after_a_new_claim(
    fixture: &mut QueueFixture,
) {
    let id = fixture.one("e1").await;
    let ghost = fixture.claim_one().await;
    fixture.crash().await;
    assert_eq!(fixture.state(id).await, State::Queued);
    fixture.clock.step(PAUSE);
    let lease = fixture.claim_one().await;
    assert_eq!(fixture.settle(ghost, Outcome::Sent).await, Settled::Stale);
    assert_eq!(fixture.settle(lease, Outcome::Sent).await, Settled::Done);
}

pub(crate) async fn closed_queue_refuses_and_can_be_reopened(fixture: &mut QueueFixture) {
    let id = fixture.one("e1").await;
    let lease = fixture.claim_one().await;
    let late = fixture.event("e2").to("a@example.com").new;
    fixture.queue.close().await;
    fixture.queue.close().await;
    let (queue, now) = (&fixture.queue, fixture.now());
    assert!(matches!(
        queue.enqueue(vec![late], None, now).await,
        Err(EnqueueError::Store(StoreError::Closed))
    ));
    assert!(matches!(
        queue.claim(ALL, LEASE, now).await,
        Err(StoreError::Closed)
    ));
    let given_back = queue
        .settle(
            vec![jobbell::queue::Settlement {
                lease,
                attempts: Vec::new(),
                outcome: Outcome::Sent,
            }],
            now,
        )
        .await
        .unwrap_err();
    assert_eq!(
        (
            given_back.settlements.len(),
            given_back.settlements[0].lease.id
        ),
        (1, id)
    );
    assert!(matches!(
        queue.cancel(id, now).await,
        Err(OperatorError::Store(StoreError::Closed))
    ));
    assert!(matches!(
        queue.find_delivery(id).await,
        Err(StoreError::Closed)
    ));
    assert!(queue.list(&Filter::default(), None, 1).await.is_err());
    assert!(matches!(queue.counts().await, Err(StoreError::Closed)));
    assert!(matches!(queue.health(), Health::Failing(_)));
    // The lock is free although the handle still lives.
    let again = Queue::open(&fixture.settings(), &fixture.clock)
        .await
        .unwrap();
    assert_eq!(again.counts().await.unwrap().queued, 1);
    fixture.queue = again;
}

pub(crate) async fn counts_survive_a_restart_without_counting_rows(fixture: &mut QueueFixture) {
    for number in 0..50 {
        fixture.one(&format!("e{number}")).await;
    }
    for (number, lease) in fixture.claim().await.into_iter().enumerate() {
        let outcome = if number % 3 == 0 {
            Outcome::Sent
        } else {
            again(fixture, 5)
        };
        fixture.settle(lease, outcome).await;
    }
    let before = fixture.queue.counts().await.unwrap();
    assert_eq!((before.sent, before.queued), (17, 33));
    fixture.crash().await;
    assert_eq!(fixture.queue.counts().await.unwrap(), before);
}

pub(crate) async fn opening_a_queue_read_only_keeps_its_leases(fixture: &mut QueueFixture) {
    let id = fixture.one("e1").await;
    fixture.claim_one().await;
    let settings = fixture.settings();
    fixture.queue.close().await;
    fixture.queue = sqlite::open_existing(&settings).unwrap();
    assert_eq!(fixture.state(id).await, State::Sending);
    let busy = fixture.queue.retry(id, fixture.now(), fixture.now()).await;
    assert!(matches!(
        busy,
        Err(OperatorError::Conflict {
            state: State::Sending
        })
    ));
}
