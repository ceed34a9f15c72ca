//! The rows of the state machine.

use std::time::Duration;

use jobbell::domain::{DeadReason, DeliveryId, Lane, Outcome, Plan, State, SuppressReason};
use jobbell::queue::{OperatorError, Settled};

use super::fixture::{QueueFixture, again};

pub(crate) async fn delivery_goes_from_queued_to_sending_to_sent(fixture: &mut QueueFixture) {
    let id = fixture.one("e1").await;
    let queued = fixture.delivery(id).await;
    assert_eq!(
        (queued.state, queued.next_attempt_at, queued.sent_at),
        (State::Queued, Some(fixture.now()), None)
    );

    let lease = fixture.claim_one().await;
    assert_eq!(
        (lease.id, lease.attempt, lease.event_id.as_str()),
        (id, 1, "e1")
    );
    assert_eq!(lease.event().unwrap().id().as_str(), "e1");
    let sending = fixture.delivery(id).await;
    assert_eq!(
        (sending.state, sending.next_attempt_at),
        (State::Sending, None)
    );

    fixture.step(1);
    assert_eq!(fixture.settle(lease, Outcome::Sent).await, Settled::Done);
    let sent = fixture.delivery(id).await;
    assert_eq!(
        (sent.state, sent.sent_at, sent.reason, sent.attempts.len()),
        (State::Sent, Some(fixture.now()), None, 1)
    );
    fixture.step(100_000);
    assert!(fixture.claim().await.is_empty());
}

pub(crate) async fn attempt_counts_unless_the_outcome_excludes_it(fixture: &mut QueueFixture) {
    fixture.one("e1").await;
    let mut numbers = Vec::new();
    for outcome in [
        Outcome::RetryAt {
            at: fixture.now(),
            counted: true,
            preferred_server: None,
        },
        Outcome::RetryAt {
            at: fixture.now(),
            counted: false,
            preferred_server: None,
        },
        Outcome::Released,
        Outcome::Sent,
    ] {
        let lease = fixture.claim_one().await;
        numbers.push(lease.attempt);
        fixture.settle(lease, outcome).await;
    }
    assert_eq!(numbers, [1, 2, 2, 2]);
}

pub(crate) async fn dead_delivery_keeps_its_reason(fixture: &mut QueueFixture) {
    for (number, reason) in DeadReason::ALL.iter().enumerate() {
        let id = fixture.one(&format!("e{number}")).await;
        let lease = fixture.claim_one().await;
        fixture.settle(lease, Outcome::Dead(*reason)).await;
        let dead = fixture.delivery(id).await;
        assert_eq!(
            (dead.state, dead.reason.as_deref(), dead.sent_at),
            (State::Dead, Some(reason.as_str()), None)
        );
    }
    assert!(fixture.claim().await.is_empty());
    assert_eq!(fixture.queue.counts().await.unwrap().dead, 4);
}

pub(crate) async fn suppressed_delivery_is_recorded_and_never_claimed(fixture: &mut QueueFixture) {
    let new = fixture
        .event("e1")
        .planned(
            "a@example.com",
            Lane::Normal,
            Plan::Suppress(SuppressReason::KindOff),
        )
        .new;
    let id = new.deliveries[0].id;
    fixture.enqueue(new).await;
    fixture.step(100_000);
    assert!(fixture.claim().await.is_empty());
    let record = fixture.delivery(id).await;
    assert_eq!(
        (
            record.state,
            record.reason.as_deref(),
            record.next_attempt_at
        ),
        (State::Suppressed, Some("kind_off"), None)
    );
    assert_eq!(fixture.queue.counts().await.unwrap().suppressed, 1);
}

/// One delivery in each of the six states, in their order.
async fn one_of_each(fixture: &QueueFixture) -> Vec<DeliveryId> {
    let mut ids = Vec::new();
    for (state, outcome) in [
        (State::Sending, None),
        (State::Sent, Some(Outcome::Sent)),
        (State::Dead, Some(Outcome::Dead(DeadReason::Rejected))),
    ] {
        ids.push((state, fixture.one(state.as_str()).await));
        let lease = fixture.claim_one().await;
        if let Some(outcome) = outcome {
            fixture.settle(lease, outcome).await;
        }
    }
    let suppressed = fixture
        .event("suppressed")
        .planned(
            "a@example.com",
            Lane::Normal,
            Plan::Suppress(SuppressReason::Disabled),
        )
        .new;
    ids.push((State::Suppressed, suppressed.deliveries[0].id));
    fixture.enqueue(suppressed).await;
    let cancelled = fixture.one("cancelled").await;
    assert_eq!(
        fixture
            .queue
            .cancel(cancelled, fixture.now())
            .await
            .unwrap()
            .state,
        State::Cancelled
    );
    ids.push((State::Cancelled, cancelled));
    ids.insert(0, (State::Queued, fixture.one("queued").await));
    for (state, id) in &ids {
        assert_eq!(fixture.state(*id).await, *state);
    }
    ids.into_iter().map(|(_, id)| id).collect()
}

pub(crate) async fn only_queued_deliveries_can_be_cancelled(fixture: &mut QueueFixture) {
    let ids = one_of_each(fixture).await;
    for (state, id) in State::ALL.iter().zip(ids) {
        match fixture.queue.cancel(id, fixture.now()).await {
            Ok(record) => assert_eq!(
                (*state, record.state, record.next_attempt_at),
                (State::Queued, State::Cancelled, None)
            ),
            Err(OperatorError::Conflict { state: found }) => {
                assert_eq!((found, fixture.state(id).await), (*state, *state));
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(fixture.queue.counts().await.unwrap().cancelled, 2);
    assert!(fixture.claim().await.is_empty());
    let unknown = fixture
        .queue
        .cancel(DeliveryId::new(fixture.now()), fixture.now())
        .await;
    assert!(
        matches!(unknown, Err(OperatorError::NotFound)),
        "{unknown:?}"
    );
}

pub(crate) async fn only_queued_dead_and_cancelled_deliveries_can_be_retried(
    fixture: &mut QueueFixture,
) {
    let ids = one_of_each(fixture).await;
    let expires_at = fixture.now().after(Duration::from_secs(777));
    let mut back = Vec::new();
    for (state, id) in State::ALL.iter().zip(ids) {
        match fixture.queue.retry(id, expires_at, fixture.now()).await {
            Ok(record) => {
                assert!(
                    matches!(state, State::Queued | State::Dead | State::Cancelled),
                    "{state}"
                );
                assert_eq!(
                    (record.state, record.next_attempt_at, record.reason),
                    (State::Queued, Some(fixture.now()), None)
                );
                back.push(id);
            }
            Err(OperatorError::Conflict { state: found }) => {
                assert!(
                    matches!(state, State::Sending | State::Sent | State::Suppressed),
                    "{state}"
                );
                assert_eq!((found, fixture.state(id).await), (*state, *state));
            }
            Err(error) => panic!("{error}"),
        }
    }
    let unknown = fixture
        .queue
        .retry(DeliveryId::new(fixture.now()), expires_at, fixture.now())
        .await;
    assert!(
        matches!(unknown, Err(OperatorError::NotFound)),
        "{unknown:?}"
    );
    let mut claimed: Vec<_> = fixture
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

pub(crate) async fn operator_retry_restarts_attempts_and_keeps_the_history(
    fixture: &mut QueueFixture,
) {
    let id = fixture.one("e1").await;
    for outcome in [again(fixture, 0), Outcome::Dead(DeadReason::Attempts)] {
        let lease = fixture.claim_one().await;
        fixture.settle(lease, outcome).await;
    }
    let dead = fixture.delivery(id).await;
    fixture.step(10);
    let record = fixture
        .queue
        .retry(
            id,
            fixture.now().after(Duration::from_secs(9)),
            fixture.now(),
        )
        .await
        .unwrap();
    assert_eq!(record.attempts, dead.attempts);
    let lease = fixture.claim_one().await;
    assert_eq!(
        (lease.attempt, lease.message_id.as_str()),
        (1, dead.message_id.trim_matches(['<', '>']))
    );
    fixture.settle(lease, Outcome::Sent).await;
    let numbers: Vec<_> = fixture
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

pub(crate) async fn server_that_may_have_the_mail_is_recorded(fixture: &mut QueueFixture) {
    let id = fixture.one("e1").await;
    let lease = fixture.claim_one().await;
    assert_eq!(lease.preferred_server, None);
    fixture
        .settle(
            lease,
            Outcome::RetryAt {
                at: fixture.now(),
                counted: true,
                preferred_server: Some("backup".into()),
            },
        )
        .await;
    let lease = fixture.claim_one().await;
    assert_eq!(lease.preferred_server.as_deref(), Some("backup"));
    fixture.settle(lease, Outcome::Released).await;
    let lease = fixture.claim_one().await;
    assert_eq!(
        lease.preferred_server.as_deref(),
        Some("backup"),
        "a release knows nothing new"
    );
    fixture
        .settle(lease, Outcome::Dead(DeadReason::Attempts))
        .await;
    fixture
        .queue
        .retry(id, fixture.now(), fixture.now())
        .await
        .unwrap();
    let lease = fixture.claim_one().await;
    assert_eq!(
        lease.preferred_server.as_deref(),
        Some("backup"),
        "nor does an operator"
    );
    fixture.settle(lease, again(fixture, 0)).await;
    assert_eq!(fixture.claim_one().await.preferred_server, None);
}

pub(crate) async fn recipients_of_one_event_are_independent(fixture: &mut QueueFixture) {
    let new = fixture
        .event("e1")
        .to("a@example.com")
        .to("b@example.com")
        .to("c@example.com")
        .new;
    fixture.enqueue(new).await;
    let mut leases = fixture.claim().await.into_iter();
    let (a, b, c) = (
        leases.next().unwrap(),
        leases.next().unwrap(),
        leases.next().unwrap(),
    );
    fixture.settle(a, Outcome::Sent).await;
    fixture.settle(b, Outcome::Dead(DeadReason::Rejected)).await;
    fixture.settle(c, again(fixture, 5)).await;
    let event = fixture
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
