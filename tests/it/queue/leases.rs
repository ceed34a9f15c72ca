//! Claims, leases and settlements.

use std::time::Duration;

use jobbell::domain::{DeliveryId, Lane, Outcome, Plan, State};
use jobbell::queue::{ClaimLimit, Claimer, Lease, Settled, Settlement};

use super::fixture::{LEASE, QueueFixture, again, refused, sent};

pub(crate) async fn delivery_is_not_claimed_before_it_is_due(fixture: &mut QueueFixture) {
    let later = fixture.now().after(Duration::from_secs(10));
    fixture
        .enqueue(
            fixture
                .event("e1")
                .planned("a@example.com", Lane::Normal, Plan::Send(later))
                .new,
        )
        .await;
    fixture.step(9);
    assert!(fixture.claim().await.is_empty());
    fixture.step(1);
    let lease = fixture.claim_one().await;
    fixture.settle(lease, again(fixture, 30)).await;
    fixture.step(29);
    assert!(fixture.claim().await.is_empty());
    fixture.step(1);
    assert_eq!(fixture.claim_one().await.attempt, 2);
}

pub(crate) async fn stale_token_records_its_attempts_and_changes_no_state(
    fixture: &mut QueueFixture,
) {
    let id = fixture.one("e1").await;
    let first = fixture.claim_one().await;
    fixture.step(60);
    let second = fixture.claim_one().await;
    assert!(second.token > first.token);

    assert_eq!(fixture.settle(first, Outcome::Sent).await, Settled::Stale);
    let record = fixture.delivery(id).await;
    assert_eq!(
        (record.state, record.attempts.len()),
        (State::Sending, 1),
        "its attempt is on record"
    );

    assert_eq!(
        fixture.settle(second, again(fixture, 1)).await,
        Settled::Done
    );
    let record = fixture.delivery(id).await;
    assert_eq!(
        (
            record.state,
            record.attempts[0].number,
            record.attempts[1].number
        ),
        (State::Queued, 1, 2)
    );
}

pub(crate) async fn late_settlement_counts_until_the_next_claim(fixture: &mut QueueFixture) {
    let id = fixture.one("e1").await;
    let lease = fixture.claim_one().await;
    fixture.step(3600);
    assert_eq!(fixture.settle(lease, Outcome::Sent).await, Settled::Done);
    assert_eq!(fixture.state(id).await, State::Sent);
}

pub(crate) async fn expired_lease_is_reclaimed_and_its_attempt_counts(fixture: &mut QueueFixture) {
    fixture.one("e1").await;
    let mut last = 0;
    for attempt in 1..=5 {
        let lease = fixture.claim_one().await;
        assert_eq!(lease.until, fixture.now().after(LEASE));
        assert_eq!(lease.attempt, attempt);
        assert!(lease.token > last);
        last = lease.token;
        fixture.step(59);
        assert!(fixture.claim().await.is_empty());
        fixture.step(1);
    }
    assert_eq!(fixture.queue.counts().await.unwrap().sending, 1);
}

pub(crate) async fn urgent_lane_is_first_and_has_reserved_slots(fixture: &mut QueueFixture) {
    for number in 0..6 {
        fixture
            .enqueue(fixture.event(&format!("n{number}")).to("a@example.com").new)
            .await;
    }
    fixture.step(1);
    for number in 0..4 {
        fixture
            .enqueue(
                fixture
                    .event(&format!("u{number}"))
                    .urgent("b@example.com")
                    .new,
            )
            .await;
    }
    let mut taken = Vec::new();
    for limit in [
        ClaimLimit {
            urgent: 0,
            normal: 0,
        },
        ClaimLimit {
            urgent: 1,
            normal: 2,
        },
        ClaimLimit {
            urgent: 1,
            normal: 2,
        },
        ClaimLimit {
            urgent: 2,
            normal: 2,
        },
        ClaimLimit {
            urgent: 2,
            normal: 0,
        },
        ClaimLimit {
            urgent: 0,
            normal: 5,
        },
    ] {
        let leases = fixture
            .queue
            .claim(limit, LEASE, fixture.now())
            .await
            .unwrap();
        taken.push(
            leases
                .iter()
                .map(|lease| lease.event_id.as_str().to_owned())
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(
        taken,
        [
            vec![],
            vec!["u0", "u1", "u2"],
            vec!["u3", "n0"],
            vec!["n1", "n2"],
            vec![],
            vec!["n3", "n4", "n5"]
        ]
    );
}

pub(crate) async fn each_lane_is_first_in_first_out(fixture: &mut QueueFixture) {
    for number in 0..20 {
        fixture.one(&format!("e{number}")).await;
    }
    let limit = ClaimLimit {
        urgent: 0,
        normal: 7,
    };
    let mut order = Vec::new();
    for expected in [7, 7, 6] {
        let leases = fixture
            .queue
            .claim(limit, LEASE, fixture.now())
            .await
            .unwrap();
        assert_eq!(leases.len(), expected);
        order.extend(
            leases
                .iter()
                .map(|lease| lease.event_id.as_str().to_owned()),
        );
    }
    assert_eq!(
        order,
        (0..20)
            .map(|number| format!("e{number}"))
            .collect::<Vec<_>>()
    );
}

pub(crate) async fn oldest_due_delivery_of_each_lane_is_reported(fixture: &mut QueueFixture) {
    fixture.one("e1").await;
    fixture.step(7);
    fixture
        .enqueue(fixture.event("e2").urgent("a@example.com").new)
        .await;
    fixture.step(3);
    let ages = fixture.queue.oldest_due(fixture.now()).await.unwrap();
    assert_eq!(
        ages,
        [
            (Lane::Urgent, Duration::from_secs(3)),
            (Lane::Normal, Duration::from_secs(10))
        ]
    );
    let leases = fixture.claim().await;
    assert_eq!(leases.len(), 2);
    let ages = fixture.queue.oldest_due(fixture.now()).await.unwrap();
    assert_eq!(
        ages,
        [
            (Lane::Urgent, Duration::ZERO),
            (Lane::Normal, Duration::ZERO)
        ],
        "deliveries in flight do not wait"
    );
}

const LIMIT: ClaimLimit = ClaimLimit {
    urgent: 1,
    normal: 2,
};

/// The delivery and attempt number of each lease.
fn attempts_of(leases: &[Lease]) -> Vec<(DeliveryId, u32)> {
    leases
        .iter()
        .map(|lease| (lease.id, lease.attempt))
        .collect()
}

/// Drops the future at its first wait, and expects one.
async fn cancel_next(claimer: &mut Claimer) {
    tokio::time::timeout(Duration::ZERO, claimer.next())
        .await
        .expect_err("the claim stays pending");
}

pub(crate) async fn pending_claim_gets_what_a_commit_brings(fixture: &mut QueueFixture) {
    let mut claimer = fixture.queue.claimer(fixture.clock.clone());
    claimer.set(LIMIT, LEASE).await.unwrap();
    fixture.queue.ping().await;
    cancel_next(&mut claimer).await;
    let id = fixture.one("e1").await;
    assert_eq!(
        fixture.queue.counts().await.unwrap().sending,
        1,
        "in the commit that stores the event"
    );
    let leases = claimer.next().await.unwrap();
    assert_eq!(attempts_of(&leases), [(id, 1)]);
    assert_eq!(leases[0].until, fixture.now().after(LEASE));
    // A delivery that returns to the queue goes to the claim that is pending by then.
    claimer.set(LIMIT, LEASE).await.unwrap();
    for lease in leases {
        fixture.settle(lease, Outcome::Released).await;
    }
    assert_eq!(attempts_of(&claimer.next().await.unwrap()), [(id, 1)]);
}

pub(crate) async fn pending_claim_is_tried_again_at_the_next_due_time(fixture: &mut QueueFixture) {
    let later = fixture.now().after(Duration::from_secs(20));
    let planned = fixture.event("e1");
    let planned = planned.planned("a@example.com", Lane::Normal, Plan::Send(later));
    fixture.enqueue(planned.new).await;
    let mut claimer = fixture.queue.claimer(fixture.clock.clone());
    claimer.set(LIMIT, LEASE).await.unwrap();
    fixture.queue.ping().await;
    cancel_next(&mut claimer).await;
    fixture.step(20);
    assert_eq!(claimer.next().await.unwrap().len(), 1);
}

pub(crate) async fn claim_made_before_the_last_answer_was_seen_gets_nothing(
    fixture: &mut QueueFixture,
) {
    let mut claimer = fixture.queue.claimer(fixture.clock.clone());
    claimer.set(LIMIT, LEASE).await.unwrap();
    fixture.one("e1").await;
    let other = ClaimLimit { urgent: 2, ..LIMIT };
    claimer.set(other, LEASE).await.unwrap();
    fixture.one("e2").await;
    assert_eq!(fixture.queue.counts().await.unwrap().sending, 1);
    assert_eq!(claimer.next().await.unwrap().len(), 1);
    claimer.set(other, LEASE).await.unwrap();
    assert_eq!(claimer.next().await.unwrap().len(), 1);
}

pub(crate) async fn stopped_claimer_returns_unseen_leases_and_claims_no_more(
    fixture: &mut QueueFixture,
) {
    let mut claimer = fixture.queue.claimer(fixture.clock.clone());
    claimer.set(LIMIT, LEASE).await.unwrap();
    let id = fixture.one("e1").await;
    fixture.queue.ping().await;
    assert_eq!(attempts_of(&claimer.stop().await.unwrap()), [(id, 1)]);
    claimer.set(LIMIT, LEASE).await.unwrap();
    assert_eq!(claimer.stop().await.unwrap().len(), 0);
    fixture.one("e2").await;
    assert_eq!(fixture.queue.counts().await.unwrap().queued, 1);
    claimer.set(LIMIT, LEASE).await.unwrap();
    assert_eq!(
        claimer.next().await.unwrap().len(),
        1,
        "it can be set again"
    );
}

pub(crate) async fn second_claimer_replaces_the_claim_of_the_first(fixture: &mut QueueFixture) {
    let mut first = fixture.queue.claimer(fixture.clock.clone());
    first.set(LIMIT, LEASE).await.unwrap();
    fixture.one("e1").await;
    assert_eq!(first.next().await.unwrap().len(), 1);
    first.set(LIMIT, LEASE).await.unwrap();
    let mut second = fixture.queue.claimer(fixture.clock.clone());
    second.set(LIMIT, LEASE).await.unwrap();
    fixture.one("e2").await;
    assert_eq!(second.next().await.unwrap().len(), 1);
    cancel_next(&mut first).await;
}

pub(crate) async fn claimer_renews_its_leases_until_they_are_dropped(fixture: &mut QueueFixture) {
    let id = fixture.one("e1").await;
    let mut claimer = fixture.queue.claimer(fixture.clock.clone());
    claimer.set(LIMIT, LEASE).await.unwrap();
    let leases = claimer.next().await.unwrap();
    for _ in 0..10 {
        fixture.step(20);
        cancel_next(&mut claimer).await;
        fixture.queue.ping().await;
        fixture.step(39);
        assert!(fixture.claim().await.is_empty());
        cancel_next(&mut claimer).await;
        fixture.queue.ping().await;
    }
    drop(leases);
    fixture.step(30);
    cancel_next(&mut claimer).await;
    fixture.step(30);
    assert_eq!(attempts_of(&fixture.claim().await), [(id, 2)]);
}

pub(crate) async fn claimer_renews_an_expired_lease_that_it_still_holds(
    fixture: &mut QueueFixture,
) {
    let id = fixture.one("e1").await;
    let mut claimer = fixture.queue.claimer(fixture.clock.clone());
    claimer.set(LIMIT, LEASE).await.unwrap();
    let lease = claimer.next().await.unwrap().pop().unwrap();
    claimer.set(LIMIT, LEASE).await.unwrap();
    fixture.queue.ping().await;
    fixture.step(3600);
    // The commit tries the pending claim, for which the first delivery is due.
    let other = fixture.one("e2").await;
    let leases = claimer.next().await.unwrap();
    assert_eq!(attempts_of(&leases), [(other, 1)]);
    fixture.step(59);
    assert!(fixture.claim().await.is_empty());
    assert_eq!(fixture.settle(lease, Outcome::Sent).await, Settled::Done);
    assert_eq!(fixture.delivery(id).await.attempts.len(), 1);
}

pub(crate) async fn settlements_are_answered_one_by_one(fixture: &mut QueueFixture) {
    fixture.one("e1").await;
    let stale = fixture.claim_one().await;
    fixture.step(60);
    let fresh = fixture.claim_one().await;
    let other = fixture.one("e2").await;
    let third = fixture.claim_one().await;
    let attempts = vec![
        fixture.attempt(&third, refused()),
        fixture.attempt(&third, sent()),
    ];
    let settlements = vec![
        Settlement {
            lease: stale,
            attempts: Vec::new(),
            outcome: Outcome::Sent,
        },
        Settlement {
            lease: third,
            attempts,
            outcome: Outcome::Sent,
        },
        Settlement {
            lease: fresh,
            attempts: Vec::new(),
            outcome: Outcome::Released,
        },
    ];
    let answers = fixture
        .queue
        .settle(settlements, fixture.now())
        .await
        .unwrap();
    assert_eq!(answers, [Settled::Stale, Settled::Done, Settled::Done]);
    let tries: Vec<_> = fixture
        .delivery(other)
        .await
        .attempts
        .iter()
        .map(|attempt| (attempt.number, attempt.result.clone()))
        .collect();
    assert_eq!(
        tries,
        [(1, "unavailable".to_owned()), (1, "sent".to_owned())],
        "two servers within one attempt"
    );
}
