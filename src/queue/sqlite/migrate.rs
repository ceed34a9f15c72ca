//! Brings a database to the schema that this version knows: numbered SQL files, each applied once, never edited.

use std::path::Path;

use ring::digest::{SHA256, digest};
use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use crate::queue::OpenError;

/// "Jbel" as a number; marks the file as ours (`PRAGMA application_id`).
const APPLICATION_ID: i64 = 0x4a62_656c;

/// The SQL that leads from version n to n + 1, by n.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_initial.sql"),
    include_str!("../migrations/0002_server_use.sql"),
    include_str!("../migrations/0003_pictures.sql"),
    include_str!("../migrations/0004_hook_failures.sql"),
];

/// The schema version of a database, 0 for a new one.
pub(super) fn version(conn: &Connection, path: &Path) -> Result<i64, OpenError> {
    let read = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(|error| explain(path, error));
    let (version, owner, tables) = (read("PRAGMA user_version")?, read("PRAGMA application_id")?, read("SELECT count(*) FROM sqlite_schema")?);
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let foreign = |reason: &str| Err(OpenError::Foreign { path: path.to_owned(), reason: reason.to_owned() });
    if owner != APPLICATION_ID && (owner != 0 || version != 0 || tables != 0) {
        return foreign("it holds another program's tables");
    }
    if version > known {
        return Err(OpenError::Newer { path: path.to_owned(), found: version, known });
    }
    Ok(version)
}

/// Applies what is missing, each step in a transaction of its own, after checking that the earlier steps were the ones in this program.
pub(super) fn migrate(conn: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let version = usize::try_from(version(conn, path)?).unwrap_or(0);
    for (number, sql) in MIGRATIONS.iter().enumerate() {
        let result = if number < version { check(conn, number, sql) } else { apply(conn, number, sql).map(|()| true) };
        if !result.map_err(|error| explain(path, error))? {
            let reason = format!("its schema step {} is not the one in this program", number + 1);
            return Err(OpenError::Foreign { path: path.to_owned(), reason });
        }
    }
    Ok(())
}

fn check(conn: &Connection, number: usize, sql: &str) -> rusqlite::Result<bool> {
    let found: Option<Vec<u8>> = conn.query_row("SELECT max(checksum) FROM migrations WHERE version = ?1", [to_i64(number + 1)], |row| row.get(0))?;
    Ok(found.is_some_and(|found| found == digest(&SHA256, sql.as_bytes()).as_ref()))
}

fn apply(conn: &mut Connection, number: usize, sql: &str) -> rusqlite::Result<()> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch("CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, checksum BLOB NOT NULL) STRICT")?;
    tx.execute_batch(sql)?;
    let version = to_i64(number + 1);
    tx.execute("INSERT INTO migrations (version, checksum) VALUES (?1, ?2)", (version, digest(&SHA256, sql.as_bytes()).as_ref()))?;
    tx.pragma_update(None, "user_version", version)?;
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.commit()
}

fn to_i64(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Names the file, and tells damage from everything else.
pub(super) fn explain(path: &Path, error: rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => OpenError::Corrupt { path, source: error.into() },
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            OpenError::NotWritable { path, source: std::io::Error::other(error) }
        }
        _ => OpenError::Database { path, source: error.into() },
    }
}
