//! Deletes deliveries that ended long ago. A reader finds the rows, so that the writer only
//! deletes.

use rusqlite::{Connection, OptionalExtension, params};

use super::row::state;
use super::tx::WriteTx;
use crate::domain::{State, Timestamp};

/// Rows read by one statement; short reads do not block checkpoints.
const STRIDE: i64 = 10_000;

const LOOK: &str =
    "SELECT seq, state, created_at, ended_at FROM deliveries WHERE seq > ?1 ORDER BY seq LIMIT ?2";
/// Repeats the condition: the row may have been retried since it was found.
const FORGET: &str = "DELETE FROM deliveries WHERE seq = ?1 AND state >= 2 AND ended_at < ?2 RETURNING state, event_seq";
const FORGET_EVENT: &str = "DELETE FROM events WHERE seq = ?1 AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event_seq = ?1)";

/// A key outlives single events of its request, so that a repetition does not enqueue the others
/// again.
const MOVE_KEYS: &str = "UPDATE keys SET event_seq = (SELECT max(e.seq) FROM json_each(keys.ids) AS i JOIN events AS e ON e.id = i.value) \
     WHERE event_seq IS NULL";
const FORGET_KEYS: &str = "DELETE FROM keys WHERE event_seq IS NULL";

/// Row numbers of deliveries that ended before `ended_before`, oldest first.
///
/// Rows are in the order of acceptance and end later, so the search stops at the first row that is
/// too young.
pub(super) fn find(
    conn: &Connection,
    ended_before: Timestamp,
    limit: u32,
) -> rusqlite::Result<Vec<i64>> {
    let limit = usize::try_from(limit.min(10_000)).unwrap_or(usize::MAX);
    let mut statement = conn.prepare_cached(LOOK)?;
    let mut found = Vec::new();
    let mut after = i64::MIN;
    loop {
        let mut seen = 0;
        let mut rows = statement.query(params![after, STRIDE])?;
        while let Some(row) = rows.next()? {
            (seen, after) = (seen + 1, row.get(0)?);
            let (created_at, ended_at): (i64, Option<i64>) = (row.get(2)?, row.get(3)?);
            if found.len() >= limit || created_at >= ended_before.as_millis() {
                return Ok(found);
            }
            let pending = matches!(state(row, 1)?, State::Queued | State::Sending);
            if !pending && ended_at.is_some_and(|ended_at| ended_at < ended_before.as_millis()) {
                found.push(after);
            }
        }
        if seen < STRIDE {
            return Ok(found);
        }
    }
}

/// Deletes the rows; returns their number.
pub(super) fn run(
    tx: &mut WriteTx<'_>,
    rows: &[i64],
    ended_before: Timestamp,
) -> rusqlite::Result<u64> {
    let conn = tx.conn;
    let mut forget = conn.prepare_cached(FORGET)?;
    let mut forget_event = conn.prepare_cached(FORGET_EVENT)?;
    let mut forgotten = 0;
    for seq in rows {
        let gone = forget
            .query_row(params![seq, ended_before.as_millis()], |row| {
                Ok((state(row, 0)?, row.get::<_, i64>(1)?))
            })
            .optional()?;
        if let Some((state, event_seq)) = gone {
            tx.counts.purge(state);
            forget_event.execute([event_seq])?;
            forgotten += 1;
        }
    }
    if forgotten > 0 {
        conn.prepare_cached(MOVE_KEYS)?.execute([])?;
        conn.prepare_cached(FORGET_KEYS)?.execute([])?;
    }
    Ok(forgotten)
}
