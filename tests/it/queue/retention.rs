//! Retention: payloads are removed first, records later, and the database stays as large as the
//! retained data.

use std::fs;
use std::time::Duration;

use jobbell::domain::{DeadReason, EventId, Outcome, State};
use jobbell::queue::{Enqueued, OperatorError};

use super::fixture::{QueueFixture, again};

fn id(text: &str) -> EventId {
    EventId::parse(text).unwrap()
}

async fn has_payload(fixture: &QueueFixture, event: &str) -> bool {
    fixture
        .queue
        .find(&id(event))
        .await
        .unwrap()
        .unwrap()
        .event
        .is_some()
}

pub(crate) async fn payload_is_removed_after_its_last_delivery_and_records_stay(
    fixture: &mut QueueFixture,
) {
    fixture
        .enqueue(
            fixture
                .event("both")
                .title("a secret prompt")
                .to("a@example.com")
                .to("b@example.com")
                .new,
        )
        .await;
    let leases = fixture.claim().await;
    let ids: Vec<_> = leases.iter().map(|lease| lease.id).collect();
    for lease in leases {
        fixture.settle(lease, Outcome::Sent).await;
        fixture.step(30);
    }
    fixture.step(60);
    let facts = (
        fixture.delivery(ids[0]).await,
        fixture.delivery(ids[1]).await,
    );
    assert_eq!(
        fixture.redact(90, 10).await.redacted,
        0,
        "one of them ended just 90 s ago"
    );
    fixture.step(1);
    assert_eq!(fixture.redact(90, 10).await.redacted, 1);
    let record = fixture.queue.find(&id("both")).await.unwrap().unwrap();
    assert_eq!(
        (record.event, &record.deliveries),
        (None, &vec![facts.0, facts.1])
    );
    assert_eq!(fixture.redact(90, 10).await.redacted, 0, "once is enough");
}

pub(crate) async fn payload_of_a_pending_event_is_removed_by_a_later_search(
    fixture: &mut QueueFixture,
) {
    fixture.one("waits").await;
    let lease = fixture.claim_one().await;
    fixture.settle(lease, again(fixture, 3600)).await;
    fixture.one("ended").await;
    let lease = fixture.claim_one().await;
    fixture
        .settle(lease, Outcome::Dead(DeadReason::Rejected))
        .await;
    fixture.step(100);
    fixture.one("young").await;
    let lease = fixture.claim_one().await;
    fixture.settle(lease, Outcome::Sent).await;
    let found = fixture.redact(50, 10).await;
    assert_eq!((found.redacted, found.more), (1, false));
    assert!(
        has_payload(fixture, "waits").await
            && !has_payload(fixture, "ended").await
            && has_payload(fixture, "young").await
    );
    fixture.step(3600);
    let lease = fixture.claim_one().await;
    fixture.settle(lease, Outcome::Sent).await;
    fixture.step(60);
    assert_eq!(fixture.redact(50, 10).await.redacted, 2);
    assert!(!has_payload(fixture, "waits").await && !has_payload(fixture, "young").await);
}

pub(crate) async fn payloads_are_removed_in_batches(fixture: &mut QueueFixture) {
    for number in 0..7 {
        fixture.one(&format!("e{number}")).await;
    }
    for lease in fixture.claim().await {
        fixture.settle(lease, Outcome::Sent).await;
    }
    fixture.step(10);
    for expected in [(3, true), (3, true), (1, false), (0, false)] {
        let found = fixture
            .maintain(
                Duration::MAX,
                Duration::from_secs(5),
                Duration::from_hours(1),
                3,
            )
            .await;
        assert_eq!((found.redacted, found.more), expected);
    }
}

pub(crate) async fn redacted_delivery_cannot_be_retried_but_repetitions_are_known(
    fixture: &mut QueueFixture,
) {
    let new = fixture.event("e1").title("t").to("a@example.com").new;
    let delivery = new.deliveries[0].id;
    fixture.enqueue(new.clone()).await;
    let lease = fixture.claim_one().await;
    fixture
        .settle(lease, Outcome::Dead(DeadReason::Rejected))
        .await;
    fixture.step(10);
    assert_eq!(fixture.redact(5, 3).await.redacted, 1);
    let refused = fixture
        .queue
        .retry(delivery, fixture.now(), fixture.now())
        .await;
    assert!(
        matches!(refused, Err(OperatorError::PayloadRemoved)),
        "{refused:?}"
    );
    assert_eq!(fixture.state(delivery).await, State::Dead);
    assert_eq!(
        fixture.enqueue(new).await,
        Enqueued::Duplicate { id: id("e1") }
    );
    let other = fixture
        .queue
        .enqueue(
            vec![fixture.event("e1").title("u").to("a@example.com").new],
            None,
            fixture.now(),
        )
        .await;
    assert!(matches!(
        other,
        Err(jobbell::queue::EnqueueError::Conflict { .. })
    ));
}

/// An hour of mails, and the housekeeping of an hour.
async fn hour(fixture: &QueueFixture, number: u64) {
    let event = |mail: u64| {
        fixture
            .event(&format!("h{number}-{mail}"))
            .title(&"a prompt ".repeat(100))
            .to("a@example.com")
            .new
    };
    fixture
        .queue
        .enqueue((0..40).map(event).collect(), None, fixture.now())
        .await
        .unwrap();
    for lease in fixture.claim().await {
        fixture.settle(lease, Outcome::Sent).await;
    }
    fixture.step(3600);
    let (day, quarter) = (Duration::from_hours(24), Duration::from_hours(6));
    while (fixture
        .maintain(day, quarter, Duration::from_hours(1), 100)
        .await)
        .more
    {}
}

pub(crate) async fn database_stays_as_large_as_its_retention(fixture: &mut QueueFixture) {
    let files = fixture.settings();
    let size = |name: &str| fs::metadata(files.state_dir.join(name)).map_or(0, |file| file.len());
    let (mut after_two_days, mut longest_log) = (0, 0);
    for number in 0..7 * 24 {
        hour(fixture, number).await;
        longest_log = longest_log.max(size("jobbell.db-wal"));
        if number == 47 {
            after_two_days = size("jobbell.db");
        }
    }
    let (accepted, after_a_week) = (
        fixture.queue.counts().await.unwrap().accepted,
        size("jobbell.db"),
    );
    assert_eq!(accepted, 24 * 40, "a day is kept");
    assert!(
        after_two_days > 500_000 && after_a_week <= after_two_days * 5 / 4,
        "{after_two_days} bytes after two days, {after_a_week} after a week"
    );
    assert!(
        longest_log < 20 << 20,
        "the log was as long as {longest_log} bytes"
    );
    println!(
        "conservation: {accepted} kept of {}; {after_two_days} bytes after two days, {after_a_week} after a week, log at most {longest_log}",
        7 * 24 * 40
    );
}
