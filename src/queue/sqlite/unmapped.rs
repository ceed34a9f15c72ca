//! Webhook payloads that could not be mapped.

use ring::digest::{SHA256, digest};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::row::time;
use super::tx::WriteTx;
use crate::domain::Timestamp;
use crate::queue::{UnmappedPayload, UnmappedRecord};

const KEEP: &str = "INSERT INTO unmapped_payloads (hook, digest, first_at, last_at, times, why, payload) VALUES (?1, ?2, ?3, ?3, 1, ?4, ?5) \
     ON CONFLICT (hook, digest) DO UPDATE SET last_at = excluded.last_at, times = times + 1, why = excluded.why";
const BOUND: &str = "DELETE FROM unmapped_payloads WHERE hook = ?1 AND seq NOT IN \
     (SELECT seq FROM unmapped_payloads WHERE hook = ?1 ORDER BY last_at DESC, seq DESC LIMIT ?2)";
const LIST: &str = "SELECT seq, hook, first_at, last_at, times, why, NULL FROM unmapped_payloads ORDER BY last_at DESC, seq DESC LIMIT ?1";
const FIND: &str = "SELECT seq, hook, first_at, last_at, times, why, payload FROM unmapped_payloads WHERE seq = ?1";
const ANY: &str = "SELECT EXISTS (SELECT 1 FROM unmapped_payloads WHERE last_at < ?1)";
const FORGET: &str = "DELETE FROM unmapped_payloads WHERE last_at < ?1";

/// Inserts a payload, or counts its repetition.
pub(super) fn keep(
    tx: &WriteTx<'_>,
    failure: &UnmappedPayload,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let payload = failure.kept_payload();
    let content = digest(&SHA256, payload.as_bytes());
    tx.conn.prepare_cached(KEEP)?.execute(params![
        failure.hook,
        content.as_ref(),
        now.as_millis(),
        failure.kept_why(),
        payload
    ])?;
    tx.conn
        .prepare_cached(BOUND)?
        .execute(params![failure.hook, UnmappedPayload::MAX_KEPT])?;
    Ok(())
}

/// The latest records, without their payloads.
pub(super) fn list(conn: &Connection, limit: u32) -> rusqlite::Result<Vec<UnmappedRecord>> {
    conn.prepare_cached(LIST)?
        .query_map([limit], record)?
        .collect()
}

/// One of them.
pub(super) fn find(conn: &Connection, id: i64) -> rusqlite::Result<Option<UnmappedRecord>> {
    conn.prepare_cached(FIND)?
        .query_row([id], record)
        .optional()
}

/// Whether a payload last arrived before this time.
pub(super) fn any(conn: &Connection, before: Timestamp) -> rusqlite::Result<bool> {
    conn.prepare_cached(ANY)?
        .query_row([before.as_millis()], |row| row.get(0))
}

/// Forgets those.
pub(super) fn purge(tx: &WriteTx<'_>, before: Timestamp) -> rusqlite::Result<()> {
    tx.conn
        .prepare_cached(FORGET)?
        .execute([before.as_millis()])?;
    Ok(())
}

fn record(row: &Row<'_>) -> rusqlite::Result<UnmappedRecord> {
    Ok(UnmappedRecord {
        id: row.get(0)?,
        hook: row.get(1)?,
        first_at: time(row, 2)?,
        last_at: time(row, 3)?,
        times: row.get(4)?,
        why: row.get(5)?,
        payload: row.get(6)?,
    })
}
