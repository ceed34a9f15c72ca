//! Weekly partitions in PostgreSQL: made ahead of time, dropped when everything in them has expired.

use std::time::{Duration, Instant};

use jobbell::domain::{DeadReason, EventId, Lane, Outcome, Plan, State, SuppressReason};
use jobbell::queue::{Enqueued, Filter, OperatorError};

use super::fixture::{QueueFixture, again};

const TABLES: [&str; 4] = ["events", "deliveries", "attempts", "pictures"];
const DAY: u64 = 86_400;
/// How long an ended delivery stays on record.
const RETENTION: Duration = Duration::from_secs(DAY);

fn id(text: &str) -> EventId {
    EventId::parse(text).unwrap()
}

/// The partitions of a table, without the default one.
async fn partitions(fixture: &QueueFixture, table: &str) -> Vec<String> {
    let sql = format!(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'jobbell.{table}'::regclass \
         AND inhrelid <> 'jobbell.{table}_default'::regclass ORDER BY 1"
    );
    fixture.database().sql(&sql).await
}

async fn number(fixture: &QueueFixture, sql: &str) -> i64 {
    let answer = fixture.database().sql(sql).await;
    answer[0].parse().unwrap()
}

/// The rows in all tables that know a delivery or an event.
async fn rows(fixture: &QueueFixture) -> i64 {
    let counts = [
        "events",
        "deliveries",
        "attempts",
        "pictures",
        "event_ids",
        "keys",
        "job_ends",
        "unsent",
        "due",
        "held",
        "thumbnail_jobs",
    ]
    .map(|table| format!("(SELECT count(*) FROM jobbell.{table})"));
    number(fixture, &format!("SELECT {}", counts.join(" + "))).await
}

async fn purge(fixture: &QueueFixture) -> u64 {
    let done = fixture.maintain(RETENTION, Duration::MAX, Duration::ZERO, 500);
    done.await.purged
}

/// Enqueues an event under a key and ends its delivery.
async fn ended(fixture: &QueueFixture, event: &str, outcome: Outcome) {
    let new = fixture.event(event).to("a@example.com").new;
    let key = Some(format!("key-{event}"));
    fixture
        .queue
        .enqueue(vec![new], key, fixture.now())
        .await
        .unwrap();
    let lease = fixture.claim_one().await;
    fixture.settle(lease, outcome).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn this_week_and_the_next_ones_have_partitions() {
    let Some(fixture) = QueueFixture::postgres_now().await else {
        return;
    };
    let week = fixture
        .database()
        .sql("SELECT to_char(now() AT TIME ZONE 'UTC', 'IYYY\"w\"IW')")
        .await;
    for table in TABLES {
        let names = partitions(&fixture, table).await;
        assert_eq!(names.len(), 3, "{names:?}");
        assert_eq!(names[0], format!("jobbell.{table}_{}", week[0]));
    }
    ended(&fixture, "e1", Outcome::Sent).await;
    for table in ["events", "deliveries", "attempts"] {
        let sql = format!("SELECT count(*) FROM jobbell.{table}_{}", week[0]);
        assert_eq!(number(&fixture, &sql).await, 1, "{table}");
    }
    let options = "SELECT reloptions::text FROM pg_class WHERE relname LIKE 'deliveries_2%' AND relkind = 'r'";
    assert_eq!(
        fixture.database().sql(options).await,
        ["{fillfactor=85}"; 3]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_week_without_partitions_move_when_it_gets_them() {
    let Some(fixture) = QueueFixture::postgres_now().await else {
        return;
    };
    for table in TABLES {
        for name in partitions(&fixture, table).await {
            fixture.database().sql(&format!("DROP TABLE {name}")).await;
        }
    }
    fixture.database().sql("DELETE FROM jobbell.weeks").await;
    ended(&fixture, "e1", Outcome::Dead(DeadReason::Rejected)).await;
    fixture.one("e2").await;
    let in_default = "SELECT count(*) FROM jobbell.deliveries_default";
    assert_eq!(number(&fixture, in_default).await, 2);
    assert_eq!(purge(&fixture).await, 0);
    assert_eq!(number(&fixture, in_default).await, 0);
    assert_eq!(partitions(&fixture, "deliveries").await.len(), 3);
    let record = fixture.queue.find(&id("e1")).await.unwrap().unwrap();
    assert_eq!(record.deliveries[0].attempts.len(), 1);
    assert_eq!(fixture.claim_one().await.event_id, id("e2"));
    fixture.assert_conserved().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_week_is_dropped_with_everything_of_it() {
    let Some(fixture) = QueueFixture::postgres_now().await else {
        return;
    };
    ended(&fixture, "sent", Outcome::Sent).await;
    ended(&fixture, "dead", Outcome::Dead(DeadReason::Rejected)).await;
    let mut new = fixture.event("ended").to("a@example.com").new;
    new.excludes = vec![id("other")];
    fixture.enqueue(new).await;
    let lease = fixture.claim_one().await;
    fixture.settle(lease, Outcome::Sent).await;
    let plan = Plan::Suppress(SuppressReason::KindOff);
    let suppressed = fixture
        .event("off")
        .planned("a@example.com", Lane::Normal, plan);
    fixture.enqueue(suppressed.new).await;
    fixture.step(DAY);
    assert_eq!(purge(&fixture).await, 0, "the week is not over");
    fixture.step(8 * DAY);
    assert_eq!(purge(&fixture).await, 4);
    assert_eq!(rows(&fixture).await, 0);
    for table in TABLES {
        assert_eq!(partitions(&fixture, table).await.len(), 2, "{table}");
    }
    fixture.assert_conserved().await;
    assert_eq!(fixture.queue.counts().await.unwrap().accepted, 0);
    // Ids and keys can be used again.
    let again = fixture.event("sent").title("another").to("a@example.com");
    let key = Some("key-dead".to_owned());
    let answer = fixture.queue.enqueue(vec![again.new], key, fixture.now());
    assert_eq!(answer.await.unwrap(), [Enqueued::New]);
    assert_eq!(purge(&fixture).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_that_must_stay_outlive_their_week() {
    let Some(fixture) = QueueFixture::postgres_now().await else {
        return;
    };
    ended(&fixture, "sent", Outcome::Sent).await;
    let both = fixture
        .event("both")
        .to("a@example.com")
        .to("b@example.com");
    fixture.enqueue(both.new).await;
    for (lease, outcome) in fixture
        .claim()
        .await
        .into_iter()
        .zip([Outcome::Sent, again(&fixture, 20 * DAY)])
    {
        fixture.settle(lease, outcome).await;
    }
    fixture.one("late").await;
    let lease = fixture.claim_one().await;
    fixture.settle(lease, again(&fixture, 9 * DAY)).await;
    fixture.step(9 * DAY);
    let lease = fixture.claim_one().await;
    fixture
        .settle(lease, Outcome::Dead(DeadReason::Expired))
        .await;
    assert_eq!(purge(&fixture).await, 2);
    assert_eq!(partitions(&fixture, "deliveries").await.len(), 2);
    fixture.assert_conserved().await;

    assert_eq!(fixture.queue.find(&id("sent")).await.unwrap(), None);
    let both = fixture.queue.find(&id("both")).await.unwrap().unwrap();
    assert!(both.event.is_some());
    let states: Vec<_> = both.deliveries.iter().map(|one| one.state).collect();
    assert_eq!(states, [State::Queued]);
    assert_eq!(both.deliveries[0].attempts.len(), 1);
    let late = fixture.queue.find(&id("late")).await.unwrap().unwrap();
    assert_eq!(late.deliveries[0].attempts.len(), 2);
    let dead = Filter {
        state: Some(State::Dead),
        ..Filter::default()
    };
    let page = fixture.queue.list(&dead, None, 10).await.unwrap();
    assert_eq!(page.deliveries, late.deliveries);
    let retried = fixture
        .queue
        .retry(late.deliveries[0].id, fixture.now(), fixture.now())
        .await;
    assert_eq!(retried.unwrap().state, State::Queued);

    // They are purged by row, one as soon as it may be, and their event with them.
    let lease = fixture.claim_one().await;
    fixture.settle(lease, Outcome::Sent).await;
    fixture.step(DAY);
    assert_eq!(purge(&fixture).await, 0, "ended before, not at");
    fixture.step(1);
    assert_eq!(purge(&fixture).await, 1);
    fixture.step(11 * DAY);
    let lease = fixture.claim_one().await;
    assert_eq!(lease.event().unwrap().id(), &id("both"));
    fixture.settle(lease, Outcome::Sent).await;
    fixture.step(DAY + 1);
    assert_eq!(purge(&fixture).await, 1);
    assert_eq!(rows(&fixture).await, 0);
    fixture.assert_conserved().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn week_that_is_being_read_is_dropped_later() {
    let Some(fixture) = QueueFixture::postgres_now().await else {
        return;
    };
    ended(&fixture, "e1", Outcome::Sent).await;
    fixture.step(9 * DAY);
    let (reader, link) = tokio_postgres::connect(&fixture.database().url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    let link = tokio::spawn(link);
    reader
        .batch_execute("BEGIN; SELECT count(*) FROM jobbell.deliveries")
        .await
        .unwrap();
    let start = Instant::now();
    let others = async {
        let mut longest = Duration::ZERO;
        for number in 0..40 {
            let start = Instant::now();
            fixture.one(&format!("meanwhile-{number}")).await;
            longest = longest.max(start.elapsed());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        longest
    };
    let (purged, longest) = tokio::join!(purge(&fixture), others);
    assert_eq!(purged, 0);
    assert!(start.elapsed() < Duration::from_secs(6));
    assert!(
        longest < Duration::from_secs(2),
        "an event waited for {longest:?}"
    );
    fixture.assert_conserved().await;
    assert!(fixture.queue.find(&id("e1")).await.unwrap().is_some());
    reader.batch_execute("COMMIT").await.unwrap();
    link.abort();

    // This node tries again after some minutes; another one at once.
    let (_dir, other) = fixture.other_node().await;
    let retention = jobbell::queue::Retention {
        deliveries: RETENTION,
        payloads: Duration::MAX,
        rescan: Duration::ZERO,
    };
    let done = other
        .maintain(&retention, 500, fixture.now())
        .await
        .unwrap();
    assert_eq!(done.purged, 1);
    assert_eq!(fixture.queue.find(&id("e1")).await.unwrap(), None);
    fixture.assert_conserved().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_delivery_of_an_ending_week_does_not_change() {
    let Some(fixture) = QueueFixture::postgres_now().await else {
        return;
    };
    ended(&fixture, "e1", Outcome::Dead(DeadReason::Rejected)).await;
    let record = fixture.queue.find(&id("e1")).await.unwrap().unwrap();
    let delivery = record.deliveries[0].id;
    let mark = "UPDATE jobbell.weeks SET ending = 77";
    fixture.database().sql(mark).await;
    let refused = fixture
        .queue
        .retry(delivery, fixture.now(), fixture.now())
        .await;
    assert!(
        matches!(refused, Err(OperatorError::NotFound)),
        "{refused:?}"
    );
    assert_eq!(fixture.state(delivery).await, State::Dead);
    // The node that marked it has died, and the week is not over: it is opened again.
    assert_eq!(purge(&fixture).await, 0);
    fixture
        .queue
        .retry(delivery, fixture.now(), fixture.now())
        .await
        .unwrap();
    fixture.assert_conserved().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drop_of_a_week_continues_after_a_crash() {
    let Some(fixture) = QueueFixture::postgres_now().await else {
        return;
    };
    ended(&fixture, "e1", Outcome::Sent).await;
    fixture.one("e2").await;
    let lease = fixture.claim_one().await;
    fixture.settle(lease, again(&fixture, 20 * DAY)).await;
    fixture.step(9 * DAY);
    // As a node leaves it that dies after the first table.
    let name = partitions(&fixture, "deliveries").await.swap_remove(0);
    let detach = format!(
        "UPDATE jobbell.weeks SET ending = 77 WHERE 'jobbell.deliveries_' || week = '{name}'; \
         ALTER TABLE jobbell.deliveries DETACH PARTITION {name}; \
         INSERT INTO jobbell.deliveries SELECT * FROM {name} WHERE state = 0; \
         INSERT INTO jobbell.counts (node, writer, accepted, sent) VALUES (0, -1, -1, -1)"
    );
    fixture.database().sql(&detach).await;
    fixture.assert_conserved().await;
    assert_eq!(purge(&fixture).await, 0);
    for table in TABLES {
        assert_eq!(partitions(&fixture, table).await.len(), 2, "{table}");
    }
    assert_eq!(fixture.queue.find(&id("e1")).await.unwrap(), None);
    let kept = fixture.queue.find(&id("e2")).await.unwrap().unwrap();
    assert_eq!(kept.deliveries[0].attempts.len(), 1);
    fixture.assert_conserved().await;
    let detached = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname = 'jobbell' AND relkind = 'r' \
         AND relname ~ '_2[0-9]{3}w' AND NOT relispartition";
    assert_eq!(number(&fixture, detached).await, 0);
}
