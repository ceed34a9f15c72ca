//! Who may try what, and when.

use std::time::Duration;

use jobbell::domain::{Lane, Outcome, Plan, State};
use jobbell::queue::{ClaimLimit, Settled, Settlement};

use super::bench::{Bench, LEASE, again, refused, sent};

pub(crate) async fn nothing_is_claimed_before_it_is_due(bench: &mut Bench) {
    let later = bench.now().after(Duration::from_secs(10));
    bench
        .enqueue(
            bench
                .event("e1")
                .planned("a@example.com", Lane::Normal, Plan::Send(later))
                .new,
        )
        .await;
    bench.step(9);
    assert!(bench.claim().await.is_empty());
    bench.step(1);
    let lease = bench.claim_one().await;
    bench.settle(lease, again(bench, 30)).await;
    bench.step(29);
    assert!(bench.claim().await.is_empty());
    bench.step(1);
    assert_eq!(bench.claim_one().await.attempt, 2);
}

pub(crate) async fn stale_token_records_its_attempts_and_changes_no_state(bench: &mut Bench) {
    let id = bench.one("e1").await;
    let first = bench.claim_one().await;
    bench.step(60);
    let second = bench.claim_one().await;
    assert!(second.token > first.token);

    assert_eq!(bench.settle(first, Outcome::Sent).await, Settled::Stale);
    let record = bench.delivery(id).await;
    assert_eq!(
        (record.state, record.attempts.len()),
        (State::Sending, 1),
        "its attempt is on record"
    );

    assert_eq!(bench.settle(second, again(bench, 1)).await, Settled::Done);
    let record = bench.delivery(id).await;
    assert_eq!(
        (
            record.state,
            record.attempts[0].number,
            record.attempts[1].number
        ),
        (State::Queued, 1, 2)
    );
}

pub(crate) async fn a_late_settlement_counts_while_nobody_else_has_claimed(bench: &mut Bench) {
    let id = bench.one("e1").await;
    let lease = bench.claim_one().await;
    bench.step(3600);
    assert_eq!(bench.settle(lease, Outcome::Sent).await, Settled::Done);
    assert_eq!(bench.state(id).await, State::Sent);
}

pub(crate) async fn a_lease_that_ran_out_is_claimed_again_and_the_attempt_counts(
    bench: &mut Bench,
) {
    bench.one("e1").await;
    let mut last = 0;
    for attempt in 1..=5 {
        let lease = bench.claim_one().await;
        assert_eq!(lease.until, bench.now().after(LEASE));
        assert_eq!(lease.attempt, attempt);
        assert!(lease.token > last);
        last = lease.token;
        bench.step(59);
        assert!(bench.claim().await.is_empty());
        bench.step(1);
    }
    assert_eq!(bench.queue.counts().await.unwrap().sending, 1);
}

pub(crate) async fn urgent_goes_first_and_has_slots_of_its_own(bench: &mut Bench) {
    for number in 0..6 {
        bench
            .enqueue(bench.event(&format!("n{number}")).to("a@example.com").new)
            .await;
    }
    bench.step(1);
    for number in 0..4 {
        bench
            .enqueue(
                bench
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
        let leases = bench.queue.claim(limit, LEASE, bench.now()).await.unwrap();
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

pub(crate) async fn first_in_is_first_out_within_a_lane(bench: &mut Bench) {
    for number in 0..20 {
        bench.one(&format!("e{number}")).await;
    }
    let limit = ClaimLimit {
        urgent: 0,
        normal: 7,
    };
    let mut order = Vec::new();
    for expected in [7, 7, 6] {
        let leases = bench.queue.claim(limit, LEASE, bench.now()).await.unwrap();
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

pub(crate) async fn the_next_due_time_is_that_of_the_earliest_or_of_a_lease(bench: &mut Bench) {
    assert_eq!(bench.queue.next_due(bench.now()).await.unwrap(), None);
    let at = |seconds| bench.now().after(Duration::from_secs(seconds));
    let (soon, later) = (at(20), at(90));
    bench
        .enqueue(
            bench
                .event("e1")
                .planned("a@example.com", Lane::Urgent, Plan::Send(later))
                .new,
        )
        .await;
    assert_eq!(
        bench.queue.next_due(bench.now()).await.unwrap(),
        Some(later)
    );
    bench
        .enqueue(
            bench
                .event("e2")
                .planned("a@example.com", Lane::Normal, Plan::Send(soon))
                .new,
        )
        .await;
    assert_eq!(bench.queue.next_due(bench.now()).await.unwrap(), Some(soon));
    bench.step(25);
    assert_eq!(
        bench.queue.next_due(bench.now()).await.unwrap(),
        Some(bench.now()),
        "what is due already is due now"
    );
    let lease = bench.claim_one().await;
    assert_eq!(
        bench.queue.next_due(bench.now()).await.unwrap(),
        Some(lease.until)
    );
    bench.settle(lease, Outcome::Sent).await;
    assert_eq!(
        bench.queue.next_due(bench.now()).await.unwrap(),
        Some(later)
    );
}

pub(crate) async fn the_oldest_due_delivery_of_each_lane_is_known(bench: &mut Bench) {
    bench.one("e1").await;
    bench.step(7);
    bench
        .enqueue(bench.event("e2").urgent("a@example.com").new)
        .await;
    bench.step(3);
    let ages = bench.queue.oldest_due(bench.now()).await.unwrap();
    assert_eq!(
        ages,
        [
            (Lane::Urgent, Duration::from_secs(3)),
            (Lane::Normal, Duration::from_secs(10))
        ]
    );
    let leases = bench.claim().await;
    assert_eq!(leases.len(), 2);
    let ages = bench.queue.oldest_due(bench.now()).await.unwrap();
    assert_eq!(
        ages,
        [
            (Lane::Urgent, Duration::ZERO),
            (Lane::Normal, Duration::ZERO)
        ],
        "what is under way does not wait"
    );
}

pub(crate) async fn a_wake_up_is_not_lost_while_nobody_waits(bench: &mut Bench) {
    let wait_for_work = async |why: &str| {
        tokio::time::timeout(Duration::from_secs(10), bench.queue.wait_for_work())
            .await
            .expect(why);
    };
    let id = bench.one("e1").await;
    wait_for_work("an event came in").await;
    let lease = bench.claim_one().await;
    bench.settle(lease, Outcome::Released).await;
    wait_for_work("a lease came back").await;
    bench.queue.cancel(id, bench.now()).await.unwrap();
    bench
        .queue
        .retry(id, bench.now(), bench.now())
        .await
        .unwrap();
    wait_for_work("retried by hand").await;
    // The claim and the last settlement bring nothing into the queue; the wake-up that follows is
    // the next event's.
    let lease = bench.claim_one().await;
    bench.settle(lease, Outcome::Sent).await;
    let waiter = bench.queue.clone();
    let waiting = tokio::spawn(async move { waiter.wait_for_work().await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    bench.one("e2").await;
    tokio::time::timeout(Duration::from_secs(10), waiting)
        .await
        .expect("wait_for_work")
        .unwrap();
}

pub(crate) async fn a_claim_that_finds_nothing_stays_and_gets_what_comes_in(bench: &mut Bench) {
    let limit = ClaimLimit {
        urgent: 1,
        normal: 2,
    };
    let later = bench.now().after(Duration::from_secs(20));
    bench
        .enqueue(
            bench
                .event("e0")
                .planned("a@example.com", Lane::Normal, Plan::Send(later))
                .new,
        )
        .await;
    let mut claim = bench
        .queue
        .claim_next(limit, LEASE, None, bench.now())
        .await
        .unwrap();
    bench.queue.ping().await;
    assert_eq!(bench.queue.next_claim_at(), Some(later));
    tokio::time::timeout(Duration::ZERO, claim.leases())
        .await
        .expect_err("nothing is due, and it may be asked again");
    let id = bench.one("e1").await;
    let leases = claim.leases().await.unwrap();
    assert_eq!(
        leases
            .iter()
            .map(|lease| (lease.id, lease.attempt, lease.until))
            .collect::<Vec<_>>(),
        [(id, 1, bench.now().after(LEASE))]
    );
    assert_eq!(
        bench.queue.counts().await.unwrap().sending,
        1,
        "in the commit that took the event"
    );
    // What comes back into the queue goes to the claim that stands by then.
    let mut claim = bench
        .queue
        .claim_next(limit, LEASE, None, bench.now())
        .await
        .unwrap();
    for lease in leases {
        bench.settle(lease, Outcome::Released).await;
    }
    assert_eq!(
        claim
            .leases()
            .await
            .unwrap()
            .iter()
            .map(|lease| (lease.id, lease.attempt))
            .collect::<Vec<_>>(),
        [(id, 1)]
    );
    // Time brings nothing by itself: that is what the moment is told for.
    bench.step(20);
    let mut claim = bench
        .queue
        .claim_next(limit, LEASE, None, bench.now())
        .await
        .unwrap();
    assert_eq!(claim.leases().await.unwrap().len(), 1);
}

pub(crate) async fn one_claim_stands_at_a_time_and_a_later_one_ends_it_with_nothing(
    bench: &mut Bench,
) {
    let limit = ClaimLimit {
        urgent: 1,
        normal: 2,
    };
    let mut first = bench
        .queue
        .claim_next(limit, LEASE, None, bench.now())
        .await
        .unwrap();
    let mut second = bench
        .queue
        .claim_next(limit, LEASE, Some(&first), bench.now())
        .await
        .unwrap();
    assert!(first.leases().await.unwrap().is_empty());
    bench.one("e1").await;
    let mut third = bench
        .queue
        .claim_next(limit, LEASE, Some(&second), bench.now())
        .await
        .unwrap();
    assert_eq!(second.leases().await.unwrap().len(), 1);
    assert!(
        third.leases().await.unwrap().is_empty(),
        "its limit counted on the room that the second one has filled"
    );
    let mut fourth = bench
        .queue
        .claim_next(limit, LEASE, None, bench.now())
        .await
        .unwrap();
    assert!(
        bench
            .queue
            .claim(ClaimLimit::NONE, LEASE, bench.now())
            .await
            .unwrap()
            .is_empty()
    );
    assert!(fourth.leases().await.unwrap().is_empty());
    bench.one("e2").await;
    assert_eq!(
        bench.queue.counts().await.unwrap().queued,
        1,
        "nobody stands there any more"
    );
}

pub(crate) async fn a_settlement_is_answered_one_by_one(bench: &mut Bench) {
    bench.one("e1").await;
    let stale = bench.claim_one().await;
    bench.step(60);
    let fresh = bench.claim_one().await;
    let other = bench.one("e2").await;
    let third = bench.claim_one().await;
    let attempts = vec![
        bench.attempt(&third, refused()),
        bench.attempt(&third, sent()),
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
    let answers = bench.queue.settle(settlements, bench.now()).await.unwrap();
    assert_eq!(answers, [Settled::Stale, Settled::Done, Settled::Done]);
    let tries: Vec<_> = bench
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

pub(crate) async fn leases_of_one_event_share_its_parsed_form(bench: &mut Bench) {
    let event = bench.event("e1").to("a@example.org").to("b@example.org");
    bench
        .queue
        .enqueue(vec![event.new], None, bench.now())
        .await
        .unwrap();
    let leases = bench.claim().await;
    let [one, other] = leases.as_slice() else {
        panic!("{leases:?}")
    };
    assert!(std::ptr::eq(one.event().unwrap(), other.event().unwrap()));
}
