//! Keeps payloads of webhooks that could not be understood.

use ring::digest::{SHA256, digest};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::batch::Batch;
use super::row::time;
use crate::domain::Timestamp;
use crate::queue::{HookFailure, HookFailureRecord};

/// The most characters of a reason.
const MAX_WHY: usize = 2_000;

const KEEP: &str = "INSERT INTO hook_failures (hook, digest, first_at, last_at, times, why, payload) VALUES (?1, ?2, ?3, ?3, 1, ?4, ?5) \
     ON CONFLICT (hook, digest) DO UPDATE SET last_at = excluded.last_at, times = times + 1, why = excluded.why";
const BOUND: &str = "DELETE FROM hook_failures WHERE hook = ?1 AND seq NOT IN \
     (SELECT seq FROM hook_failures WHERE hook = ?1 ORDER BY last_at DESC, seq DESC LIMIT ?2)";
const LIST: &str = "SELECT seq, hook, first_at, last_at, times, why, NULL FROM hook_failures ORDER BY last_at DESC, seq DESC LIMIT ?1";
const FIND: &str =
    "SELECT seq, hook, first_at, last_at, times, why, payload FROM hook_failures WHERE seq = ?1";
const ANY: &str = "SELECT EXISTS (SELECT 1 FROM hook_failures WHERE last_at < ?1)";
const FORGET: &str = "DELETE FROM hook_failures WHERE last_at < ?1";

/// Keeps one, or counts it once more.
pub(super) fn keep(
    batch: &Batch<'_>,
    failure: &HookFailure,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let payload = failure
        .payload
        .get(
            ..failure
                .payload
                .floor_char_boundary(HookFailure::MAX_PAYLOAD),
        )
        .unwrap_or_default();
    let why: String = failure.why.chars().take(MAX_WHY).collect();
    let content = digest(&SHA256, payload.as_bytes());
    batch.conn.prepare_cached(KEEP)?.execute(params![
        failure.hook,
        content.as_ref(),
        now.as_millis(),
        why,
        payload
    ])?;
    batch
        .conn
        .prepare_cached(BOUND)?
        .execute(params![failure.hook, HookFailure::MAX_KEPT])?;
    Ok(())
}

/// The latest ones, without their payloads.
pub(super) fn list(conn: &Connection, limit: u32) -> rusqlite::Result<Vec<HookFailureRecord>> {
    conn.prepare_cached(LIST)?
        .query_map([limit], record)?
        .collect()
}

/// One of them.
pub(super) fn find(conn: &Connection, id: i64) -> rusqlite::Result<Option<HookFailureRecord>> {
    conn.prepare_cached(FIND)?
        .query_row([id], record)
        .optional()
}

/// Whether there is one that came last before this.
pub(super) fn any(conn: &Connection, before: Timestamp) -> rusqlite::Result<bool> {
    conn.prepare_cached(ANY)?
        .query_row([before.as_millis()], |row| row.get(0))
}

/// Forgets those.
pub(super) fn forget(batch: &Batch<'_>, before: Timestamp) -> rusqlite::Result<()> {
    batch
        .conn
        .prepare_cached(FORGET)?
        .execute([before.as_millis()])?;
    Ok(())
}

fn record(row: &Row<'_>) -> rusqlite::Result<HookFailureRecord> {
    Ok(HookFailureRecord {
        id: row.get(0)?,
        hook: row.get(1)?,
        first_at: time(row, 2)?,
        last_at: time(row, 3)?,
        times: row.get(4)?,
        why: row.get(5)?,
        payload: row.get(6)?,
    })
}
