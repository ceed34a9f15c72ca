//! Copies of a SQLite store: complete as of a moment, taken while others work, put back in its
//! place.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jobbell::domain::State;
use jobbell::queue::Settings;
use jobbell::queue::sqlite::{self, BackupError};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use super::fixture::{ALL, LEASE, PAUSE, QueueFixture, settings};

/// A copy of a queue that is in use.
async fn copy(settings: Settings, to: std::path::PathBuf) -> Result<(), BackupError> {
    spawn_blocking(move || {
        sqlite::backup(&settings, &to).map(|check| assert!(check.is_sound(), "{check:?}"))
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backup_under_load_is_complete_and_blocks_no_writer() {
    let fixture = QueueFixture::on_disk();
    for number in 0..30 {
        let group = (0..100)
            .map(|part| {
                fixture
                    .event(&format!("before-{number}-{part}"))
                    .title(&"x".repeat(2000))
                    .to("a@example.com")
                    .new
            })
            .collect();
        fixture
            .queue
            .enqueue(group, None, fixture.now())
            .await
            .unwrap();
    }
    let written = Arc::new(AtomicUsize::new(0));
    let writer = tokio::spawn({
        let (queue, now, written) = (fixture.queue.clone(), fixture.now(), Arc::clone(&written));
        let events: Vec<_> = (0..20_000)
            .map(|number| {
                fixture
                    .event(&format!("during-{number}"))
                    .to("a@example.com")
                    .new
            })
            .collect();
        async move {
            for event in events {
                queue.enqueue(vec![event], None, now).await.unwrap();
                written.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let dir = TempDir::new().unwrap();
    let (mut before, mut after) = (0, 0);
    for number in 0..5 {
        let to = dir.path().join(format!("copy-{number}.db"));
        let first = written.load(Ordering::SeqCst);
        copy(fixture.settings(), to.clone()).await.unwrap();
        let last = written.load(Ordering::SeqCst);
        let check = sqlite::check(&fixture.settings(), Some(&to)).unwrap();
        let found = usize::try_from(check.events).unwrap() - 3000;
        // What was answered before it began is in it; one may be on disk whose answer is on its
        // way.
        assert!(
            (first..=last + 1).contains(&found),
            "{first} <= {found} <= {last}"
        );
        (before, after) = (before + first, after + last);
    }
    assert!(
        after > before,
        "events were taken while the copies were made"
    );
    writer.abort();
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        5,
        "no partial copy is left behind"
    );
}

#[tokio::test]
async fn backup_is_private_and_overwrites_nothing() {
    let fixture = QueueFixture::on_disk();
    fixture.one("e1").await;
    let dir = TempDir::new().unwrap();
    let to = dir.path().join("copy.db");
    copy(fixture.settings(), to.clone()).await.unwrap();
    assert_eq!(
        fs::metadata(&to).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let first = fs::read(&to).unwrap();
    fixture.one("e2").await;
    let refused = copy(fixture.settings(), to.clone()).await.unwrap_err();
    assert!(matches!(refused, BackupError::Exists { .. }), "{refused}");
    assert_eq!(fs::read(&to).unwrap(), first);
    let refused = copy(fixture.settings(), dir.path().join("nowhere/copy.db"))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, BackupError::NotWritable { .. }),
        "{refused}"
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn damaged_queue_is_not_backed_up() {
    let fixture = QueueFixture::on_disk();
    fixture.one("e1").await;
    fixture.queue.close().await;
    rusqlite::Connection::open(fixture.settings().location.file().unwrap())
        .unwrap()
        .execute("UPDATE counts SET queued = 7", [])
        .unwrap();
    let dir = TempDir::new().unwrap();
    let refused = copy(fixture.settings(), dir.path().join("copy.db"))
        .await
        .unwrap_err();
    assert!(matches!(refused, BackupError::Damaged { .. }), "{refused}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn restored_backup_replaces_a_lost_database() {
    let fixture = QueueFixture::on_disk();
    let (sent, waiting, held) = (
        fixture.one("sent").await,
        fixture.one("waiting").await,
        fixture.one("held").await,
    );
    let mut leases = fixture.claim().await;
    fixture
        .settle(leases.remove(0), jobbell::domain::Outcome::Sent)
        .await;
    fixture
        .settle(leases.remove(0), jobbell::domain::Outcome::Released)
        .await;
    let dir = TempDir::new().unwrap();
    let to = dir.path().join("copy.db");
    copy(fixture.settings(), to.clone()).await.unwrap();
    let lost = fixture.settings();
    fixture.queue.close().await;
    for name in ["jobbell.db", "jobbell.db-wal", "jobbell.db-shm"] {
        drop(fs::remove_file(lost.state_dir.join(name)));
    }
    assert!(sqlite::open(&lost, &fixture.clock).is_err());
    fs::copy(&to, lost.location.file().unwrap()).unwrap();
    let queue = sqlite::open(&lost, &fixture.clock).unwrap();
    for (id, state) in [
        (sent, State::Sent),
        (waiting, State::Queued),
        (held, State::Queued),
    ] {
        assert_eq!(queue.find_delivery(id).await.unwrap().unwrap().state, state);
    }
    assert_eq!(
        queue
            .claim(ALL, LEASE, fixture.now().after(PAUSE))
            .await
            .unwrap()
            .len(),
        2
    );
    assert!(queue.verify_counts().await.unwrap().agrees());
    // In another directory it is a queue as well.
    let elsewhere = settings(&dir, 10);
    fs::create_dir(&elsewhere.state_dir).unwrap();
    fs::copy(&to, elsewhere.location.file().unwrap()).unwrap();
    assert_eq!(
        sqlite::open(&elsewhere, &fixture.clock)
            .unwrap()
            .counts()
            .await
            .unwrap()
            .accepted,
        3
    );
}
