//! Migrates a database to the schema of this version: numbered SQL files, each applied once and
//! never edited.

use std::path::Path;

use ring::digest::{SHA256, digest};
use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::secrets;
use super::{OpenError, space};
use crate::queue::error::NoInodes;
use crate::queue::vault::Vault;

/// "Jbel" as a number; marks the file as ours (`PRAGMA application_id`).
const APPLICATION_ID: i64 = 0x4a62_656c;

/// The SQL that leads from version n to n + 1, by n.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_initial.sql"),
    include_str!("../migrations/0002_server_use.sql"),
    include_str!("../migrations/0003_pictures.sql"),
    include_str!("../migrations/0004_hook_failures.sql"),
    include_str!("../migrations/0005_retried_at.sql"),
    include_str!("../migrations/0006_picture_starts.sql"),
    include_str!("../migrations/0007_plain_names.sql"),
    include_str!("../migrations/0008_nodes.sql"),
    include_str!("../migrations/0009_store_time.sql"),
];

/// The step from which on codes and secret links are encrypted.
const ENCRYPTED: usize = 5;

/// The newest schema version.
pub(super) fn newest() -> i64 {
    to_i64(MIGRATIONS.len())
}

/// The schema version of a database, 0 for a new one.
pub(super) fn version(conn: &Connection, path: &Path) -> Result<i64, OpenError> {
    let read = |sql: &str| {
        conn.query_row(sql, [], |row| row.get::<_, i64>(0))
            .map_err(|error| explain(path, error))
    };
    let (version, owner, tables) = (
        read("PRAGMA user_version")?,
        read("PRAGMA application_id")?,
        read("SELECT count(*) FROM sqlite_schema")?,
    );
    let known = newest();
    let foreign = |reason: &str| {
        Err(OpenError::Foreign {
            path: path.to_owned(),
            reason: reason.to_owned(),
        })
    };
    if owner != APPLICATION_ID && (owner != 0 || version != 0 || tables != 0) {
        return foreign("it holds another program's tables");
    }
    if version > known {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found: version,
            known,
        });
    }
    Ok(version)
}

/// Applies the missing steps, each in its transaction, after checking that the earlier steps match
/// this program.
pub(super) fn migrate(conn: &mut Connection, path: &Path, vault: &Vault) -> Result<(), OpenError> {
    let version = usize::try_from(version(conn, path)?).unwrap_or(0);
    let holds_plain_secrets = (1..ENCRYPTED).contains(&version);
    if holds_plain_secrets {
        // Until the WAL is truncated: overwrite all freed bytes, at any cost.
        conn.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))
            .map_err(|error| explain(path, error))?;
    }
    for (number, sql) in MIGRATIONS.iter().enumerate() {
        let result = if number < version {
            check(conn, number, sql)
        } else {
            apply(conn, number, sql, vault).map(|()| true)
        };
        if !result.map_err(|error| explain(path, error))? {
            let reason = format!(
                "its schema step {} is not the one in this program",
                number + 1
            );
            return Err(OpenError::Foreign {
                path: path.to_owned(),
                reason,
            });
        }
    }
    if holds_plain_secrets {
        wipe(conn).map_err(|error| explain(path, error))?;
    }
    Ok(())
}

/// Truncates the WAL, which may still contain the plain text of encrypted or removed data.
fn wipe(conn: &Connection) -> rusqlite::Result<()> {
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    conn.pragma_update_and_check(None, "secure_delete", "FAST", |_| Ok(()))
}

fn check(conn: &Connection, number: usize, sql: &str) -> rusqlite::Result<bool> {
    let found: Option<Vec<u8>> = conn.query_row(
        "SELECT max(checksum) FROM migrations WHERE version = ?1",
        [to_i64(number + 1)],
        |row| row.get(0),
    )?;
    Ok(found.is_some_and(|found| found == digest(&SHA256, sql.as_bytes()).as_ref()))
}

fn apply(conn: &mut Connection, number: usize, sql: &str, vault: &Vault) -> rusqlite::Result<()> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch("CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, checksum BLOB NOT NULL) STRICT")?;
    tx.execute_batch(sql)?;
    if number + 1 == ENCRYPTED {
        secrets::take_over(&tx, vault)?;
    }
    let version = to_i64(number + 1);
    tx.execute(
        "INSERT INTO migrations (version, checksum) VALUES (?1, ?2)",
        (version, digest(&SHA256, sql.as_bytes()).as_ref()),
    )?;
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
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => OpenError::Corrupt {
            path,
            source: error.into(),
        },
        Some(ErrorCode::CannotOpen | ErrorCode::DiskFull) if space::has_no_inodes(&path) => {
            OpenError::NotWritable {
                path,
                source: std::io::Error::new(std::io::ErrorKind::StorageFull, NoInodes),
            }
        }
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            OpenError::NotWritable {
                path,
                source: std::io::Error::other(error),
            }
        }
        _ => OpenError::Database {
            path,
            source: error.into(),
        },
    }
}
