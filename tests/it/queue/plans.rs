//! The plans of the statements on a mail's path in PostgreSQL: none reads a table as a whole, however
//! many rows there are and whatever the planner knows of them.

use jobbell::domain::{Outcome, State};
use jobbell::queue::{ClaimLimit, Filter};

use super::fixture::{LEASE, QueueFixture};

/// Rows of each table. `tests/soak.sh` takes a million.
fn rows() -> u64 {
    let set = std::env::var("JOBBELL_TEST_PLAN_ROWS").ok();
    set.map_or(30_000, |rows| rows.parse().unwrap())
}

/// Deliveries that wait until tomorrow, and as many of last hour that were sent.
const FILL: &str = "WITH t AS (SELECT jobbell.now_ms() AS now), \
     r AS MATERIALIZED (SELECT n, now, n % 2 = 0 AS waits, (lpad(to_hex(now), 12, '0') || '7' || substr(h, 1, 3) || '8' || substr(h, 4, 15))::uuid AS id \
        FROM t, generate_series(1, ROWS) n, md5(n::text) h), \
     e AS (INSERT INTO jobbell.events (event, at, id, source, received_at, payload, thumbnails, secret, deliveries) \
        SELECT id, now, 'filled-' || n, 'http', now, '{}', false, false, ARRAY[id] FROM r), \
     i AS (INSERT INTO jobbell.event_ids (id, content, intake, event, at) SELECT 'filled-' || n, '\\x00', id, id, now FROM r), \
     k AS (INSERT INTO jobbell.keys (key, content, ids, intake, at) SELECT 'filled-' || n, '\\x00', '[]', id, now FROM r), \
     j AS (INSERT INTO jobbell.job_ends (job, id, intake, at) SELECT decode(md5(n::text), 'hex'), 'filled-' || n, id, now FROM r), \
     d AS (INSERT INTO jobbell.deliveries (id, at, event, event_at, kind, lane, recipient, message_id, created_at, expires_at, state, ended_at) \
        SELECT id, now, id, now, 'success', 1, 'a@example.org', 'm', now, now, CASE WHEN waits THEN 0 ELSE 2 END, CASE WHEN waits THEN NULL ELSE now END FROM r), \
     a AS (INSERT INTO jobbell.attempts (at, delivery, token, place, number, server, started_at, took_ms, result) \
        SELECT now, id, 1, 1, 1, 'primary', now, 1, 'sent' FROM r WHERE NOT waits), \
     q AS (INSERT INTO jobbell.due (delivery, at, lane, due_at, attempts, token) SELECT id, now, 1, now + 86400000, 0, 0 FROM r WHERE waits), \
     c AS (INSERT INTO jobbell.counts (node, writer, accepted, queued, sent) SELECT 0, 9, count(*), count(*) FILTER (WHERE waits), \
        count(*) FILTER (WHERE NOT waits) FROM r) \
     SELECT 1";

/// Rows read by sequential scans, and rows fetched by indexes.
const READ: &str = "SELECT coalesce(sum(seq_tup_read), 0)::text FROM pg_stat_user_tables WHERE schemaname = 'jobbell' AND \
     relname ~ '^(events|deliveries|attempts|event_ids|keys|job_ends|unsent|due|held)'";
const FETCHED: &str = "SELECT coalesce(sum(idx_tup_fetch), 0)::text FROM pg_stat_user_tables WHERE schemaname = 'jobbell'";

async fn number(fixture: &QueueFixture, statement: &str) -> u64 {
    fixture.database().sql(statement).await[0].parse().unwrap()
}

/// All verbs of a mail's path and of an operator, for 20 mails. Every connection ends with it, so that
/// the server knows what it has read.
async fn use_all_verbs(fixture: &mut QueueFixture, name: &str) {
    fixture.queue = fixture.other_node().await.1;
    let (queue, now) = (fixture.queue.clone(), fixture.now());
    let group = |range: std::ops::Range<usize>| {
        let event = |number| {
            fixture
                .event(&format!("{name}-{number}"))
                .to("a@example.org")
                .new
        };
        range.map(event).collect::<Vec<_>>()
    };
    queue
        .enqueue(group(0..10), Some(format!("{name}-key")), now)
        .await
        .unwrap();
    queue.enqueue(group(5..20), None, now).await.unwrap();
    let limit = ClaimLimit {
        urgent: 10,
        normal: 20,
    };
    let leases = queue.claim(limit, LEASE, now).await.unwrap();
    assert_eq!(leases.len(), 20);
    let ids: Vec<_> = leases.iter().map(|lease| lease.id).collect();
    for (number, lease) in leases.into_iter().enumerate() {
        let outcome = match number % 3 {
            0 => Outcome::Sent,
            1 => Outcome::Released,
            _ => Outcome::Dead(jobbell::domain::DeadReason::Attempts),
        };
        fixture.settle(lease, outcome).await;
    }
    queue.cancel(ids[1], now).await.unwrap();
    queue.retry(ids[1], now.after(LEASE), now).await.unwrap();
    assert_eq!(
        queue.find_delivery(ids[0]).await.unwrap().unwrap().state,
        State::Sent
    );
    let filter = Filter {
        state: Some(State::Dead),
        ..Filter::default()
    };
    assert!(
        !queue
            .list(&filter, None, 50)
            .await
            .unwrap()
            .deliveries
            .is_empty()
    );
    queue.counts().await.unwrap();
    queue.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_verb_reads_a_table_as_a_whole() {
    let Some(mut fixture) = QueueFixture::postgres_now().await else {
        return;
    };
    // Planned while there is nothing, so that a plan for few rows would be kept.
    use_all_verbs(&mut fixture, "empty").await;
    let fill = FILL.replace("ROWS", &rows().to_string());
    fixture.database().sql(&fill).await;
    for (name, analyze) in [("unknown", ""), ("analyzed", "ANALYZE")] {
        if !analyze.is_empty() {
            fixture.database().sql(analyze).await;
        }
        let (read, fetched) = (
            number(&fixture, READ).await,
            number(&fixture, FETCHED).await,
        );
        use_all_verbs(&mut fixture, name).await;
        let read = number(&fixture, READ).await - read;
        let fetched = number(&fixture, FETCHED).await - fetched;
        // Tables of a few rows are read as they are.
        assert!(read < 1_000, "{name}: {read} rows read by sequential scans");
        assert!(
            fetched < 20_000,
            "{name}: {fetched} rows fetched by indexes for 20 mails"
        );
    }
}
