//! Reads. Every statement is short and sees one commit.

use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use super::row::{DELIVERY, attempts, counts, delivery, lane_code, state, time};
use super::thumbnails;
use crate::domain::{DeliveryId, EventId, Lane, Timestamp};
use crate::queue::vault::{self, Vault};
use crate::queue::{CountCheck, Counts, DeliveryRecord, EventRecord, StoreError};

/// Why a read failed.
pub(super) enum ReadError {
    /// The database.
    Database(rusqlite::Error),
    /// The content of a row.
    Unreadable(serde_json::Error),
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<ReadError> for StoreError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Database(error)
                if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) =>
            {
                Self::TooSlow
            }
            ReadError::Database(error) => Self::failed("read", error),
            ReadError::Unreadable(error) => Self::Unreadable {
                source: std::sync::Arc::new(error),
            },
        }
    }
}

pub(super) fn find(
    conn: &Connection,
    vault: &Vault,
    id: &EventId,
) -> Result<Option<EventRecord>, ReadError> {
    let tx = conn.unchecked_transaction()?;
    let event = tx
        .prepare_cached(
            "SELECT seq, payload, source, received_at, pictures FROM events WHERE id = ?1",
        )?
        .query_row([id.as_str()], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, Vec<u8>>(1)?,
                row.get(2)?,
                time(row, 3)?,
                row.get::<_, bool>(4)?,
            ))
        })
        .optional()?;
    let Some((seq, payload, source, received_at, pictures)) = event else {
        return Ok(None);
    };
    let event = vault::shown(vault, id.as_str(), &payload).map_err(ReadError::Unreadable)?;
    let mut statement =
        tx.prepare_cached(&format!("{DELIVERY} WHERE d.event_seq = ?1 ORDER BY d.seq"))?;
    let found = statement
        .query_map([seq], delivery)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let pictures = match &event {
        Some(event) if pictures => thumbnails::records(&tx, seq, event)?,
        _ => Vec::new(),
    };
    Ok(Some(EventRecord {
        id: id.clone(),
        event,
        source,
        received_at,
        pictures,
        deliveries: with_attempts(&tx, found)?,
    }))
}

pub(super) fn sources_of(
    conn: &Connection,
    ids: Vec<EventId>,
) -> Result<Vec<(EventId, String)>, ReadError> {
    let mut statement = conn.prepare_cached("SELECT source FROM events WHERE id = ?1")?;
    let mut found = Vec::new();
    for id in ids {
        let source = statement
            .query_row([id.as_str()], |row| row.get(0))
            .optional()?;
        found.extend(source.map(|source| (id, source)));
    }
    Ok(found)
}

pub(super) fn find_delivery(
    conn: &Connection,
    id: DeliveryId,
) -> Result<Option<DeliveryRecord>, ReadError> {
    let tx = conn.unchecked_transaction()?;
    let mut statement = tx.prepare_cached(&format!("{DELIVERY} WHERE d.id = ?1"))?;
    let found = statement
        .query_row([id.0.as_bytes()], delivery)
        .optional()?;
    Ok(with_attempts(&tx, found.into_iter().collect())?.pop())
}

pub(super) fn with_attempts(
    conn: &Connection,
    found: Vec<(i64, DeliveryRecord)>,
) -> rusqlite::Result<Vec<DeliveryRecord>> {
    let complete = |(seq, record)| {
        Ok(DeliveryRecord {
            attempts: attempts(conn, seq)?,
            ..record
        })
    };
    found.into_iter().map(complete).collect()
}

/// The first due time of these lanes; never a row that has ended.
pub(super) fn next_due(conn: &Connection, lanes: &[Lane]) -> rusqlite::Result<Option<Timestamp>> {
    let mut statement =
        conn.prepare_cached("SELECT min(due_at) FROM deliveries WHERE lane = ?1 AND state < 2")?;
    let mut earliest: Option<i64> = None;
    for lane in lanes {
        let due: Option<i64> = statement.query_row([lane_code(*lane)], |row| row.get(0))?;
        earliest = earliest.into_iter().chain(due).min();
    }
    Ok(earliest.map(Timestamp::from_millis))
}

pub(super) fn oldest_due(
    conn: &Connection,
    now: Timestamp,
) -> Result<Vec<(Lane, Duration)>, ReadError> {
    const OLDEST: &str = "SELECT due_at FROM deliveries WHERE lane = ?1 AND state < 2 AND state = 0 AND due_at <= ?2 ORDER BY due_at LIMIT 1";
    let mut statement = conn.prepare_cached(OLDEST)?;
    let mut ages = Vec::with_capacity(Lane::ALL.len());
    for lane in Lane::ALL {
        let due = statement
            .query_row(params![lane_code(*lane), now.as_millis()], |row| {
                time(row, 0)
            })
            .optional()?;
        ages.push((*lane, due.map_or(Duration::ZERO, |due| now.since(due))));
    }
    Ok(ages)
}

pub(super) fn verify_counts(conn: &Connection) -> Result<CountCheck, ReadError> {
    let tx = conn.unchecked_transaction()?;
    Ok(count_rows(&tx)?)
}

/// Counts every row, within the transaction that is open.
pub(super) fn count_rows(conn: &Connection) -> rusqlite::Result<CountCheck> {
    let mut found = Counts::default();
    let mut statement =
        conn.prepare_cached("SELECT state, count(*) FROM deliveries GROUP BY state")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let number = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
        found.add(state(row, 0)?, number);
        found.accepted += number;
    }
    Ok(CountCheck {
        kept: counts(conn)?,
        found,
    })
}
