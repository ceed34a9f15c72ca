//! What can stand in the way of opening a SQLite queue: each refused with a sentence, nothing
//! changed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use jobbell::domain::Clock;
use jobbell::queue::{OpenError, Queue, Settings};
use rusqlite::Connection;
use tempfile::TempDir;

use super::bench::{Bench, settings};

fn home() -> (TempDir, Settings) {
    let dir = TempDir::new().unwrap();
    let settings = settings(&dir, 1000);
    (dir, settings)
}

fn open(settings: &Settings) -> Result<Queue, OpenError> {
    Queue::open(settings, &Clock::System)
}

/// A queue that was used and closed.
async fn used() -> (TempDir, Settings) {
    let (dir, settings) = home();
    open(&settings).unwrap().close().await;
    (dir, settings)
}

#[track_caller]
fn refusal(settings: &Settings, says: &[&str]) -> OpenError {
    let error = open(settings).unwrap_err();
    let text = error.to_string();
    for part in says {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    error
}

#[test]
fn a_missing_state_directory_is_made_for_us_alone() {
    let (_dir, settings) = home();
    let queue = open(&settings).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&settings.state_dir), 0o700);
    assert_eq!(mode(&settings.path), 0o600);
    drop(queue);
    open(&settings).unwrap();
}

#[test]
fn a_second_daemon_on_the_same_directory_is_kept_out() {
    let (_dir, settings) = home();
    let first = open(&settings).unwrap();
    let error = refusal(
        &settings,
        &["another jobbell", "jobbell.lock", "queue.state_dir"],
    );
    assert!(matches!(error, OpenError::Locked { .. }));
    assert!(matches!(
        Queue::open_reader(&settings),
        Err(OpenError::Locked { .. })
    ));
    drop(first);
    open(&settings).unwrap();
}

#[test]
fn a_second_daemon_on_the_same_database_is_kept_out() {
    let (dir, settings) = home();
    let shared = Settings {
        path: dir.path().join("shared.db"),
        ..settings.clone()
    };
    let _first = open(&shared).unwrap();
    let error = refusal(
        &Settings {
            state_dir: dir.path().join("other"),
            ..shared
        },
        &["another jobbell", "shared.db", "queue.url"],
    );
    assert!(matches!(error, OpenError::Locked { .. }));
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let (dir, settings) = home();
    let deep = Settings {
        state_dir: dir.path().join("a/b"),
        ..settings.clone()
    };
    assert!(matches!(
        refusal(&deep, &["a/b", "does not exist", "create"]),
        OpenError::MissingParent { .. }
    ));
    fs::write(&settings.state_dir, "a file").unwrap();
    assert!(matches!(
        refusal(&settings, &["is not a directory"]),
        OpenError::NotADirectory { .. }
    ));
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let (_dir, settings) = home();
    fs::create_dir(&settings.state_dir).unwrap();
    fs::set_permissions(&settings.state_dir, fs::Permissions::from_mode(0o500)).unwrap();
    // The superuser may write anyway; then a directory stands where the lock file should.
    if fs::write(settings.state_dir.join("try"), "").is_ok() {
        fs::create_dir(settings.state_dir.join("jobbell.lock")).unwrap();
    }
    assert!(matches!(
        refusal(&settings, &["cannot write", "writable for the user"]),
        OpenError::NotWritable { .. }
    ));
    fs::set_permissions(&settings.state_dir, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_directory_in_place_of_the_database_is_named() {
    let (_dir, settings) = home();
    fs::create_dir_all(&settings.path).unwrap();
    assert!(matches!(
        refusal(&settings, &["jobbell.db", "is a directory"]),
        OpenError::NotWritable { .. }
    ));
}

#[tokio::test]
async fn a_missing_database_beside_the_mark_of_a_queue_is_refused() {
    let (_dir, settings) = used().await;
    fs::remove_file(&settings.path).unwrap();
    assert!(matches!(
        refusal(
            &settings,
            &["jobbell.db is missing", "jobbell.db-mark", "restore"]
        ),
        OpenError::Lost { .. }
    ));
    assert!(!settings.path.exists(), "no fresh one in its place");
    fs::remove_file(settings.state_dir.join("jobbell.db-mark")).unwrap();
    open(&settings).unwrap();
}

#[tokio::test]
async fn an_empty_database_beside_the_mark_of_a_queue_is_refused() {
    let (_dir, settings) = used().await;
    fs::write(&settings.path, "").unwrap();
    assert!(matches!(
        refusal(&settings, &["jobbell.db is empty", "jobbell.db-mark"]),
        OpenError::Lost { .. }
    ));
    // One with pages but without our tables is just as empty.
    Connection::open(&settings.path)
        .unwrap()
        .execute_batch("PRAGMA journal_mode = WAL; VACUUM")
        .unwrap();
    assert!(fs::metadata(&settings.path).unwrap().len() > 0);
    assert!(matches!(
        refusal(&settings, &["jobbell.db is empty"]),
        OpenError::Lost { .. }
    ));
}

#[tokio::test]
async fn a_missing_database_beside_its_log_is_refused() {
    let (_dir, settings) = used().await;
    fs::remove_file(&settings.path).unwrap();
    fs::remove_file(settings.state_dir.join("jobbell.db-mark")).unwrap();
    fs::write(settings.state_dir.join("jobbell.db-wal"), "frames").unwrap();
    assert!(matches!(
        refusal(&settings, &["jobbell.db is missing", "jobbell.db-wal"]),
        OpenError::Lost { .. }
    ));
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let (_dir, settings) = used().await;
    Connection::open(&settings.path)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    assert!(matches!(
        refusal(&settings, &["schema version 99", "install a newer jobbell"]),
        OpenError::Newer { found: 99, .. }
    ));
}

#[tokio::test]
async fn another_programs_database_is_refused() {
    let (_dir, settings) = home();
    fs::create_dir(&settings.state_dir).unwrap();
    Connection::open(&settings.path)
        .unwrap()
        .execute_batch("CREATE TABLE theirs (x)")
        .unwrap();
    assert!(matches!(
        refusal(&settings, &["is not a jobbell queue", "queue.url"]),
        OpenError::Foreign { .. }
    ));
}

#[tokio::test]
async fn a_schema_that_was_made_by_other_sql_is_refused() {
    let (_dir, settings) = used().await;
    Connection::open(&settings.path)
        .unwrap()
        .execute("UPDATE migrations SET checksum = x'00'", [])
        .unwrap();
    assert!(matches!(
        refusal(&settings, &["schema step 1"]),
        OpenError::Foreign { .. }
    ));
}

#[tokio::test]
async fn a_damaged_database_is_refused() {
    let (_dir, settings) = used().await;
    let good = fs::read(&settings.path).unwrap();
    fs::write(&settings.path, "this is a diary, not a database; it is long enough to be read as one and it does not begin as one begins").unwrap();
    assert!(matches!(
        refusal(&settings, &["damaged", "not a database", "backup"]),
        OpenError::Corrupt { .. }
    ));
    let mut torn = good;
    torn[100..2000].fill(0xff);
    fs::write(&settings.path, torn).unwrap();
    assert!(matches!(
        refusal(&settings, &["damaged", "malformed"]),
        OpenError::Corrupt { .. }
    ));
}

#[test]
fn the_command_line_does_not_make_a_queue_by_looking_for_one() {
    let (_dir, settings) = home();
    let error = Queue::open_reader(&settings).unwrap_err();
    assert!(matches!(error, OpenError::NoQueue { .. }));
    assert!(!settings.state_dir.exists());
}

#[tokio::test]
async fn what_was_acknowledged_is_in_the_files_at_that_moment() {
    let bench = Bench::on_disk();
    bench.one("e1").await;
    bench.claim_one().await;
    bench.one("e2").await;
    // The files as a power cut would leave them: the process has closed nothing.
    let (_dir, copy) = home();
    fs::create_dir(&copy.state_dir).unwrap();
    let from = bench.settings().state_dir;
    for name in ["jobbell.db", "jobbell.db-wal", "jobbell.db-mark"] {
        fs::copy(from.join(name), copy.state_dir.join(name)).unwrap();
    }
    let queue = Queue::open(&copy, &bench.clock).unwrap();
    assert!(queue.verify_counts().await.unwrap().agrees());
    let later = bench.now().after(super::bench::PAUSE);
    let leases = queue
        .claim(super::bench::ALL, super::bench::LEASE, later)
        .await
        .unwrap();
    let found: Vec<_> = leases
        .iter()
        .map(|lease| (lease.event_id.as_str(), lease.attempt))
        .collect();
    assert_eq!(found, [("e2", 1), ("e1", 2)]);
}

#[tokio::test]
async fn a_list_reaches_rows_that_are_far_apart() {
    let mut bench = Bench::on_disk();
    for number in 0..6 {
        bench.one(&format!("e{number}")).await;
    }
    let settings = bench.settings();
    bench.queue.close().await;
    Connection::open(&settings.path)
        .unwrap()
        .execute("UPDATE deliveries SET seq = 170000 * seq WHERE seq > 2", [])
        .unwrap();
    bench.queue = Queue::open(&settings, &bench.clock).unwrap();
    let filter = jobbell::queue::Filter {
        state: Some(jobbell::domain::State::Queued),
        ..Default::default()
    };
    let (mut names, mut cursor) = (Vec::new(), None);
    loop {
        let page = bench
            .queue
            .list(&filter, cursor.as_deref(), 2)
            .await
            .unwrap();
        names.extend(
            page.deliveries
                .iter()
                .map(|delivery| delivery.event_id.as_str().to_owned()),
        );
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(names, ["e5", "e4", "e3", "e2", "e1", "e0"]);
}
