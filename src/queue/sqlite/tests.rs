//! Failures that only internal tests can inject: failing disks, requests at fault, query plans.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::connect::Database;
use super::files::Files;
use super::request::{Answer, Pending, Request};
use super::shared::Shared;
use super::store::INBOX;
use super::writer::Writer;
use super::{key, migrate, recover, row};
use crate::clock::Clock;
use crate::domain::{
    Delivery, DeliveryId, Event, EventId, JobEvent, JobStatus, Lane, MailKind, Outcome, Plan,
    Recipient, Source, State, Timestamp,
};
use crate::queue::prepared::PreparedRequest;
use crate::queue::{
    Backend, ClaimLimit, EnqueueError, Enqueued, Health, NewEvent, Queue, Settings, Settlement,
    StoreError,
};

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const ALL: ClaimLimit = ClaimLimit {
    urgent: 0,
    normal: 100,
};
const LEASE: Duration = Duration::from_mins(1);

fn event(id: &str, title: &str) -> NewEvent {
    let mut job = JobEvent::new(EventId::parse(id).unwrap(), JobStatus::Succeeded);
    job.title = Some(title.to_owned());
    let delivery = Delivery {
        id: DeliveryId::new(NOW),
        event: job.id.clone(),
        recipient: Recipient::parse("user@example.com").unwrap(),
        kind: MailKind::Success,
        lane: Lane::Normal,
        plan: Plan::Send(NOW),
        expires_at: NOW,
        created_at: NOW,
        message_id: "id@example.com".to_owned(),
    };
    NewEvent {
        event: Event::Job(Box::new(job)),
        id_given: true,
        source: Source::HTTP,
        deliveries: vec![delivery],
        thumbnails_until: None,
        excludes: Vec::new(),
    }
}

fn on_disk() -> (TempDir, PathBuf, Queue) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("jobbell.db");
    let settings = Settings {
        location: crate::queue::Location::Sqlite(path.clone()),
        state_dir: dir.path().to_owned(),
        max_pending: 1000,
        retention: LEASE,
        payload_retention: LEASE,
        recovery_delay: LEASE,
    };
    let queue = crate::queue::sqlite::open(&settings, &Clock::System).unwrap();
    (dir, path, queue)
}

async fn take(queue: &Queue, id: &str, title: &str) -> Result<(), EnqueueError> {
    queue
        .enqueue(vec![event(id, title)], None, NOW)
        .await
        .map(drop)
}

/// Runs `inject` on the writer's connection before the next request.
async fn inject(
    queue: &Queue,
    inject: impl FnMut(&Connection) -> rusqlite::Result<()> + Send + 'static,
) {
    let Backend::Sqlite(store) = &*queue.0 else {
        panic!("another backend")
    };
    store
        .inbox
        .send(Request::Inject(Box::new(inject)))
        .await
        .ok()
        .unwrap();
}

fn pragma(name: &'static str, value: i64) -> impl FnMut(&Connection) -> rusqlite::Result<()> {
    move |conn| conn.pragma_update(None, name, value).or(Ok(()))
}

#[tokio::test]
async fn full_disk_fails_the_batch_and_the_next_write_recovers() {
    let (_dir, _path, queue) = on_disk();
    take(&queue, "e1", "t").await.unwrap();
    inject(&queue, pragma("max_page_count", 1)).await;
    let refused = take(&queue, "e2", &"x".repeat(100_000)).await.unwrap_err();
    assert!(
        matches!(&refused, EnqueueError::Store(StoreError::Failed { .. })),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("full"), "{refused}");
    assert_eq!(
        queue.counts().await.unwrap().accepted,
        1,
        "nothing of it was taken"
    );
    assert!(matches!(queue.health(), Health::Failing(reason) if reason.contains("full")));
    // The call of `health` has made the store write again.
    queue.claim(ALL, LEASE, NOW).await.unwrap();
    assert_eq!(queue.health(), Health::Ready);
    inject(&queue, pragma("max_page_count", 1_000_000)).await;
    take(&queue, "e2", &"x".repeat(100_000)).await.unwrap();
    assert!(queue.verify_counts().await.unwrap().agrees());
}

#[tokio::test]
async fn doubtful_connection_is_reopened_and_settlements_return() {
    let (_dir, _path, queue) = on_disk();
    take(&queue, "e1", "t").await.unwrap();
    let lease = queue.claim(ALL, LEASE, NOW).await.unwrap().pop().unwrap();
    inject(&queue, pragma("query_only", 1)).await;
    let refused = queue
        .settle(
            vec![Settlement {
                lease,
                attempts: Vec::new(),
                outcome: Outcome::Sent,
            }],
            NOW,
        )
        .await
        .unwrap_err();
    assert!(matches!(refused.error, StoreError::Failed { .. }));
    assert!(matches!(queue.health(), Health::Failing(_)));
    assert_eq!(queue.counts().await.unwrap().sending, 1);
    queue.settle(refused.settlements, NOW).await.unwrap();
    assert_eq!(queue.health(), Health::Ready);
    let check = queue.verify_counts().await.unwrap();
    assert!(check.agrees() && check.kept.sent == 1, "{check:?}");
}

#[tokio::test]
async fn removed_database_is_awaited_and_not_recreated() {
    let (dir, path, queue) = on_disk();
    take(&queue, "e1", "t").await.unwrap();
    let away = dir.path().join("away");
    std::fs::rename(&path, &away).unwrap();
    inject(&queue, pragma("query_only", 1)).await;
    take(&queue, "e2", "t").await.unwrap_err();
    let refused = take(&queue, "e2", "t").await.unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("was removed while the store was open"),
        "{refused}"
    );
    assert!(!path.exists());
    std::fs::rename(&away, &path).unwrap();
    take(&queue, "e2", "t").await.unwrap();
    assert_eq!(
        (queue.health(), queue.counts().await.unwrap().accepted),
        (Health::Ready, 2)
    );
    assert!(queue.verify_counts().await.unwrap().agrees());
}

fn files(database: &Database) -> Files {
    Files {
        database: database.clone(),
        watch: Arc::default(),
        vault: Arc::new(key::ephemeral().unwrap()),
    }
}

type Taken = oneshot::Receiver<Answer<PreparedRequest, Result<Vec<Enqueued>, EnqueueError>>>;

fn ask(id: &str, delivery: Option<DeliveryId>) -> (Request, Taken) {
    let mut new = event(id, "t");
    if let Some(delivery) = delivery {
        new.deliveries[0].id = delivery;
    }
    let (ask, answer) = Pending::new(
        PreparedRequest::new(vec![new], None, &key::ephemeral().unwrap()).unwrap(),
        NOW,
    );
    (Request::Enqueue(ask), answer)
}

#[tokio::test]
async fn request_at_fault_fails_no_other_request() {
    let database = Database::Memory("file:/at-fault?vfs=memdb".to_owned());
    let mut conn = database.writer().unwrap();
    migrate::migrate(&mut conn, database.name(), &key::ephemeral().unwrap()).unwrap();
    let shared = Arc::new(Shared::default());
    let mut writer = Writer::new(
        files(&database),
        conn,
        1,
        1000,
        Arc::clone(&shared),
        Vec::new(),
    )
    .unwrap();
    let taken = DeliveryId::new(NOW);
    let ((first, good), (second, bad), (third, also_good)) = (
        ask("e1", Some(taken)),
        ask("e2", Some(taken)),
        ask("e3", None),
    );
    writer.serve([first, second, third].into_iter());
    assert!(matches!(good.await.unwrap(), Ok(Ok(_))));
    assert!(
        matches!(bad.await.unwrap(), Err((group, StoreError::Failed { .. })) if group.entries.len() == 1)
    );
    assert!(matches!(also_good.await.unwrap(), Ok(Ok(_))));
    let status = shared.status().clone();
    assert_eq!(
        (status.counts.accepted, status.failing),
        (2, None),
        "the disk is not to blame"
    );
    assert_eq!(
        row::counts(&database.reader().unwrap()).unwrap(),
        status.counts
    );
}

#[tokio::test]
async fn empty_claim_does_not_count_as_a_working_disk() {
    let database = Database::Memory("file:/silent?vfs=memdb".to_owned());
    let mut conn = database.writer().unwrap();
    migrate::migrate(&mut conn, database.name(), &key::ephemeral().unwrap()).unwrap();
    let mut writer = Writer::new(
        files(&database),
        conn,
        1,
        1000,
        Arc::new(Shared::default()),
        Vec::new(),
    )
    .unwrap();
    let (taking, taken) = ask("e1", None);
    let inject = Request::Inject(Box::new(pragma("query_only", 1)));
    writer.serve([inject, taking].into_iter());
    assert!(taken.await.unwrap().is_err());
    let (claiming, claimed) = Pending::new((ALL, LEASE), NOW);
    writer.serve([Request::Claim(claiming)].into_iter());
    assert!(claimed.await.unwrap().is_err());
}

#[tokio::test]
async fn unreadable_row_does_not_block_its_lane() {
    let queue = Queue::in_memory(1000, &Clock::System).unwrap();
    take(&queue, "e1", "t").await.unwrap();
    take(&queue, "e2", "t").await.unwrap();
    inject(&queue, |conn| {
        conn.execute("UPDATE deliveries SET kind = 'telegram' WHERE seq = 1", [])
            .map(drop)
    })
    .await;
    let leases = queue.claim(ALL, LEASE, NOW).await.unwrap();
    assert_eq!(
        leases
            .iter()
            .map(|lease| lease.event_id.as_str())
            .collect::<Vec<_>>(),
        ["e2"]
    );
    let counts = queue.counts().await.unwrap();
    assert_eq!((counts.of(State::Dead), counts.of(State::Sending)), (1, 1));
}

#[tokio::test]
async fn pending_claim_survives_a_failed_batch_and_gets_nothing_of_it() {
    let (_dir, _path, queue) = on_disk();
    let mut claimer = queue.claimer(Clock::manual(NOW));
    claimer.set(ALL, LEASE).await.unwrap();
    queue.ping().await;
    inject(&queue, pragma("query_only", 1)).await;
    take(&queue, "e1", "t").await.unwrap_err();
    take(&queue, "e2", "t").await.unwrap();
    let leases = claimer.next().await.unwrap();
    assert_eq!(
        leases
            .iter()
            .map(|lease| lease.event_id.as_str())
            .collect::<Vec<_>>(),
        ["e2"]
    );
    assert!(queue.verify_counts().await.unwrap().agrees());
}

#[tokio::test]
async fn pending_claim_that_fails_is_answered_and_fails_no_other_request() {
    let queue = Queue::in_memory(1000, &Clock::System).unwrap();
    take(&queue, "e1", "t").await.unwrap();
    let lease = queue.claim(ALL, LEASE, NOW).await.unwrap().pop().unwrap();
    queue
        .settle(
            vec![Settlement {
                lease,
                attempts: Vec::new(),
                outcome: Outcome::Sent,
            }],
            NOW,
        )
        .await
        .unwrap();
    let odd = |conn: &Connection| {
        conn.execute(
            "UPDATE deliveries SET state = -1, due_at = 0 WHERE seq = 1",
            [],
        )
        .map(drop)
    };
    for fresh in [false, true] {
        if fresh {
            inject(&queue, odd).await;
        }
        let mut claimer = queue.claimer(Clock::manual(NOW));
        claimer.set(ALL, LEASE).await.unwrap();
        if !fresh {
            queue.ping().await;
            inject(&queue, odd).await;
        }
        take(&queue, &format!("fresh-{fresh}"), "t").await.unwrap();
        assert!(
            matches!(claimer.next().await, Err(StoreError::Failed { .. })),
            "{fresh}"
        );
        assert_eq!(queue.health(), Health::Ready, "the disk is not to blame");
        inject(&queue, |conn| {
            conn.execute("UPDATE deliveries SET state = 2 WHERE seq = 1", [])
                .map(drop)
        })
        .await;
    }
    assert_eq!(queue.claim(ALL, LEASE, NOW).await.unwrap().len(), 2);
}

#[tokio::test]
async fn claimer_of_a_closed_store_returns_closed() {
    let (_dir, _path, queue) = on_disk();
    let mut claimer = queue.claimer(Clock::manual(NOW));
    claimer.set(ALL, LEASE).await.unwrap();
    queue.close().await;
    assert!(matches!(claimer.next().await, Err(StoreError::Closed)));
}

#[tokio::test]
async fn producers_are_refused_when_the_inbox_is_full() {
    let queue = Queue::in_memory(1000, &Clock::System).unwrap();
    let (go, held): (Sender<()>, Receiver<()>) = channel();
    inject(&queue, move |_| {
        // Ends when the other side is dropped.
        held.recv().or(Ok(()))
    })
    .await;
    // The writer may have taken the first of them with it before it was held.
    let Backend::Sqlite(store) = &*queue.0 else {
        panic!("another backend")
    };
    for _ in 0..=2 * INBOX {
        if store.inbox.try_send(Request::Probe).is_err() {
            tokio::task::yield_now().await;
        }
    }
    let refused = take(&queue, "e1", "t").await;
    assert!(matches!(refused, Err(EnqueueError::Busy)), "{refused:?}");
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.claim(ALL, LEASE, NOW).await }
    });
    drop(go);
    assert!(
        waiting.await.unwrap().unwrap().is_empty(),
        "our own verbs wait"
    );
    take(&queue, "e1", "t").await.unwrap();
}

#[tokio::test]
async fn writer_connection_has_the_documented_settings() {
    let (_dir, _path, queue) = on_disk();
    let (tell, told) = channel();
    inject(&queue, move |conn| {
        for name in [
            "journal_mode",
            "synchronous",
            "foreign_keys",
            "busy_timeout",
            "journal_size_limit",
            "temp_store",
        ] {
            let value: rusqlite::types::Value =
                conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))?;
            tell.send((name, value)).unwrap();
        }
        Ok(())
    })
    .await;
    queue.claim(ALL, LEASE, NOW).await.unwrap();
    let found: Vec<_> = told.try_iter().collect();
    let expected = [
        ("synchronous", 2),
        ("foreign_keys", 1),
        ("busy_timeout", 5000),
        ("journal_size_limit", 67_108_864),
        ("temp_store", 2),
    ];
    assert_eq!(found[0], ("journal_mode", "wal".to_owned().into()));
    assert_eq!(
        found[1..],
        expected.map(|(name, value)| (name, value.into()))
    );
}

#[test]
fn claim_statement_uses_its_index_and_does_not_sort() {
    let database = Database::Memory("file:/plan?vfs=memdb".to_owned());
    let mut conn = database.writer().unwrap();
    migrate::migrate(&mut conn, database.name(), &key::ephemeral().unwrap()).unwrap();
    let sql = format!("EXPLAIN QUERY PLAN {}", super::claim::DUE);
    let mut statement = conn.prepare(&sql).unwrap();
    let plan: Vec<String> = statement
        .query_map((1, 2, 3), |row| row.get(3))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(plan.len(), 1, "{plan:?}");
    assert!(
        plan[0].contains("USING") && plan[0].contains("deliveries_due (lane=? AND due_at<?)"),
        "{plan:?}"
    );
}

#[test]
fn recovery_statement_scans_both_lanes_and_does_not_sort() {
    let database = Database::Memory("file:/held-plan?vfs=memdb".to_owned());
    let mut conn = database.writer().unwrap();
    migrate::migrate(&mut conn, database.name(), &key::ephemeral().unwrap()).unwrap();
    let mut statement = conn
        .prepare(&format!("EXPLAIN QUERY PLAN {}", recover::LATEST))
        .unwrap();
    let plan: Vec<String> = statement
        .query_map((1, 2), |row| row.get(3))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(plan[0], "MERGE (UNION ALL)", "{plan:?}");
    assert_eq!(
        plan.iter()
            .filter(|step| step.contains("deliveries_due (lane=? AND due_at>? AND due_at<?)"))
            .count(),
        2,
        "{plan:?}"
    );
    assert!(
        !plan.iter().any(|step| step.contains("TEMP B-TREE")),
        "{plan:?}"
    );
}

#[tokio::test]
async fn recovery_reads_few_rows_that_wait_for_their_retry() {
    let (_dir, path, queue) = on_disk();
    let mut waiting = event("waiting", "t");
    let mut later = waiting.deliveries.pop().unwrap();
    later.plan = Plan::Send(NOW.after(Duration::from_hours(1)));
    for _ in 0..400 {
        later.id = DeliveryId::new(NOW);
        waiting.deliveries.push(later.clone());
    }
    queue.enqueue(vec![waiting], None, NOW).await.unwrap();
    take(&queue, "held", "t").await.unwrap();
    let lease = queue.claim(ALL, LEASE, NOW).await.unwrap().pop().unwrap();
    let mut conn = Connection::open(path).unwrap();
    for (as_of, is_short) in [(NOW, true), (NOW.after(Duration::from_hours(1)), false)] {
        let steps = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&steps);
        let count = move || counted.fetch_add(1, Ordering::Relaxed) == u32::MAX;
        conn.progress_handler(1, Some(count)).unwrap();
        let held = recover::held(&conn, 0, 1, as_of).unwrap();
        assert_eq!((held.len(), held[0].seq), (1, lease.row_seq));
        let steps = steps.load(Ordering::Relaxed);
        assert_eq!(steps < 1_000, is_short, "{steps}");
    }
}
