//! Damaged SQLite files: distinguished from the traces of a power cut, refused with the remedy, and
//! never replaced by an empty database.

use std::fs;
use std::path::{Path, PathBuf};

use jobbell::clock::Clock;
use jobbell::domain::Outcome;
use jobbell::queue::sqlite::{self, OpenError};
use jobbell::queue::{Queue, Settings};
use tempfile::TempDir;

use super::fixture::{QueueFixture, settings};

/// How many commits the log of [`killed`] holds, each one event.
const COMMITS: u64 = 40;
const PAGE: usize = 4096;

/// The files of a queue whose process was killed, with or without its index, in a directory of
/// their own.
async fn killed(with_index: bool) -> (TempDir, Settings) {
    let fixture = QueueFixture::on_disk();
    for number in 0..COMMITS {
        fixture.one(&format!("e{number}")).await;
    }
    let dir = TempDir::new().unwrap();
    let copy = settings(&dir, 1000);
    fs::create_dir(&copy.state_dir).unwrap();
    let names = [
        "jobbell.db",
        "jobbell.db-wal",
        "jobbell.db-mark",
        "jobbell.db-shm",
    ];
    for name in names.iter().take(if with_index { 4 } else { 3 }) {
        fs::copy(
            fixture.settings().state_dir.join(name),
            copy.state_dir.join(name),
        )
        .unwrap();
    }
    (dir, copy)
}

fn open(settings: &Settings) -> Result<Queue, OpenError> {
    sqlite::open(settings, &Clock::System)
}

fn log(settings: &Settings) -> PathBuf {
    settings.state_dir.join("jobbell.db-wal")
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

async fn accepted(queue: Queue) -> u64 {
    assert!(queue.verify_counts().await.unwrap().agrees());
    let accepted = queue.counts().await.unwrap().accepted;
    queue.close().await;
    accepted
}

/// Runs the remedy of the refusal.
fn take_way_out(settings: &Settings, refused: &OpenError) {
    let OpenError::Log { way_out, .. } = refused else {
        panic!("{refused}")
    };
    assert!(
        refused
            .to_string()
            .contains("restore the database from a backup"),
        "{refused}"
    );
    let status = std::process::Command::new("/bin/sh")
        .args(["-c", way_out])
        .current_dir(&settings.state_dir)
        .status()
        .unwrap();
    assert!(status.success(), "{way_out}");
}

#[tokio::test]
async fn wal_with_a_torn_tail_is_accepted() {
    let whole = {
        let (_dir, settings) = killed(false).await;
        accepted(open(&settings).unwrap()).await
    };
    assert_eq!(whole, COMMITS);
    // The last commit is cut short, was never written, or has garbage in its place.
    let torn: [fn(&mut Vec<u8>); 4] = [
        |log| log.truncate(log.len() - 100),
        |log| {
            let end = log.len() - PAGE;
            log[end..].fill(0);
        },
        |log| {
            let end = log.len() - 24 - PAGE;
            log[end..].fill(0xa5);
        },
        |log| log.extend([0xa5; 3 * PAGE]),
    ];
    for (number, tear) in torn.into_iter().enumerate() {
        let (_dir, settings) = killed(false).await;
        change(&log(&settings), tear);
        let kept = accepted(open(&settings).unwrap()).await;
        assert_eq!(
            kept,
            if number == 3 { COMMITS } else { COMMITS - 1 },
            "tear {number}"
        );
    }
}

#[tokio::test]
async fn wal_damaged_before_its_last_commit_is_refused_with_a_remedy() {
    let frame = 24 + PAGE;
    // In the header, in a page, in a frame's number, salt and checksum, in two frames that follow
    // each other. The migrations take fewer frames than these.
    let places: [&[usize]; 6] = [
        &[17],
        &[32 + 24 + 1000],
        &[32 + 120 * frame + 3],
        &[32 + 120 * frame + 9],
        &[32 + 120 * frame + 17],
        &[32 + 131 * frame, 32 + 132 * frame],
    ];
    for places in places {
        let (_dir, settings) = killed(false).await;
        change(&log(&settings), |log| {
            for at in places {
                log[*at] ^= 0x40;
            }
        });
        let before = fs::read(log(&settings)).unwrap();
        let refused = open(&settings).unwrap_err();
        assert!(
            refused
                .to_string()
                .contains("acknowledged events would be lost without a word"),
            "{places:?}: {refused}"
        );
        assert!(
            matches!(sqlite::check(&settings, None), Err(OpenError::Log { .. })),
            "{places:?}"
        );
        assert_eq!(
            fs::read(log(&settings)).unwrap(),
            before,
            "nothing was touched"
        );
        take_way_out(&settings, &refused);
        // With the first frames everything may be gone, the tables too; then there is no queue
        // rather than an empty one.
        match open(&settings) {
            Ok(queue) => assert!((1..COMMITS).contains(&accepted(queue).await), "{places:?}"),
            Err(error) => assert!(
                matches!(error, OpenError::Lost { .. }),
                "{places:?}: {error}"
            ),
        }
    }
}

#[tokio::test]
async fn wal_shorter_than_its_index_is_refused_with_a_remedy() {
    let shorten: [fn(&Path); 3] = [
        |log| fs::remove_file(log).unwrap(),
        |log| fs::write(log, "").unwrap(),
        |log| change(log, |log| log.truncate(log.len() - 3 * (24 + PAGE))),
    ];
    for (number, shorten) in shorten.into_iter().enumerate() {
        let (_dir, settings) = killed(true).await;
        shorten(&log(&settings));
        let refused = open(&settings).unwrap_err();
        assert!(
            refused
                .to_string()
                .contains("frames that were written are there"),
            "{number}: {refused}"
        );
        take_way_out(&settings, &refused);
        match open(&settings) {
            Ok(queue) => assert!(number == 2 && accepted(queue).await < COMMITS),
            Err(error) => assert!(
                number < 2 && matches!(error, OpenError::Lost { .. }),
                "{number}: {error}"
            ),
        }
    }
    let (_dir, settings) = killed(true).await;
    assert_eq!(
        accepted(open(&settings).unwrap()).await,
        COMMITS,
        "an undamaged WAL is accepted"
    );
}

/// A queue of many pages, closed.
async fn closed() -> (QueueFixture, Settings) {
    let fixture = QueueFixture::on_disk();
    for number in 0..COMMITS {
        fixture
            .enqueue(
                fixture
                    .event(&format!("e{number}"))
                    .title(&"绘影".repeat(300))
                    .to("a@example.com")
                    .new,
            )
            .await;
    }
    for lease in fixture.claim().await {
        fixture.settle(lease, Outcome::Sent).await;
    }
    fixture.queue.close().await;
    let settings = fixture.settings();
    (fixture, settings)
}

#[tokio::test]
async fn flipped_byte_is_detected_or_harmless_and_never_empties_the_queue() {
    let (_bench, settings) = closed().await;
    let good = fs::read(settings.location.file().unwrap()).unwrap();
    let (mut refused, mut found) = (0, 0);
    for at in (0..100).step_by(7).chain((100..good.len()).step_by(1237)) {
        change(settings.location.file().unwrap(), |bytes| bytes[at] ^= 0x55);
        let check = sqlite::check(&settings, None);
        match open(&settings) {
            Err(
                OpenError::Corrupt { .. }
                | OpenError::Foreign { .. }
                | OpenError::Newer { .. }
                | OpenError::Database { .. }
                | OpenError::NotWritable { .. },
            ) => refused += 1,
            Err(error) => panic!("byte {at}: {error}"),
            Ok(queue) => {
                let counts = queue.counts().await.unwrap();
                queue.close().await;
                match check {
                    Ok(check) if check.is_sound() => assert_eq!(
                        (counts.accepted, counts.sent),
                        (COMMITS, COMMITS),
                        "byte {at}"
                    ),
                    _ => found += 1,
                }
            }
        }
        fs::write(settings.location.file().unwrap(), &good).unwrap();
    }
    assert!(
        refused > 5 && found > 20,
        "{refused} refused, {found} found by the check"
    );
    assert!(sqlite::check(&settings, None).unwrap().is_sound());
}

#[tokio::test]
async fn truncated_database_is_refused() {
    let (_bench, settings) = closed().await;
    change(settings.location.file().unwrap(), |bytes| {
        bytes.truncate(bytes.len() / 2);
    });
    let refused = open(&settings).unwrap_err();
    assert!(matches!(refused, OpenError::Corrupt { .. }), "{refused}");
    assert!(
        refused.to_string().contains("jobbell queue check"),
        "{refused}"
    );
}

#[tokio::test]
async fn check_reports_what_a_start_refuses() {
    let (_bench, settings) = closed().await;
    let change = |sql: &str| {
        rusqlite::Connection::open(settings.location.file().unwrap())
            .unwrap()
            .execute_batch(sql)
            .unwrap();
    };
    change("PRAGMA user_version = 99");
    assert!(matches!(
        sqlite::check(&settings, None),
        Err(OpenError::Newer { found: 99, .. })
    ));
    fs::remove_file(settings.location.file().unwrap()).unwrap();
    assert!(matches!(
        sqlite::check(&settings, None),
        Err(OpenError::Lost {
            found: "missing",
            ..
        })
    ));
    assert!(
        matches!(
            sqlite::open_existing(&settings),
            Err(OpenError::Lost { .. })
        ),
        "and so does the command line"
    );
}

#[tokio::test]
async fn check_finds_changed_counts_rows_and_contents() {
    for (sql, says) in [
        (
            "UPDATE counts SET sent = sent - 1, dead = dead + 1",
            "the counts by state differ from the rows",
        ),
        (
            "PRAGMA foreign_keys = OFF; DELETE FROM events WHERE id = 'e7'",
            "row 8 of deliveries belongs to a row of events that is not there",
        ),
        (
            "UPDATE events SET payload = CAST(replace(CAST(payload AS TEXT), '绘', '会') AS BLOB) WHERE id = 'e9'",
            "the event e9 differs from the accepted one",
        ),
    ] {
        let (_bench, settings) = closed().await;
        let before = sqlite::check(&settings, None).unwrap();
        assert_eq!(
            (
                before.is_sound(),
                before.events,
                before.counts.unwrap().found.sent
            ),
            (true, COMMITS, COMMITS)
        );
        rusqlite::Connection::open(settings.location.file().unwrap())
            .unwrap()
            .execute_batch(sql)
            .unwrap();
        let problems = sqlite::check(&settings, None).unwrap().problems;
        assert!(
            problems.len() == 1 && problems[0].contains(says),
            "{problems:?}"
        );
    }
}
