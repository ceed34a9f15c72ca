//! What a new start finds.

use std::time::Duration;

use jobbell::domain::{Attempt, AttemptResult, Failure, Outcome, Stage, State};
use jobbell::queue::{EnqueueError, Filter, Health, OperatorError, Queue, Settled, StoreError};

use super::bench::{ALL, Bench, LEASE, PAUSE, again, refused, sent};

pub(crate) async fn what_was_acknowledged_is_there_after_a_crash(bench: &mut Bench) {
    let (first, second) = (bench.one("e1").await, bench.one("e2").await);
    let mut leases = bench.claim().await;
    bench.settle(leases.pop().unwrap(), Outcome::Sent).await;
    bench.settle(leases.pop().unwrap(), again(bench, 60)).await;
    let before = (
        bench.delivery(first).await,
        bench.delivery(second).await,
        bench.queue.counts().await.unwrap(),
    );
    bench.crash();
    let after = (
        bench.delivery(first).await,
        bench.delivery(second).await,
        bench.queue.counts().await.unwrap(),
    );
    assert_eq!(before, after);
}

pub(crate) async fn a_start_takes_all_leases_back(bench: &mut Bench) {
    for number in 0..5 {
        bench.one(&format!("n{number}")).await;
    }
    bench
        .enqueue(bench.event("u").urgent("a@example.com").new)
        .await;
    assert_eq!(bench.claim().await.len(), 6, "held by those who die now");
    bench.one("waiting").await;
    bench.crash();
    let counts = bench.queue.counts().await.unwrap();
    assert_eq!((counts.queued, counts.sending), (7, 0));
    assert_eq!(
        bench.claim_one().await.event_id.as_str(),
        "waiting",
        "the others rest"
    );
    bench.clock.step(PAUSE);
    let attempts: Vec<_> = bench
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

pub(crate) async fn what_was_under_way_at_a_crash_rests_as_after_an_uncertain_attempt(
    bench: &mut Bench,
) {
    let (id, waiting) = (bench.one("e1").await, bench.one("e2").await);
    let mut leases = bench.claim().await;
    bench.settle(leases.pop().unwrap(), again(bench, 60)).await;
    bench.settle(leases.pop().unwrap(), again(bench, 1)).await;
    bench.step(1);
    let before = bench.delivery(waiting).await;
    bench.claim_one().await;
    bench.step(3);
    bench.crash();
    let record = bench.delivery(id).await;
    assert_eq!(
        (record.state, record.next_attempt_at),
        (State::Queued, Some(bench.now().after(PAUSE)))
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
        (bench.now(), 0, None)
    );
    assert_eq!(
        interrupted.detail.as_deref(),
        Some("the daemon ended while this mail was under way; the server may have taken it")
    );
    assert_eq!(
        bench.delivery(waiting).await,
        before,
        "what only waited is not touched"
    );
    bench.clock.step(PAUSE);
    let lease = bench.claim_one().await;
    assert_eq!(lease.attempt, 3);
    bench.settle(lease, Outcome::Sent).await;
    let results: Vec<_> = bench
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

pub(crate) async fn a_mail_that_kills_the_process_while_it_is_made_is_given_up_after_three_times(
    bench: &mut Bench,
) {
    let (poison, innocent) = (bench.one("e1").await, bench.one("e2").await);
    for crash in 1..=3 {
        let leases = bench.claim().await;
        assert_eq!(leases.len(), 2);
        // One is being made, the other has been made and is with its server.
        drop(bench.queue.rendering(innocent));
        std::mem::forget(bench.queue.rendering(poison));
        bench.crash();
        let record = bench.delivery(poison).await;
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
            Some("the daemon died while this mail was being made; no server had it")
        );
        assert_eq!(bench.delivery(innocent).await.state, State::Queued);
        bench.clock.step(PAUSE);
    }
    assert_eq!(
        bench.delivery(poison).await.reason.as_deref(),
        Some("unrenderable")
    );
    let lease = bench.claim_one().await;
    assert_eq!(lease.id, innocent);
    bench.settle(lease, Outcome::Sent).await;
}

pub(crate) async fn what_servers_were_given_is_remembered_and_what_was_under_way_counts_for_all(
    bench: &mut Bench,
) {
    for number in 0..6 {
        bench.one(&format!("e{number}")).await;
    }
    let begun = bench.now();
    for (number, lease) in bench.claim().await.into_iter().enumerate() {
        let try_on = |server: &str, result| Attempt {
            server: server.into(),
            ..bench.attempt(&lease, result)
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
        bench.step(30);
        bench.settle_with(lease, attempts, Outcome::Sent).await;
    }
    let given = |server: Option<&str>, after_s: u64, mails| {
        (
            server.map(str::to_owned),
            begun.after(Duration::from_secs(after_s)),
            mails,
        )
    };
    let found = async |bench: &Bench, after| {
        let used = bench.queue.send_history(after).await.unwrap();
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
    let used = found(bench, begun).await;
    assert_eq!(
        (used.len(), used.iter().map(|used| used.2).sum::<u32>()),
        (before.len() + 1, 4),
        "{used:?}"
    );
    assert!(before.iter().all(|one| used.contains(one)), "{used:?}");
    bench.step(30);
    bench.crash();
    let after = found(bench, begun).await;
    assert_eq!(
        (&after[..used.len()], &after[used.len()..]),
        (&used[..], &[given(None, 150, 2)][..])
    );
    assert_eq!(
        found(bench, begun.after(Duration::from_secs(119)))
            .await
            .len(),
        2,
        "only what came after"
    );
    bench.step(26 * 3600);
    bench.claim().await;
    bench.crash();
    assert_eq!(
        found(bench, begun)
            .await
            .iter()
            .map(|used| used.2)
            .sum::<u32>(),
        2,
        "what is older than any limit is forgotten"
    );
}

pub(crate) async fn a_settlement_from_before_the_crash_is_stale_once_claimed_again(
    bench: &mut Bench,
) {
    let id = bench.one("e1").await;
    let ghost = bench.claim_one().await;
    bench.crash();
    assert_eq!(bench.state(id).await, State::Queued);
    bench.clock.step(PAUSE);
    let lease = bench.claim_one().await;
    assert_eq!(bench.settle(ghost, Outcome::Sent).await, Settled::Stale);
    assert_eq!(bench.settle(lease, Outcome::Sent).await, Settled::Done);
}

pub(crate) async fn a_closed_queue_refuses_and_can_be_opened_again(bench: &mut Bench) {
    let id = bench.one("e1").await;
    let lease = bench.claim_one().await;
    let late = bench.event("e2").to("a@example.com").new;
    bench.queue.close().await;
    bench.queue.close().await;
    let (queue, now) = (&bench.queue, bench.now());
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
    let again = Queue::open(&bench.settings(), &bench.clock).unwrap();
    assert_eq!(again.counts().await.unwrap().queued, 1);
    bench.queue = again;
}

pub(crate) async fn the_numbers_survive_without_counting(bench: &mut Bench) {
    for number in 0..50 {
        bench.one(&format!("e{number}")).await;
    }
    for (number, lease) in bench.claim().await.into_iter().enumerate() {
        let outcome = if number % 3 == 0 {
            Outcome::Sent
        } else {
            again(bench, 5)
        };
        bench.settle(lease, outcome).await;
    }
    let before = bench.queue.counts().await.unwrap();
    assert_eq!((before.sent, before.queued), (17, 33));
    bench.crash();
    assert_eq!(bench.queue.counts().await.unwrap(), before);
}

pub(crate) async fn looking_at_a_queue_leaves_leases_alone(bench: &mut Bench) {
    let id = bench.one("e1").await;
    bench.claim_one().await;
    let settings = bench.settings();
    bench.queue.close().await;
    bench.queue = Queue::open_reader(&settings).unwrap();
    assert_eq!(bench.state(id).await, State::Sending);
    let busy = bench.queue.retry(id, bench.now(), bench.now()).await;
    assert!(matches!(
        busy,
        Err(OperatorError::Conflict {
            state: State::Sending
        })
    ));
}
