//! Obstacles to opening a SQLite queue: each is refused with a message and changes nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use jobbell::clock::Clock;
use jobbell::queue::sqlite::{self, OpenError};
use jobbell::queue::{Location, Queue, Settings};
use rusqlite::Connection;
use tempfile::TempDir;

use super::fixture::{QueueFixture, settings};

fn home() -> (TempDir, Settings) {
    let dir = TempDir::new().unwrap();
    let settings = settings(&dir, 1000);
    (dir, settings)
}

fn open(settings: &Settings) -> Result<Queue, OpenError> {
    sqlite::open(settings, &Clock::System)
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
fn missing_state_directory_is_created_private() {
    let (_dir, settings) = home();
    let queue = open(&settings).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&settings.state_dir), 0o700);
    assert_eq!(mode(settings.location.file().unwrap()), 0o600);
    drop(queue);
    open(&settings).unwrap();
}

#[test]
fn second_daemon_in_the_same_directory_is_refused() {
    let (_dir, settings) = home();
    let first = open(&settings).unwrap();
    let error = refusal(
        &settings,
        &["another jobbell", "jobbell.lock", "queue.state_dir"],
    );
    assert!(matches!(error, OpenError::Locked { .. }));
    assert!(matches!(
        sqlite::open_existing(&settings),
        Err(OpenError::Locked { .. })
    ));
    drop(first);
    open(&settings).unwrap();
}

#[test]
fn second_daemon_on_the_same_database_is_refused() {
    let (dir, settings) = home();
    let shared = Settings {
        location: Location::Sqlite(dir.path().join("shared.db")),
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
fn uncreatable_state_directory_is_reported() {
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
fn unwritable_state_directory_is_reported() {
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
fn directory_in_place_of_the_database_is_reported() {
    let (_dir, settings) = home();
    fs::create_dir_all(settings.location.file().unwrap()).unwrap();
    assert!(matches!(
        refusal(&settings, &["jobbell.db", "is a directory"]),
        OpenError::NotWritable { .. }
    ));
}

#[tokio::test]
async fn missing_database_with_a_marker_is_refused() {
    let (_dir, settings) = used().await;
    fs::remove_file(settings.location.file().unwrap()).unwrap();
    assert!(matches!(
        refusal(
            &settings,
            &["jobbell.db is missing", "jobbell.db-mark", "restore"]
        ),
        OpenError::Lost { .. }
    ));
    assert!(
        !settings.location.file().unwrap().exists(),
        "no fresh one in its place"
    );
    fs::remove_file(settings.state_dir.join("jobbell.db-mark")).unwrap();
    open(&settings).unwrap();
}

#[tokio::test]
async fn empty_database_with_a_marker_is_refused() {
    let (_dir, settings) = used().await;
    fs::write(settings.location.file().unwrap(), "").unwrap();
    assert!(matches!(
        refusal(&settings, &["jobbell.db is empty", "jobbell.db-mark"]),
        OpenError::Lost { .. }
    ));
    // One with pages but without our tables is just as empty.
    Connection::open(settings.location.file().unwrap())
        .unwrap()
        .execute_batch("PRAGMA journal_mode = WAL; VACUUM")
        .unwrap();
    assert!(
        fs::metadata(settings.location.file().unwrap())
            .unwrap()
            .len()
            > 0
    );
    assert!(matches!(
        refusal(&settings, &["jobbell.db is empty"]),
        OpenError::Lost { .. }
    ));
}

#[tokio::test]
async fn missing_database_with_a_wal_is_refused() {
    let (_dir, settings) = used().await;
    fs::remove_file(settings.location.file().unwrap()).unwrap();
    fs::remove_file(settings.state_dir.join("jobbell.db-mark")).unwrap();
    fs::write(settings.state_dir.join("jobbell.db-wal"), "frames").unwrap();
    assert!(matches!(
        refusal(&settings, &["jobbell.db is missing", "jobbell.db-wal"]),
        OpenError::Lost { .. }
    ));
}

#[tokio::test]
async fn newer_schema_is_refused() {
    let (_dir, settings) = used().await;
    Connection::open(settings.location.file().unwrap())
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    assert!(matches!(
        refusal(&settings, &["schema version 99", "install a newer jobbell"]),
        OpenError::Newer { found: 99, .. }
    ));
}

#[tokio::test]
async fn database_of_another_program_is_refused() {
    let (_dir, settings) = home();
    fs::create_dir(&settings.state_dir).unwrap();
    Connection::open(settings.location.file().unwrap())
        .unwrap()
        .execute_batch("CREATE TABLE theirs (x)")
        .unwrap();
    assert!(matches!(
        refusal(&settings, &["is not a jobbell queue", "queue.url"]),
        OpenError::Foreign { .. }
    ));
}

#[tokio::test]
async fn schema_with_another_checksum_is_refused() {
    let (_dir, settings) = used().await;
    Connection::open(settings.location.file().unwrap())
        .unwrap()
        .execute("UPDATE migrations SET checksum = x'00'", [])
        .unwrap();
    assert!(matches!(
        refusal(&settings, &["schema step 1"]),
        OpenError::Foreign { .. }
    ));
}

#[tokio::test]
async fn damaged_database_is_refused() {
    let (_dir, settings) = used().await;
    let good = fs::read(settings.location.file().unwrap()).unwrap();
    fs::write(settings.location.file().unwrap(), "this is a diary, not a database; it is long enough to be read as one and it does not begin as one begins").unwrap();
    assert!(matches!(
        refusal(&settings, &["damaged", "not a database", "backup"]),
        OpenError::Corrupt { .. }
    ));
    let mut torn = good;
    torn[100..2000].fill(0xff);
    fs::write(settings.location.file().unwrap(), torn).unwrap();
    assert!(matches!(
        refusal(&settings, &["damaged", "malformed"]),
        OpenError::Corrupt { .. }
    ));
}

#[test]
fn reading_commands_create_no_queue() {
    let (_dir, settings) = home();
    let error = sqlite::open_existing(&settings).unwrap_err();
    assert!(matches!(error, OpenError::NoQueue { .. }));
    assert!(!settings.state_dir.exists());
}

#[tokio::test]
async fn acknowledged_events_are_in_the_files_at_once() {
    let fixture = QueueFixture::on_disk();
    fixture.one("e1").await;
    fixture.claim_one().await;
    fixture.one("e2").await;
    // The files as a power cut would leave them: the process has closed nothing.
    let (_dir, copy) = home();
    fs::create_dir(&copy.state_dir).unwrap();
    let from = fixture.settings().state_dir;
    for name in ["jobbell.db", "jobbell.db-wal", "jobbell.db-mark"] {
        fs::copy(from.join(name), copy.state_dir.join(name)).unwrap();
    }
    let queue = sqlite::open(&copy, &fixture.clock).unwrap();
    assert!(queue.verify_counts().await.unwrap().agrees());
    let later = fixture.now().after(super::fixture::PAUSE);
    let leases = queue
        .claim(super::fixture::ALL, super::fixture::LEASE, later)
        .await
        .unwrap();
    let found: Vec<_> = leases
        .iter()
        .map(|lease| (lease.event_id.as_str(), lease.attempt))
        .collect();
    assert_eq!(found, [("e2", 1), ("e1", 2)]);
}

#[tokio::test]
async fn list_finds_rows_that_are_far_apart() {
    let mut fixture = QueueFixture::on_disk();
    for number in 0..6 {
        fixture.one(&format!("e{number}")).await;
    }
    let settings = fixture.settings();
    fixture.queue.close().await;
    Connection::open(settings.location.file().unwrap())
        .unwrap()
        .execute("UPDATE deliveries SET seq = 170000 * seq WHERE seq > 2", [])
        .unwrap();
    fixture.queue = sqlite::open(&settings, &fixture.clock).unwrap();
    let filter = jobbell::queue::Filter {
        state: Some(jobbell::domain::State::Queued),
        ..Default::default()
    };
    let (mut names, mut cursor) = (Vec::new(), None);
    loop {
        let page = fixture
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
