//! Measures claims and settlements in PostgreSQL with many mails waiting.
//!
//! `cargo bench --profile dist --bench claims -- postgres://postgres@127.0.0.1:5432/bench 1000000 100000 50 1`
//!
//! The numbers: mails that wait, mails that are claimed and settled, mails of a claim, and nodes. The
//! database is filled by SQL until so many wait. Nothing else may use it: all that waits is test data.
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures for people"
)]
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints its results and stops on errors"
)]

use std::time::{Duration, Instant};

use jobbell::clock::Clock;
use jobbell::domain::{Attempt, AttemptResult, Outcome, Receipt, Reply};
use jobbell::queue::{
    ClaimLimit, LEASE, Lease, Location, PostgresSettings, Queue, Settings, Settled, Settlement,
};
use jobbell::secret::Secret;

/// Rows of one statement that fills the database.
const STEP: i64 = 100_000;

/// Mails due an hour ago and later, each of its own event.
const FILL: &str = "WITH base AS (SELECT jobbell.now_ms() - 3600000 AS now), \
     ids AS MATERIALIZED (SELECT i, now + i * 3600000 / $1 AS at, lpad(to_hex(now + i * 3600000 / $1), 12, '0') || '7' || substr(md5('e' || i || random()), 1, 3) || '8' AS head, \
         substr(md5('d' || i || random()), 1, 15) AS one, substr(md5('f' || i || random()), 1, 15) AS two FROM base, generate_series($2::bigint, $3::bigint) AS i), \
     new AS MATERIALIZED (SELECT i, at, (head || one)::uuid AS event, (head || two)::uuid AS id FROM ids), \
     e AS (INSERT INTO jobbell.events (event, at, id, source, received_at, payload, thumbnails, secret, deliveries) \
         SELECT event, at, 'evt-' || event, 'http', at, convert_to('{\"type\":\"job\",\"id\":\"evt-' || event || '\",\"status\":\"succeeded\",\"title\":\"' || repeat(md5(i::text), 20) || '\"}', 'UTF8'), \
             false, false, ARRAY[id] FROM new ORDER BY at), \
     d AS (INSERT INTO jobbell.deliveries (id, at, event, event_at, kind, lane, recipient, message_id, created_at, expires_at, state) \
         SELECT id, at, event, at, 'success', 1, 'user' || i || '@example.com', id || '@example.com', at, at + 172800000, 0 FROM new ORDER BY at), \
     c AS (INSERT INTO jobbell.counts AS c (node, writer, accepted, queued) SELECT 0, 0, count(*), count(*) FROM new \
         ON CONFLICT (node, writer) DO UPDATE SET accepted = c.accepted + excluded.accepted, queued = c.queued + excluded.queued) \
     INSERT INTO jobbell.due (delivery, at, lane, due_at, attempts, token) SELECT id, at, 1, at, 0, 0 FROM new ORDER BY at";

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let Some((url, numbers)) = arguments.split_first() else {
        println!("give a URL, see the head of benches/claims.rs");
        return;
    };
    let mut numbers = numbers
        .iter()
        .map(|text| text.parse::<usize>().expect("a number"));
    let mut number = |default| numbers.next().unwrap_or(default);
    let (waiting, mails, batch, nodes) =
        (number(1_000_000), number(100_000), number(50), number(1));
    // The first node creates the tables.
    let mut queues = Vec::new();
    for node in 0..nodes {
        queues.push(open(url, node).await);
    }
    fill(url, i64::try_from(waiting).expect("a number")).await;
    let start = Instant::now();
    let mut loops = tokio::task::JoinSet::new();
    for queue in queues {
        loops.spawn(work(queue, mails / nodes, batch));
    }
    let mut times: Vec<Duration> = loops.join_all().await.concat();
    times.sort();
    let rate = times.len() as f64 * batch as f64 / start.elapsed().as_secs_f64();
    let at = |part: f64| {
        let index = (times.len() as f64 * part) as usize;
        times
            .get(index)
            .map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    println!(
        "{waiting} waiting, {nodes} nodes, {batch} a claim: {rate:.0} mails/s claimed and settled; a pair takes {:.1} ms (p50), {:.1} ms (p99)",
        at(0.5),
        at(0.99)
    );
}

async fn open(url: &str, node: usize) -> Queue {
    let state_dir = std::env::temp_dir().join(format!("jobbell-bench-{node}"));
    std::fs::create_dir_all(&state_dir).expect("a directory");
    let settings = Settings {
        location: Location::Postgres(Box::new(PostgresSettings {
            url: Secret::new(url.to_owned()),
            password: None,
            password_file: None,
            tls_ca_file: None,
            listen_url: None,
            secret_key_file: None,
            node_name: Some(format!("bench-{node}")),
        })),
        state_dir,
        max_pending: 10_000_000,
        retention: Duration::from_hours(24),
        payload_retention: Duration::from_hours(24),
        recovery_delay: Duration::from_mins(1),
    };
    Queue::open(&settings, &Clock::adjusted())
        .await
        .expect("the queue opens")
}

async fn fill(url: &str, waiting: i64) {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .expect("the database");
    tokio::spawn(connection);
    let count = "SELECT count(*) FROM jobbell.due";
    let known: i64 = client.query_one(count, &[]).await.expect("a count").get(0);
    let mut first = known + 1;
    while first <= waiting {
        let last = (first + STEP - 1).min(waiting);
        client
            .execute(FILL, &[&waiting, &first, &last])
            .await
            .expect("filled");
        first = last + 1;
    }
    if known < waiting {
        let vacuum = "VACUUM (ANALYZE)";
        client.batch_execute(vacuum).await.expect("vacuumed");
        client.batch_execute("CHECKPOINT").await.expect("written");
    }
}

/// Claims and settles as the dispatcher does: the settlement of one batch and the claim of the next
/// are under way at once. Returns how long each pair took.
async fn work(queue: Queue, mails: usize, batch: usize) -> Vec<Duration> {
    let mut claimer = queue.claimer(queue.clock().clone());
    let limit = ClaimLimit {
        urgent: 0,
        normal: batch,
    };
    let mut times = Vec::new();
    let mut settlements = Vec::new();
    while times.len() <= mails / batch {
        let start = Instant::now();
        let settled = queue.settle(std::mem::take(&mut settlements), queue.clock().now());
        let is_last = times.len() == mails / batch;
        let limit = if is_last { ClaimLimit::NONE } else { limit };
        let (settled, set) = tokio::join!(settled, claimer.set(limit, LEASE));
        let settled = settled.expect("settled");
        assert!(settled.iter().all(|one| *one == Settled::Done));
        set.expect("set");
        if !is_last {
            let leases = claimer.next().await.expect("leases");
            assert_eq!(leases.len(), batch);
            settlements = leases.into_iter().map(sent).collect();
        }
        times.push(start.elapsed());
    }
    times.pop();
    times
}

fn sent(lease: Lease) -> Settlement {
    let reply = Reply {
        code: 250,
        enhanced: Some("2.0.0".to_owned()),
        text: "Ok: queued as 4F2K9Z7H1Cz3".to_owned(),
    };
    let attempt = Attempt {
        number: lease.attempt,
        server: "primary".into(),
        at: lease.created_at,
        took: Duration::from_millis(38),
        result: AttemptResult::Sent(Receipt { reply }),
    };
    Settlement {
        lease,
        attempts: vec![attempt],
        outcome: Outcome::Sent,
    }
}
