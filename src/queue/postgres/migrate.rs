//! Migrates the database to the schema of this version: numbered SQL files, each applied once and
//! never edited.
//!
//! A migration first expands: it adds what the new version needs and keeps what older nodes use. What
//! they use is removed by a later version, when no node needs it any more, and that migration raises
//! `oldest_reader`: nodes that know no newer schema refuse to work.

use std::time::Duration;

use ring::digest::{SHA256, digest};
use tokio_postgres::types::Type;

use super::connection::Connection;
use super::open_error::OpenError;
use super::query_error::QueryError;

/// A step of the schema.
struct Migration {
    sql: &'static str,
    /// The oldest schema version whose programs can work with this one.
    oldest_reader: i32,
}

/// The SQL that leads from version n to n + 1, by n.
const MIGRATIONS: &[Migration] = &[Migration {
    sql: concat!(
        include_str!("migrations/0001_initial.sql"),
        include_str!("migrations/0001_limits.sql"),
        include_str!("migrations/0001_functions.sql")
    ),
    oldest_reader: 1,
}];

/// Long enough for an index over many rows.
const LIMIT: Duration = Duration::from_mins(10);

/// One migrator at a time; the others wait until it has committed. The number is "Jbel". Other
/// sessions are never made to wait behind a migration that waits for a table.
const BEGIN: &str =
    "BEGIN; SET LOCAL lock_timeout = '10s'; SELECT pg_advisory_xact_lock(1247962476)";
const TABLE: &str = "CREATE SCHEMA IF NOT EXISTS jobbell; CREATE TABLE IF NOT EXISTS jobbell.schema_version \
     (version integer PRIMARY KEY, oldest_reader integer NOT NULL, checksum bytea NOT NULL, at timestamptz NOT NULL)";
const EXISTS: &str = "SELECT to_regclass('jobbell.schema_version') IS NOT NULL";
const VERSIONS: &str =
    "SELECT version, oldest_reader, checksum FROM jobbell.schema_version ORDER BY version";
const APPLIED: &str = "INSERT INTO jobbell.schema_version VALUES ($1, $2, $3, clock_timestamp())";

/// Applies the missing steps, in one transaction.
pub(super) async fn migrate(connection: &Connection) -> Result<(), OpenError> {
    if missing(connection).await?.is_none() {
        return Ok(());
    }
    connection.batch(LIMIT, BEGIN).await?;
    connection.batch(LIMIT, TABLE).await?;
    // Another node may have applied them while this one waited for the lock.
    let first = missing(connection).await?.unwrap_or(MIGRATIONS.len());
    for (number, step) in MIGRATIONS.iter().enumerate().skip(first) {
        connection.batch(LIMIT, step.sql).await?;
        let version = i32::try_from(number + 1).unwrap_or(i32::MAX);
        let checksum = digest(&SHA256, step.sql.as_bytes());
        let values: [super::connection::Value<'_>; 3] = [
            (&version, Type::INT4),
            (&step.oldest_reader, Type::INT4),
            (&checksum.as_ref(), Type::BYTEA),
        ];
        connection.query(APPLIED, &values).await?;
    }
    connection.batch(LIMIT, "COMMIT").await?;
    Ok(())
}

/// Fails unless the schema is that of this program, or a newer one that it can work with.
pub(super) async fn check(connection: &Connection) -> Result<(), OpenError> {
    match missing(connection).await? {
        None => Ok(()),
        Some(0) => Err(OpenError::NoQueue),
        Some(_) => Err(OpenError::Statement(
            "its schema is that of an earlier version; start one node of this version first"
                .to_owned(),
        )),
    }
}

/// The index of the first missing step; `None` if there is none.
async fn missing(connection: &Connection) -> Result<Option<usize>, OpenError> {
    let rows = connection.query(EXISTS, &[]).await?;
    let exists = rows.first().map(|row| row.try_get::<_, bool>(0));
    if !exists.transpose()?.unwrap_or_default() {
        return Ok(Some(0));
    }
    let known = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    let rows = connection.query(VERSIONS, &[]).await?;
    for (row, step) in rows.iter().zip(MIGRATIONS) {
        if row.try_get::<_, &[u8]>(2)? != digest(&SHA256, step.sql.as_bytes()).as_ref() {
            return Err(OpenError::Statement(format!(
                "its schema step {} is not the one in this program",
                row.try_get::<_, i32>(0)?
            )));
        }
    }
    if let Some(newest) = rows.last() {
        let (found, oldest): (i32, i32) = (newest.try_get(0)?, newest.try_get(1)?);
        if oldest > known {
            return Err(OpenError::Newer { found, known });
        }
    }
    Ok((rows.len() < MIGRATIONS.len()).then_some(rows.len()))
}

impl From<QueryError> for OpenError {
    fn from(error: QueryError) -> Self {
        if error.is_outage() {
            Self::Unreachable(error.to_string())
        } else if error.is_permanent() {
            Self::Refused(error.to_string())
        } else {
            Self::Statement(error.to_string())
        }
    }
}

impl From<tokio_postgres::Error> for OpenError {
    fn from(error: tokio_postgres::Error) -> Self {
        QueryError::from(error).into()
    }
}
