//! Records: finding, listing and purging them.

use jobbell::domain::{
    AttemptResult, DeadReason, EventId, Explanation, Failure, FailureKind, Lane, Outcome, Plan,
    Recipient, Reply, Stage, State, SuppressReason,
};
use jobbell::queue::{Enqueued, Filter, ListError, Page};

use super::fixture::{QueueFixture, sent};

fn id(text: &str) -> EventId {
    EventId::parse(text).unwrap()
}

fn names(page: &Page) -> Vec<String> {
    page.deliveries
        .iter()
        .map(|delivery| delivery.event_id.as_str().to_owned())
        .collect()
}

pub(crate) async fn event_is_found_with_its_deliveries_in_order(fixture: &mut QueueFixture) {
    let new = fixture
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
    fixture.enqueue(new).await;
    let received_at = fixture.now();
    fixture.step(5);
    let record = fixture.queue.find(&id("e1")).await.unwrap().unwrap();
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

pub(crate) async fn unknown_records_are_not_found(fixture: &mut QueueFixture) {
    fixture.one("e1").await;
    assert_eq!(fixture.queue.find(&id("e2")).await.unwrap(), None);
    assert_eq!(
        fixture
            .queue
            .find_delivery(jobbell::domain::DeliveryId::new(fixture.now()))
            .await
            .unwrap(),
        None
    );
}

pub(crate) async fn pages_are_newest_first_and_do_not_shift(fixture: &mut QueueFixture) {
    let empty = fixture
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
        fixture.one(&format!("e{number}")).await;
    }
    let mut page = fixture
        .queue
        .list(&Filter::default(), None, 3)
        .await
        .unwrap();
    assert_eq!(names(&page), ["e6", "e5", "e4"]);
    fixture.one("late").await;
    let mut seen = Vec::new();
    while let Some(cursor) = page.next_cursor {
        page = fixture
            .queue
            .list(&Filter::default(), Some(&cursor), 3)
            .await
            .unwrap();
        seen.push(names(&page));
    }
    assert_eq!(seen, [vec!["e3", "e2", "e1"], vec!["e0"]]);
    let whole = fixture
        .queue
        .list(&Filter::default(), None, 8)
        .await
        .unwrap();
    assert_eq!(
        (whole.deliveries.len(), whole.next_cursor),
        (8, None),
        "a page that is just full is the last one"
    );
    assert_eq!(
        fixture
            .queue
            .list(&Filter::default(), None, 0)
            .await
            .unwrap()
            .deliveries
            .len(),
        1
    );
}

pub(crate) async fn list_filters_by_state_address_and_time(fixture: &mut QueueFixture) {
    for (number, to) in [
        "Ann@example.com",
        "bob@example.com",
        "ann@example.com",
        "bob@example.com",
    ]
    .iter()
    .enumerate()
    {
        fixture
            .enqueue(fixture.event(&format!("e{number}")).to(to).new)
            .await;
        if number == 1 {
            fixture.step(60);
        }
    }
    for (lease, outcome) in fixture.claim().await.into_iter().zip([
        Outcome::Sent,
        Outcome::Dead(DeadReason::Rejected),
        Outcome::Dead(DeadReason::Expired),
    ]) {
        fixture.settle(lease, outcome).await;
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
                since: Some(fixture.now()),
                ..Filter::default()
            },
            vec!["e3", "e2"],
        ),
        (
            Filter {
                state: Some(State::Dead),
                to: to("bob@example.com"),
                since: Some(fixture.now()),
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
        let page = fixture.queue.list(&filter, None, 10).await.unwrap();
        assert_eq!(names(&page), expected, "{filter:?}");
        let first = fixture.queue.list(&filter, None, 1).await.unwrap();
        assert_eq!(
            first.next_cursor.is_some(),
            expected.len() > 1,
            "{filter:?}"
        );
    }
}

pub(crate) async fn unknown_cursor_is_refused(fixture: &mut QueueFixture) {
    fixture.one("e1").await;
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
        let answer = fixture
            .queue
            .list(&Filter::default(), Some(cursor), 10)
            .await;
        assert!(
            matches!(answer, Err(ListError::Cursor)),
            "{cursor}: {answer:?}"
        );
    }
}

pub(crate) async fn delivery_serialises_as_the_contract_says(fixture: &mut QueueFixture) {
    let delivery = fixture.one("e1").await;
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
    let lease = fixture.claim_one().await;
    let attempts = vec![
        fixture.attempt(&lease, failed),
        fixture.attempt(&lease, silent),
    ];
    fixture
        .settle_with(
            lease,
            attempts,
            Outcome::RetryAt {
                at: fixture.now(),
                counted: true,
                preferred_server: None,
            },
        )
        .await;
    let lease = fixture.claim_one().await;
    let (attempts, message_id) = (
        vec![fixture.attempt(&lease, sent())],
        lease.message_id.clone(),
    );
    fixture.step(1);
    fixture.settle_with(lease, attempts, Outcome::Sent).await;
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
        serde_json::to_value(fixture.delivery(delivery).await).unwrap(),
        expected
    );
}

pub(crate) async fn purge_removes_only_what_ended_long_ago(fixture: &mut QueueFixture) {
    fixture
        .enqueue(
            fixture
                .event("both")
                .to("a@example.com")
                .to("b@example.com")
                .new,
        )
        .await;
    fixture.one("waiting").await;
    let mut leases = fixture.claim().await.into_iter();
    let (first, second, third) = (
        leases.next().unwrap(),
        leases.next().unwrap(),
        leases.next().unwrap(),
    );
    fixture.settle(first, Outcome::Sent).await;
    fixture.settle(third, Outcome::Released).await;
    fixture.step(100);
    fixture
        .settle(second, Outcome::Dead(DeadReason::Rejected))
        .await;
    assert_eq!(fixture.purge(100, 100).await, 0, "ended before, not at");
    assert_eq!(fixture.purge(99, 100).await, 1);
    assert_eq!(
        fixture
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
    fixture.assert_conserved().await;

    fixture.step(1);
    assert_eq!(fixture.purge(0, 100).await, 1);
    assert_eq!(
        fixture.queue.find(&id("both")).await.unwrap(),
        None,
        "and goes with the last"
    );
    assert_eq!(
        fixture
            .queue
            .find(&id("waiting"))
            .await
            .unwrap()
            .unwrap()
            .deliveries
            .len(),
        1
    );
    let counts = fixture.queue.counts().await.unwrap();
    assert_eq!((counts.accepted, counts.queued), (1, 1));
}

pub(crate) async fn purge_finds_ended_rows_behind_many_pending_ones(fixture: &mut QueueFixture) {
    let mut builder = fixture.event("e1");
    for number in 0..10_050 {
        let plan = if number < 10_020 {
            Plan::Send(fixture.now())
        } else {
            Plan::Suppress(SuppressReason::KindOff)
        };
        builder = builder.planned("a@example.com", Lane::Normal, plan);
    }
    fixture.enqueue(builder.new).await;
    fixture.step(1);
    assert_eq!(fixture.purge(0, 100).await, 30);
    assert_eq!(fixture.queue.counts().await.unwrap().accepted, 10_020);
}

pub(crate) async fn purge_respects_its_limit(fixture: &mut QueueFixture) {
    for number in 0..10 {
        fixture.one(&format!("e{number}")).await;
    }
    for lease in fixture.claim().await {
        fixture.settle(lease, Outcome::Sent).await;
    }
    fixture.step(10);
    let mut gone = Vec::new();
    for _ in 0..4 {
        gone.push(fixture.purge(0, 4).await);
        fixture.assert_conserved().await;
    }
    assert_eq!(gone, [4, 4, 2, 0]);
}

pub(crate) async fn purged_id_can_be_used_again(fixture: &mut QueueFixture) {
    let first = fixture.one("e1").await;
    let lease = fixture.claim_one().await;
    fixture.settle(lease, Outcome::Sent).await;
    fixture.step(1);
    fixture.purge(0, 10).await;
    assert_eq!(fixture.queue.find_delivery(first).await.unwrap(), None);
    let again = fixture.event("e1").title("another").to("a@example.com").new;
    assert_eq!(fixture.enqueue(again).await, Enqueued::New);
    assert!(fixture.claim_one().await.attempt == 1);
}
