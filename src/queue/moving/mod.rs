//! Moves a queue between a file and a database: `jobbell queue move`.
//!
//! The target is complete or it is no queue: a file has another name until then, and nodes refuse a
//! database that is being filled. So a move that was broken off is begun anew.

mod error;
mod progress;
mod side;

use super::moved::{MovedRest, Sum};
use super::postgres::MovingError;
use super::postgres::moving as database;
use super::sqlite::moving as file;
use super::vault::KEY_LEN;
use super::{Location, PostgresSettings, Settings};
pub use error::MoveError;
pub use progress::{Phase, Progress};
use side::Side;

/// What was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Events.
    pub events: u64,
    /// Deliveries.
    pub deliveries: u64,
    /// Those of them that are queued.
    pub queued: u64,
    /// Whether the target had all of them before, so that nothing was changed.
    pub was_moved: bool,
}

/// Moves a queue. No daemon may use the source or the target. The source is not changed, except that
/// what was being sent when a daemon died is returned to the queue.
///
/// # Errors
/// See [`MoveError`]. The target is then as it was, or incomplete, which the next call mends.
pub async fn run(
    source: &Settings,
    target: &Settings,
    progress: &mut dyn FnMut(Progress),
) -> Result<Moved, MoveError> {
    match (&source.location, &target.location) {
        (Location::Sqlite(_), Location::Postgres(postgres)) => {
            to_database(source, target, postgres, progress).await
        }
        (Location::Postgres(postgres), Location::Sqlite(_)) => {
            to_file(source, postgres, target, progress).await
        }
        _ => Err(MoveError::SameKind),
    }
}

async fn to_database(
    source: &Settings,
    target: &Settings,
    postgres: &PostgresSettings,
    progress: &mut dyn FnMut(Progress),
) -> Result<Moved, MoveError> {
    let (file, key) = file::open_source(source)?;
    let mut source = Side::File(file);
    let mut target = Side::Database(Box::new(database::Moving::open(target, postgres).await?));
    let (expected, rest) = source.sum(Phase::Counting, None, progress).await?;
    if let Some(moved) = compare(&mut target, &expected, progress).await? {
        return Ok(moved);
    }
    if let Side::Database(database) = &target {
        database.begin(postgres, &key).await?;
    }
    copy(&mut source, &mut target, &expected, &rest, progress).await?;
    verify(&mut target, &expected, progress).await?;
    if let Side::Database(database) = target {
        database.publish().await?;
    }
    Ok(moved(&expected, false))
}

async fn to_file(
    source: &Settings,
    postgres: &PostgresSettings,
    target: &Settings,
    progress: &mut dyn FnMut(Progress),
) -> Result<Moved, MoveError> {
    let database = Box::new(database::Moving::open(source, postgres).await?);
    if database.is_incomplete().await? {
        return Err(MovingError::from(super::postgres::OpenError::Incomplete).into());
    }
    database.settle().await?;
    let key: [u8; KEY_LEN] = database.key(postgres).await?;
    let mut source = Side::Database(database);
    let (expected, rest) = source.sum(Phase::Counting, None, progress).await?;
    if let Some(old) = file::open_target(target)?
        && let Some(moved) = compare(&mut Side::File(old), &expected, progress).await?
    {
        return Ok(moved);
    }
    let file::NewQueue {
        moving,
        draft,
        settings,
    } = file::NewQueue::make(target, &key)?;
    let mut copied = Side::File(moving);
    copy(&mut source, &mut copied, &expected, &rest, progress).await?;
    verify(&mut copied, &expected, progress).await?;
    if let Side::Database(database) = source {
        database.check_untouched().await?;
    }
    if let Side::File(moving) = copied {
        let complete = file::NewQueue {
            moving,
            draft,
            settings,
        };
        complete.publish()?;
    }
    Ok(moved(&expected, false))
}

const fn moved(sum: &Sum, was_moved: bool) -> Moved {
    let [queued, _, sent, dead, suppressed, cancelled] = sum.states;
    Moved {
        events: sum.events,
        deliveries: queued + sent + dead + suppressed + cancelled,
        queued,
        was_moved,
    }
}

/// Whether the target has been filled before: `None` if it is empty or incomplete.
async fn compare(
    target: &mut Side,
    expected: &Sum,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<Moved>, MoveError> {
    if let Side::Database(database) = target
        && (database.is_incomplete().await? || !database.is_filled().await?)
    {
        return Ok(None);
    }
    let total = Some(expected.events);
    let (found, _) = target.sum(Phase::Verifying, total, progress).await?;
    if found.events == 0 {
        Ok(None)
    } else if found.ids == expected.ids && found.deliveries() == expected.deliveries() {
        Ok(Some(moved(expected, true)))
    } else {
        Err(MoveError::OtherDeliveries)
    }
}

async fn copy(
    source: &mut Side,
    target: &mut Side,
    expected: &Sum,
    rest: &MovedRest,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), MoveError> {
    source.rewind();
    let mut copied = 0;
    loop {
        let events = source.events().await?;
        if events.is_empty() {
            break;
        }
        target.write(&events).await?;
        copied += events.len() as u64;
        progress(Progress {
            phase: Phase::Copying,
            events: copied,
            total: Some(expected.events),
        });
    }
    loop {
        let keys = source.keys().await?;
        if keys.is_empty() {
            break;
        }
        target.write_keys(&keys).await?;
    }
    target.finish(rest, &expected.states).await
}

async fn verify(
    target: &mut Side,
    expected: &Sum,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), MoveError> {
    let total = Some(expected.events);
    let (found, _) = target.sum(Phase::Verifying, total, progress).await?;
    if found == *expected {
        return Ok(());
    }
    Err(MoveError::Different(format!(
        "{} events and {} deliveries instead of {} and {}",
        found.events,
        found.deliveries(),
        expected.events,
        expected.deliveries()
    )))
}
