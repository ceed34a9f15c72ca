//! What is on record, how it is found, and when it goes.

use std::time::Duration;

use jobbell::domain::{
    AttemptResult, DeadReason, EventId, Explanation, Failure, FailureKind, Lane, Outcome, Plan,
    Recipient, Reply, Stage, State, SuppressReason,
};
use jobbell::queue::{Enqueued, Filter, ListError, Page};

use super::bench::{Bench, sent};

fn id(text: &str) -> EventId {
    EventId::parse(text).unwrap()
}

fn names(page: &Page) -> Vec<String> {
    page.deliveries
        .iter()
        .map(|delivery| delivery.event_id.as_str().to_owned())
        .collect()
}

pub(crate) async fn an_event_is_found_with_its_deliveries_in_order(bench: &mut Bench) {
    let new = bench
        .event("e1")
        .title("绘影")
        .to("a@example.com")
        .planned(
            "b@example.com",
            Lane::Normal,
            Plan::Suppress(SuppressReason::NotAllowed),
        )
        .new;
    let (event, deliveries) = (new.event.clone(), new.deliveries.clone());
    bench.enqueue(new).await;
    let received_at = bench.now();
    bench.step(5);
    let record = bench.queue.find(&id("e1")).await.unwrap().unwrap();
    assert_eq!(
        (
            record.event.unwrap(),
            record.source.as_str(),
            record.received_at
        ),
        (event, "http", received_at)
    );
    let found: Vec<_> = record
        .deliveries
        .iter()
        .map(|delivery| (delivery.id, delivery.to.clone(), delivery.state))
        .collect();
    let planned = |index: usize, state| {
        (
            deliveries[index].id,
            deliveries[index].recipient.clone(),
            state,
        )
    };
    assert_eq!(
        found,
        [planned(0, State::Queued), planned(1, State::Suppressed)]
    );
}

pub(crate) async fn what_is_not_on_record_is_not_found(bench: &mut Bench) {
    bench.one("e1").await;
    assert_eq!(bench.queue.find(&id("e2")).await.unwrap(), None);
    assert_eq!(
        bench
            .queue
            .find_delivery(jobbell::domain::DeliveryId::new(bench.now()))
            .await
            .unwrap(),
        None
    );
}

pub(crate) async fn pages_come_newest_first_and_do_not_shift(bench: &mut Bench) {
    let empty = bench
        .queue
        .list(&Filter::default(), None, 10)
        .await
        .unwrap();
    assert_eq!(
        empty,
        Page {
            deliveries: Vec::new(),
            next_cursor: None
        }
    );
    for number in 0..7 {
        bench.one(&format!("e{number}")).await;
    }
    let mut page = bench.queue.list(&Filter::default(), None, 3).await.unwrap();
    assert_eq!(names(&page), ["e6", "e5", "e4"]);
    bench.one("late").await;
    let mut seen = Vec::new();
    while let Some(cursor) = page.next_cursor {
        page = bench
            .queue
            .list(&Filter::default(), Some(&cursor), 3)
            .await
            .unwrap();
        seen.push(names(&page));
    }
    assert_eq!(seen, [vec!["e3", "e2", "e1"], vec!["e0"]]);
    let whole = bench.queue.list(&Filter::default(), None, 8).await.unwrap();
    assert_eq!(
        (whole.deliveries.len(), whole.next_cursor),
        (8, None),
        "a page that is just full is the last one"
    );
    assert_eq!(
        bench
            .queue
            .list(&Filter::default(), None, 0)
            .await
            .unwrap()
            .deliveries
            .len(),
        1
    );
}

pub(crate) async fn a_list_is_narrowed_by_state_address_and_time(bench: &mut Bench) {
    for (number, to) in [
        "Ann@example.com",
        "bob@example.com",
        "ann@example.com",
        "bob@example.com",
    ]
    .iter()
    .enumerate()
    {
        bench
            .enqueue(bench.event(&format!("e{number}")).to(to).new)
            .await;
        if number == 1 {
            bench.step(60);
        }
    }
    for (lease, outcome) in bench.claim().await.into_iter().zip([
        Outcome::Sent,
        Outcome::Dead(DeadReason::Rejected),
        Outcome::Dead(DeadReason::Expired),
    ]) {
        bench.settle(lease, outcome).await;
    }
    let to = |address: &str| Some(Recipient::parse(address).unwrap());
    let cases = [
        (
            Filter {
                state: Some(State::Dead),
                ..Filter::default()
            },
            vec!["e2", "e1"],
        ),
        (
            Filter {
                state: Some(State::Sent),
                ..Filter::default()
            },
            vec!["e0"],
        ),
        (
            Filter {
                state: Some(State::Sending),
                ..Filter::default()
            },
            vec!["e3"],
        ),
        (
            Filter {
                state: Some(State::Cancelled),
                ..Filter::default()
            },
            vec![],
        ),
        (
            Filter {
                to: to("ann@example.com"),
                ..Filter::default()
            },
            vec!["e2", "e0"],
        ),
        (
            Filter {
                since: Some(bench.now()),
                ..Filter::default()
            },
            vec!["e3", "e2"],
        ),
        (
            Filter {
                state: Some(State::Dead),
                to: to("bob@example.com"),
                since: Some(bench.now()),
            },
            vec![],
        ),
        (
            Filter {
                state: Some(State::Dead),
                to: to("bob@example.com"),
                since: None,
            },
            vec!["e1"],
        ),
    ];
    for (filter, expected) in cases {
        let page = bench.queue.list(&filter, None, 10).await.unwrap();
        assert_eq!(names(&page), expected, "{filter:?}");
        let first = bench.queue.list(&filter, None, 1).await.unwrap();
        assert_eq!(
            first.next_cursor.is_some(),
            expected.len() > 1,
            "{filter:?}"
        );
    }
}

pub(crate) async fn a_strange_cursor_is_refused(bench: &mut Bench) {
    bench.one("e1").await;
    for cursor in [
        "",
        "1",
        "d",
        "dxyz",
        "d+1",
        "d01",
        "dffffffffffffffffff",
        "d1; drop table deliveries",
    ] {
        let answer = bench.queue.list(&Filter::default(), Some(cursor), 10).await;
        assert!(
            matches!(answer, Err(ListError::Cursor)),
            "{cursor}: {answer:?}"
        );
    }
}

pub(crate) async fn a_delivery_reads_as_the_contract_says(bench: &mut Bench) {
    let delivery = bench.one("e1").await;
    let failed = AttemptResult::Failed(Failure {
        kind: FailureKind::Misconfigured,
        stage: Stage::Auth,
        reply: Some(Reply {
            code: 535,
            enhanced: Some("5.7.8".to_owned()),
            text: "no\nentry".to_owned(),
        }),
        detail: "the login was refused".to_owned(),
        explanation: Some(Explanation {
            cause: "wrong password".to_owned(),
            advice: "make a new authorization code".to_owned(),
        }),
    });
    let silent = AttemptResult::Failed(Failure {
        kind: FailureKind::Uncertain,
        stage: Stage::Dot,
        reply: None,
        detail: "the link broke".to_owned(),
        explanation: None,
    });
    let lease = bench.claim_one().await;
    let attempts = vec![bench.attempt(&lease, failed), bench.attempt(&lease, silent)];
    bench
        .settle_with(
            lease,
            attempts,
            Outcome::RetryAt {
                at: bench.now(),
                counted: true,
                preferred_server: None,
            },
        )
        .await;
    let lease = bench.claim_one().await;
    let (attempts, message_id) = (
        vec![bench.attempt(&lease, sent())],
        lease.message_id.clone(),
    );
    bench.step(1);
    bench.settle_with(lease, attempts, Outcome::Sent).await;
    let at = "2026-01-01T00:00:00Z";
    let nothing = serde_json::Value::Null;
    let expected = serde_json::json!({
        "id": delivery, "event_id": "e1", "to": "user@example.com", "kind": "success", "lane": "normal", "state": "sent", "reason": nothing,
        "attempts": [
            {"number": 1, "server": "primary", "at": at, "took_ms": 12, "result": "misconfigured", "stage": "auth",
             "reply": {"code": 535, "enhanced": "5.7.8", "text": "no\nentry"}, "detail": "the login was refused",
             "cause": "wrong password", "advice": "make a new authorization code"},
            {"number": 1, "server": "primary", "at": at, "took_ms": 12, "result": "uncertain", "stage": "dot", "reply": nothing,
             "detail": "the link broke", "cause": nothing, "advice": nothing},
            {"number": 2, "server": "primary", "at": at, "took_ms": 12, "result": "sent", "stage": nothing,
             "reply": {"code": 250, "enhanced": "2.0.0", "text": "Ok: queued as 4711"}, "detail": nothing, "cause": nothing, "advice": nothing},
        ],
        "created_at": at, "next_attempt_at": nothing, "sent_at": "2026-01-01T00:00:01Z", "message_id": format!("<{message_id}>"),
    });
    assert_eq!(
        serde_json::to_value(bench.delivery(delivery).await).unwrap(),
        expected
    );
}

pub(crate) async fn a_purge_takes_what_ended_long_ago_and_nothing_else(bench: &mut Bench) {
    bench
        .enqueue(
            bench
                .event("both")
                .to("a@example.com")
                .to("b@example.com")
                .new,
        )
        .await;
    bench.one("waiting").await;
    let mut leases = bench.claim().await.into_iter();
    let (first, second, third) = (
        leases.next().unwrap(),
        leases.next().unwrap(),
        leases.next().unwrap(),
    );
    bench.settle(first, Outcome::Sent).await;
    bench.settle(third, Outcome::Released).await;
    bench.step(100);
    bench
        .settle(second, Outcome::Dead(DeadReason::Rejected))
        .await;
    let ended_first = bench.now().before(Duration::from_secs(100));

    assert_eq!(
        bench
            .queue
            .purge(ended_first, 100, bench.now())
            .await
            .unwrap(),
        0,
        "ended before, not at"
    );
    assert_eq!(
        bench
            .queue
            .purge(ended_first.after(Duration::from_secs(1)), 100, bench.now())
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        bench
            .queue
            .find(&id("both"))
            .await
            .unwrap()
            .unwrap()
            .deliveries
            .len(),
        1,
        "the event stays with its other delivery"
    );
    bench.assert_conserved().await;

    bench.step(1);
    assert_eq!(
        bench
            .queue
            .purge(bench.now(), 100, bench.now())
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        bench.queue.find(&id("both")).await.unwrap(),
        None,
        "and goes with the last"
    );
    assert_eq!(
        bench
            .queue
            .find(&id("waiting"))
            .await
            .unwrap()
            .unwrap()
            .deliveries
            .len(),
        1
    );
    let counts = bench.queue.counts().await.unwrap();
    assert_eq!((counts.accepted, counts.queued), (1, 1));
}

pub(crate) async fn a_purge_finds_what_ended_behind_much_that_waits(bench: &mut Bench) {
    let mut builder = bench.event("e1");
    for number in 0..10_050 {
        let plan = if number < 10_020 {
            Plan::Send(bench.now())
        } else {
            Plan::Suppress(SuppressReason::KindOff)
        };
        builder = builder.planned("a@example.com", Lane::Normal, plan);
    }
    bench.enqueue(builder.new).await;
    bench.step(1);
    assert_eq!(
        bench
            .queue
            .purge(bench.now(), 100, bench.now())
            .await
            .unwrap(),
        30
    );
    assert_eq!(bench.queue.counts().await.unwrap().accepted, 10_020);
}

pub(crate) async fn a_purge_keeps_to_its_limit(bench: &mut Bench) {
    for number in 0..10 {
        bench.one(&format!("e{number}")).await;
    }
    for lease in bench.claim().await {
        bench.settle(lease, Outcome::Sent).await;
    }
    bench.step(10);
    let mut gone = Vec::new();
    for _ in 0..4 {
        gone.push(
            bench
                .queue
                .purge(bench.now(), 4, bench.now())
                .await
                .unwrap(),
        );
        bench.assert_conserved().await;
    }
    assert_eq!(gone, [4, 4, 2, 0]);
}

pub(crate) async fn a_purged_id_may_come_again(bench: &mut Bench) {
    let first = bench.one("e1").await;
    let lease = bench.claim_one().await;
    bench.settle(lease, Outcome::Sent).await;
    bench.step(1);
    bench
        .queue
        .purge(bench.now(), 10, bench.now())
        .await
        .unwrap();
    assert_eq!(bench.queue.find_delivery(first).await.unwrap(), None);
    let again = bench.event("e1").title("another").to("a@example.com").new;
    assert_eq!(bench.enqueue(again).await, Enqueued::New);
    assert!(bench.claim_one().await.attempt == 1);
}
