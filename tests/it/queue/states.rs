//! The rows of the state machine.

use std::time::Duration;

use jobbell::domain::{DeadReason, DeliveryId, Lane, Outcome, Plan, State, SuppressReason};
use jobbell::queue::{OperatorError, Settled};

use super::bench::{Bench, again};

pub(crate) async fn a_delivery_goes_from_queued_over_sending_to_sent(bench: &mut Bench) {
    let id = bench.one("e1").await;
    let queued = bench.delivery(id).await;
    assert_eq!(
        (queued.state, queued.next_attempt_at, queued.sent_at),
        (State::Queued, Some(bench.now()), None)
    );

    let lease = bench.claim_one().await;
    assert_eq!(
        (lease.id, lease.attempt, lease.event_id.as_str()),
        (id, 1, "e1")
    );
    assert_eq!(lease.event().unwrap().id().as_str(), "e1");
    let sending = bench.delivery(id).await;
    assert_eq!(
        (sending.state, sending.next_attempt_at),
        (State::Sending, None)
    );

    bench.step(1);
    assert_eq!(bench.settle(lease, Outcome::Sent).await, Settled::Done);
    let sent = bench.delivery(id).await;
    assert_eq!(
        (sent.state, sent.sent_at, sent.reason, sent.attempts.len()),
        (State::Sent, Some(bench.now()), None, 1)
    );
    bench.step(100_000);
    assert!(bench.claim().await.is_empty());
}

pub(crate) async fn an_attempt_counts_unless_the_verdict_says_otherwise(bench: &mut Bench) {
    bench.one("e1").await;
    let mut numbers = Vec::new();
    for outcome in [
        Outcome::RetryAt {
            at: bench.now(),
            counted: true,
            preferred_server: None,
        },
        Outcome::RetryAt {
            at: bench.now(),
            counted: false,
            preferred_server: None,
        },
        Outcome::Released,
        Outcome::Sent,
    ] {
        let lease = bench.claim_one().await;
        numbers.push(lease.attempt);
        bench.settle(lease, outcome).await;
    }
    assert_eq!(numbers, [1, 2, 2, 2]);
}

pub(crate) async fn a_dead_delivery_keeps_its_reason(bench: &mut Bench) {
    for (number, reason) in DeadReason::ALL.iter().enumerate() {
        let id = bench.one(&format!("e{number}")).await;
        let lease = bench.claim_one().await;
        bench.settle(lease, Outcome::Dead(*reason)).await;
        let dead = bench.delivery(id).await;
        assert_eq!(
            (dead.state, dead.reason.as_deref(), dead.sent_at),
            (State::Dead, Some(reason.as_str()), None)
        );
    }
    assert!(bench.claim().await.is_empty());
    assert_eq!(bench.queue.counts().await.unwrap().dead, 4);
}

pub(crate) async fn a_suppressed_delivery_is_on_record_and_never_claimed(bench: &mut Bench) {
    let new = bench
        .event("e1")
        .planned(
            "a@example.com",
            Lane::Normal,
            Plan::Suppress(SuppressReason::KindOff),
        )
        .new;
    let id = new.deliveries[0].id;
    bench.enqueue(new).await;
    bench.step(100_000);
    assert!(bench.claim().await.is_empty());
    let record = bench.delivery(id).await;
    assert_eq!(
        (
            record.state,
            record.reason.as_deref(),
            record.next_attempt_at
        ),
        (State::Suppressed, Some("kind_off"), None)
    );
    assert_eq!(bench.queue.counts().await.unwrap().suppressed, 1);
}

/// One delivery in each of the six states, in their order.
async fn one_of_each(bench: &Bench) -> Vec<DeliveryId> {
    let mut ids = Vec::new();
    for (state, outcome) in [
        (State::Sending, None),
        (State::Sent, Some(Outcome::Sent)),
        (State::Dead, Some(Outcome::Dead(DeadReason::Rejected))),
    ] {
        ids.push((state, bench.one(state.as_str()).await));
        let lease = bench.claim_one().await;
        if let Some(outcome) = outcome {
            bench.settle(lease, outcome).await;
        }
    }
    let suppressed = bench
        .event("suppressed")
        .planned(
            "a@example.com",
            Lane::Normal,
            Plan::Suppress(SuppressReason::Disabled),
        )
        .new;
    ids.push((State::Suppressed, suppressed.deliveries[0].id));
    bench.enqueue(suppressed).await;
    let cancelled = bench.one("cancelled").await;
    assert_eq!(
        bench
            .queue
            .cancel(cancelled, bench.now())
            .await
            .unwrap()
            .state,
        State::Cancelled
    );
    ids.push((State::Cancelled, cancelled));
    ids.insert(0, (State::Queued, bench.one("queued").await));
    for (state, id) in &ids {
        assert_eq!(bench.state(*id).await, *state);
    }
    ids.into_iter().map(|(_, id)| id).collect()
}

pub(crate) async fn only_a_queued_delivery_can_be_cancelled(bench: &mut Bench) {
    let ids = one_of_each(bench).await;
    for (state, id) in State::ALL.iter().zip(ids) {
        match bench.queue.cancel(id, bench.now()).await {
            Ok(record) => assert_eq!(
                (*state, record.state, record.next_attempt_at),
                (State::Queued, State::Cancelled, None)
            ),
            Err(OperatorError::Conflict { state: found }) => {
                assert_eq!((found, bench.state(id).await), (*state, *state));
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(bench.queue.counts().await.unwrap().cancelled, 2);
    assert!(bench.claim().await.is_empty());
    let unknown = bench
        .queue
        .cancel(DeliveryId::new(bench.now()), bench.now())
        .await;
    assert!(
        matches!(unknown, Err(OperatorError::NotFound)),
        "{unknown:?}"
    );
}

pub(crate) async fn only_what_waits_or_ended_without_a_mail_can_be_retried(bench: &mut Bench) {
    let ids = one_of_each(bench).await;
    let expires_at = bench.now().after(Duration::from_secs(777));
    let mut back = Vec::new();
    for (state, id) in State::ALL.iter().zip(ids) {
        match bench.queue.retry(id, expires_at, bench.now()).await {
            Ok(record) => {
                assert!(
                    matches!(state, State::Queued | State::Dead | State::Cancelled),
                    "{state}"
                );
                assert_eq!(
                    (record.state, record.next_attempt_at, record.reason),
                    (State::Queued, Some(bench.now()), None)
                );
                back.push(id);
            }
            Err(OperatorError::Conflict { state: found }) => {
                assert!(
                    matches!(state, State::Sending | State::Sent | State::Suppressed),
                    "{state}"
                );
                assert_eq!((found, bench.state(id).await), (*state, *state));
            }
            Err(error) => panic!("{error}"),
        }
    }
    let unknown = bench
        .queue
        .retry(DeliveryId::new(bench.now()), expires_at, bench.now())
        .await;
    assert!(
        matches!(unknown, Err(OperatorError::NotFound)),
        "{unknown:?}"
    );
    let mut claimed: Vec<_> = bench
        .claim()
        .await
        .iter()
        .map(|lease| (lease.id, lease.expires_at == expires_at))
        .collect();
    claimed.sort();
    let mut expected = vec![(back[0], false), (back[1], true), (back[2], true)];
    expected.sort();
    assert_eq!(claimed, expected);
}

pub(crate) async fn a_retry_by_hand_begins_at_attempt_one_and_keeps_the_history(bench: &mut Bench) {
    let id = bench.one("e1").await;
    for outcome in [again(bench, 0), Outcome::Dead(DeadReason::Attempts)] {
        let lease = bench.claim_one().await;
        bench.settle(lease, outcome).await;
    }
    let dead = bench.delivery(id).await;
    bench.step(10);
    let record = bench
        .queue
        .retry(id, bench.now().after(Duration::from_secs(9)), bench.now())
        .await
        .unwrap();
    assert_eq!(record.attempts, dead.attempts);
    let lease = bench.claim_one().await;
    assert_eq!(
        (lease.attempt, lease.message_id.as_str()),
        (1, dead.message_id.trim_matches(['<', '>']))
    );
    bench.settle(lease, Outcome::Sent).await;
    let numbers: Vec<_> = bench
        .delivery(id)
        .await
        .attempts
        .iter()
        .map(|attempt| (attempt.number, attempt.result.clone()))
        .collect();
    assert_eq!(
        numbers,
        [
            (1, "unavailable".to_owned()),
            (2, "unavailable".to_owned()),
            (1, "sent".to_owned())
        ]
    );
}

pub(crate) async fn the_server_that_may_have_the_mail_is_remembered(bench: &mut Bench) {
    let id = bench.one("e1").await;
    let lease = bench.claim_one().await;
    assert_eq!(lease.preferred_server, None);
    bench
        .settle(
            lease,
            Outcome::RetryAt {
                at: bench.now(),
                counted: true,
                preferred_server: Some("backup".into()),
            },
        )
        .await;
    let lease = bench.claim_one().await;
    assert_eq!(lease.preferred_server.as_deref(), Some("backup"));
    bench.settle(lease, Outcome::Released).await;
    let lease = bench.claim_one().await;
    assert_eq!(
        lease.preferred_server.as_deref(),
        Some("backup"),
        "a release knows nothing new"
    );
    bench
        .settle(lease, Outcome::Dead(DeadReason::Attempts))
        .await;
    bench
        .queue
        .retry(id, bench.now(), bench.now())
        .await
        .unwrap();
    let lease = bench.claim_one().await;
    assert_eq!(
        lease.preferred_server.as_deref(),
        Some("backup"),
        "nor does an operator"
    );
    bench.settle(lease, again(bench, 0)).await;
    assert_eq!(bench.claim_one().await.preferred_server, None);
}

pub(crate) async fn each_recipient_has_a_fate_of_its_own(bench: &mut Bench) {
    let new = bench
        .event("e1")
        .to("a@example.com")
        .to("b@example.com")
        .to("c@example.com")
        .new;
    bench.enqueue(new).await;
    let mut leases = bench.claim().await.into_iter();
    let (a, b, c) = (
        leases.next().unwrap(),
        leases.next().unwrap(),
        leases.next().unwrap(),
    );
    bench.settle(a, Outcome::Sent).await;
    bench.settle(b, Outcome::Dead(DeadReason::Rejected)).await;
    bench.settle(c, again(bench, 5)).await;
    let event = bench
        .queue
        .find(&jobbell::domain::EventId::parse("e1").unwrap())
        .await
        .unwrap()
        .unwrap();
    let states: Vec<_> = event
        .deliveries
        .iter()
        .map(|delivery| (delivery.to.as_str().to_owned(), delivery.state))
        .collect();
    assert_eq!(
        states,
        [
            ("a@example.com".into(), State::Sent),
            ("b@example.com".into(), State::Dead),
            ("c@example.com".into(), State::Queued)
        ]
    );
}
