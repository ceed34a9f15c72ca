//! Checks a queue or a backup without changing it, with or without a running daemon.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::connect::BUSY;
use super::location::StateDir;
use super::path::database;
use super::row::unsigned;
use super::{CheckReport, OpenError};
use super::{key, location, migrate, read, wal};
use crate::queue::Settings;
use crate::queue::prepared::is_as_accepted;
use crate::queue::vault::Vault;

/// Is told how much of all has been done.
pub type Progress<'a> = dyn FnMut(u64, u64) + 'a;

/// How many events are checked between two reports.
const SHOWN: u64 = 1_000;
/// The most problems of one kind that are listed.
const FINDINGS: usize = 20;

/// Checks an existing queue, or the backup `copy`, without changing it, with or without a running
/// daemon. Takes time in proportion to its size. Blocks on the disk.
///
/// # Errors
/// When it cannot be opened. Other problems are in the [`CheckReport`].
pub fn check(settings: &Settings, copy: Option<&Path>) -> Result<CheckReport, OpenError> {
    check_showing(settings, copy, &mut |_, _| {})
}

/// The same, and says now and then how many of all events have been checked.
///
/// # Errors
/// As [`check`].
pub fn check_showing(
    settings: &Settings,
    copy: Option<&Path>,
    progress: &mut Progress<'_>,
) -> Result<CheckReport, OpenError> {
    match copy {
        Some(copy) => check_file(copy, settings, progress),
        None => check_file(&find(settings)?, settings, progress),
    }
}

/// The database of an existing queue. If no daemon has it open, its WAL is examined too; a daemon
/// does that at its start.
///
/// Holds no lock that a daemon waits for, unless the WAL is damaged and no daemon could start.
pub(super) fn find(settings: &Settings) -> Result<PathBuf, OpenError> {
    location::look_for(settings)?;
    if !location::is_held(settings) && wal::examine(database(settings)).is_err() {
        // A daemon may have started to write in the meantime, which looks like damage.
        match StateDir::new(settings, false, Duration::ZERO) {
            Ok(claimed) => wal::examine(&claimed.path)?,
            Err(OpenError::Locked { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(database(settings).to_owned())
}

/// A connection that cannot write.
pub(super) fn open_read_only(path: &Path) -> Result<Connection, OpenError> {
    if !path.is_file() {
        return Err(OpenError::NoQueue {
            path: path.to_owned(),
        });
    }
    let open = || {
        let conn = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        conn.busy_timeout(BUSY)?;
        Ok(conn)
    };
    let conn = open().map_err(|error| migrate::explain(path, error))?;
    if migrate::version(&conn, path)? == 0 {
        return Err(OpenError::Foreign {
            path: path.to_owned(),
            reason: "it holds no tables".to_owned(),
        });
    }
    Ok(conn)
}

/// Checks the database at `path`: pages and indexes, references, counts, and the content hash of
/// every event.
pub(super) fn check_file(
    path: &Path,
    settings: &Settings,
    progress: &mut Progress<'_>,
) -> Result<CheckReport, OpenError> {
    let vault = key::find(settings)?;
    let conn = open_read_only(path)?;
    let schema = migrate::version(&conn, path)?;
    let mut found = CheckReport {
        path: path.to_owned(),
        schema,
        events: 0,
        counts: None,
        problems: Vec::new(),
    };
    // One snapshot for all checks, even while a daemon writes.
    let result = conn.unchecked_transaction().and_then(|tx| {
        for examine in [integrity, references, numbers] {
            if let Err(error) = examine(&tx, &mut found) {
                found.problems.push(error.to_string());
            }
        }
        if let Err(error) = events(&tx, &vault, &mut found, progress) {
            found.problems.push(error.to_string());
        }
        tx.commit()
    });
    if let Err(error) = result {
        found.problems.push(error.to_string());
    }
    Ok(found)
}

fn integrity(conn: &Connection, found: &mut CheckReport) -> rusqlite::Result<()> {
    let mut statement = conn.prepare(&format!("PRAGMA integrity_check({FINDINGS})"))?;
    let lines = statement
        .query_map([], |row| row.get::<_, String>(0))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    found
        .problems
        .extend(lines.into_iter().filter(|line| line != "ok"));
    Ok(())
}

fn references(conn: &Connection, found: &mut CheckReport) -> rusqlite::Result<()> {
    let mut statement = conn.prepare("PRAGMA foreign_key_check")?;
    let dangling = statement.query_map([], |row| {
        let (table, row_number, parent): (String, Option<i64>, String) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        let row_number =
            row_number.map_or_else(|| "a row".to_owned(), |number| format!("row {number}"));
        Ok(format!(
            "{row_number} of {table} belongs to a row of {parent} that is not there"
        ))
    })?;
    for line in dangling.take(FINDINGS) {
        found.problems.push(line?);
    }
    Ok(())
}

fn numbers(conn: &Connection, found: &mut CheckReport) -> rusqlite::Result<()> {
    let counts = read::count_rows(conn)?;
    if !counts.agrees() {
        found.problems.push(format!(
            "the counts by state differ from the rows: stored {:?}, counted {:?}",
            counts.kept, counts.found
        ));
    }
    found.counts = Some(counts);
    Ok(())
}

fn events(
    conn: &Connection,
    vault: &Vault,
    found: &mut CheckReport,
    progress: &mut Progress<'_>,
) -> rusqlite::Result<()> {
    let all = conn.query_row("SELECT count(*) FROM events", [], |row| unsigned(row, 0))?;
    let mut statement = conn.prepare("SELECT id, content_hash, payload FROM events")?;
    let mut rows = statement.query([])?;
    let mut reported = 0;
    while let Some(row) = rows.next()? {
        found.events += 1;
        if found.events.is_multiple_of(SHOWN) {
            progress(found.events, all);
        }
        let id = row.get_ref(0)?.as_str()?;
        if !is_as_accepted(
            vault,
            id,
            row.get_ref(1)?.as_blob()?,
            row.get_ref(2)?.as_blob()?,
        ) && reported < FINDINGS
        {
            reported += 1;
            found
                .problems
                .push(format!("the event {id} differs from the accepted one"));
        }
    }
    Ok(())
}
