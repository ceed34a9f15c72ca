//! What has ended goes: payloads first, where that is wanted, the record later; and the store stays
//! as large as what is kept.

use std::fs;
use std::time::Duration;

use jobbell::domain::{DeadReason, EventId, Outcome, State};
use jobbell::queue::{Enqueued, OperatorError, RedactBatch};

use super::bench::{Bench, again};

fn id(text: &str) -> EventId {
    EventId::parse(text).unwrap()
}

async fn forget(bench: &Bench, age_s: u64, after: i64, limit: u32) -> RedactBatch {
    bench
        .queue
        .redact_payloads(
            bench.now().before(Duration::from_secs(age_s)),
            after,
            limit,
            bench.now(),
        )
        .await
        .unwrap()
}

async fn has_payload(bench: &Bench, event: &str) -> bool {
    bench
        .queue
        .find(&id(event))
        .await
        .unwrap()
        .unwrap()
        .event
        .is_some()
}

pub(crate) async fn a_payload_goes_when_all_its_deliveries_ended_long_enough_ago_and_the_facts_stay(
    bench: &mut Bench,
) {
    bench
        .enqueue(
            bench
                .event("both")
                .title("a secret prompt")
                .to("a@example.com")
                .to("b@example.com")
                .new,
        )
        .await;
    let leases = bench.claim().await;
    let ids: Vec<_> = leases.iter().map(|lease| lease.id).collect();
    for lease in leases {
        bench.settle(lease, Outcome::Sent).await;
        bench.step(30);
    }
    bench.step(60);
    let facts = (bench.delivery(ids[0]).await, bench.delivery(ids[1]).await);
    assert_eq!(
        forget(bench, 90, 0, 10).await.events,
        0,
        "one of them ended just 90 s ago"
    );
    bench.step(1);
    assert_eq!(forget(bench, 90, 0, 10).await.events, 1);
    let record = bench.queue.find(&id("both")).await.unwrap().unwrap();
    assert_eq!(
        (record.event, &record.deliveries),
        (None, &vec![facts.0, facts.1])
    );
    assert_eq!(forget(bench, 90, 0, 10).await.events, 0, "once is enough");
}

pub(crate) async fn a_payload_that_was_passed_while_a_delivery_waited_is_found_by_a_new_search(
    bench: &mut Bench,
) {
    bench.one("waits").await;
    let lease = bench.claim_one().await;
    bench.settle(lease, again(bench, 3600)).await;
    bench.one("ended").await;
    let lease = bench.claim_one().await;
    bench
        .settle(lease, Outcome::Dead(DeadReason::Rejected))
        .await;
    bench.step(100);
    bench.one("young").await;
    let lease = bench.claim_one().await;
    bench.settle(lease, Outcome::Sent).await;
    let found = forget(bench, 50, 0, 10).await;
    assert_eq!((found.events, found.more), (1, false));
    assert!(
        has_payload(bench, "waits").await
            && !has_payload(bench, "ended").await
            && has_payload(bench, "young").await
    );
    bench.step(3600);
    let lease = bench.claim_one().await;
    bench.settle(lease, Outcome::Sent).await;
    bench.step(60);
    assert_eq!(forget(bench, 50, 0, 10).await.events, 2);
    assert!(!has_payload(bench, "waits").await && !has_payload(bench, "young").await);
}

pub(crate) async fn payloads_go_in_batches(bench: &mut Bench) {
    for number in 0..7 {
        bench.one(&format!("e{number}")).await;
    }
    for lease in bench.claim().await {
        bench.settle(lease, Outcome::Sent).await;
    }
    bench.step(10);
    let mut after = 0;
    for expected in [(3, true), (3, true), (1, false), (0, false)] {
        let found = forget(bench, 5, after, 3).await;
        assert_eq!((found.events, found.more), expected);
        after = found.after;
    }
}

pub(crate) async fn without_its_payload_a_delivery_cannot_be_retried_but_a_repetition_is_known(
    bench: &mut Bench,
) {
    let new = bench.event("e1").title("t").to("a@example.com").new;
    let delivery = new.deliveries[0].id;
    bench.enqueue(new.clone()).await;
    let lease = bench.claim_one().await;
    bench
        .settle(lease, Outcome::Dead(DeadReason::Rejected))
        .await;
    bench.step(10);
    assert_eq!(forget(bench, 5, 0, 3).await.events, 1);
    let refused = bench.queue.retry(delivery, bench.now(), bench.now()).await;
    assert!(
        matches!(refused, Err(OperatorError::PayloadRemoved)),
        "{refused:?}"
    );
    assert_eq!(bench.state(delivery).await, State::Dead);
    assert_eq!(
        bench.enqueue(new).await,
        Enqueued::Duplicate { id: id("e1") }
    );
    let other = bench
        .queue
        .enqueue(
            vec![bench.event("e1").title("u").to("a@example.com").new],
            None,
            bench.now(),
        )
        .await;
    assert!(matches!(
        other,
        Err(jobbell::queue::EnqueueError::Conflict { .. })
    ));
}

/// An hour of mails, and the housekeeping of an hour.
async fn hour(bench: &Bench, number: u64) {
    let event = |mail: u64| {
        bench
            .event(&format!("h{number}-{mail}"))
            .title(&"a prompt ".repeat(100))
            .to("a@example.com")
            .new
    };
    bench
        .queue
        .enqueue((0..40).map(event).collect(), None, bench.now())
        .await
        .unwrap();
    for lease in bench.claim().await {
        bench.settle(lease, Outcome::Sent).await;
    }
    bench.step(3600);
    let (mut purged, mut forgotten) = (
        100,
        RedactBatch {
            more: true,
            ..RedactBatch::default()
        },
    );
    while purged > 0 || forgotten.more {
        purged = bench
            .queue
            .purge(
                bench.now().before(Duration::from_hours(24)),
                100,
                bench.now(),
            )
            .await
            .unwrap();
        forgotten = forget(bench, 6 * 3600, forgotten.after, 100).await;
    }
}

pub(crate) async fn a_week_of_traffic_leaves_the_store_as_large_as_its_retention(
    bench: &mut Bench,
) {
    let files = bench.settings();
    let size = |name: &str| fs::metadata(files.state_dir.join(name)).map_or(0, |file| file.len());
    let (mut after_two_days, mut longest_log) = (0, 0);
    for number in 0..7 * 24 {
        hour(bench, number).await;
        longest_log = longest_log.max(size("jobbell.db-wal"));
        if number == 47 {
            after_two_days = size("jobbell.db");
        }
    }
    let (accepted, after_a_week) = (
        bench.queue.counts().await.unwrap().accepted,
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
