//! Removes the payloads of ended events: prompts, links, addresses. The delivery records stay.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::tx::WriteTx;
use crate::domain::Timestamp;

/// The result of a search and of the removal of what it found.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RedactBatch {
    /// How many payloads were removed.
    pub(super) events: u64,
    /// The cursor of the next batch.
    pub(super) after: i64,
    /// Whether there may be more to remove.
    pub(super) more: bool,
}

/// How far the search has come.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    after: i64,
    started: Option<Timestamp>,
}

impl Cursor {
    /// Where the search continues at `now`; it restarts after `rescan`, and after a backward clock
    /// step.
    pub(super) fn position(&mut self, rescan: Duration, now: Timestamp) -> i64 {
        if !(self.started).is_some_and(|started| started <= now && now.since(started) < rescan) {
            (self.after, self.started) = (0, Some(now));
        }
        self.after
    }

    pub(super) const fn advance(&mut self, after: i64) {
        self.after = after;
    }
}

/// Row numbers scanned by one search; short reads do not block checkpoints.
const STRIDE: i64 = 10_000;

/// Ended: no delivery is pending, or ended later. The length is in the row header, so payloads are
/// not read.
const LOOK: &str = "SELECT seq FROM events WHERE seq > ?1 AND seq <= ?2 AND received_at < ?3 AND length(payload) > 0 AND NOT EXISTS \
     (SELECT 1 FROM deliveries AS d WHERE d.event_seq = events.seq AND (d.state < 2 OR d.ended_at >= ?3)) ORDER BY seq LIMIT ?4";
const FIRST: &str = "SELECT min(seq) FROM events WHERE seq > ?1";
const LAST: &str = "SELECT max(seq) FROM events";

/// Repeats the condition: a delivery may have been retried since the row was found.
const FORGET: &str = "UPDATE events SET payload = x'' WHERE seq = ?1 AND length(payload) > 0 AND NOT EXISTS \
     (SELECT 1 FROM deliveries AS d WHERE d.event_seq = ?1 AND (d.state < 2 OR d.ended_at >= ?2))";

/// Row numbers of at most `limit` events after `after` whose payloads can be removed, and the
/// cursor for the next search.
///
/// Events are in the order of acceptance. Those that had not ended at the last scan are
/// found when it restarts.
pub(super) fn find(
    conn: &Connection,
    ended_before: Timestamp,
    after: i64,
    limit: u32,
) -> rusqlite::Result<(Vec<i64>, RedactBatch)> {
    let limit = limit.min(10_000);
    let number = |sql: &str, parameters: &[&dyn rusqlite::ToSql]| {
        conn.prepare_cached(sql)?
            .query_row(parameters, |row| row.get::<_, Option<i64>>(0))
    };
    let (Some(first), Some(last)) = (number(FIRST, &[&after])?, number(LAST, &[])?) else {
        return Ok((
            Vec::new(),
            RedactBatch {
                after,
                ..RedactBatch::default()
            },
        ));
    };
    let until = first.saturating_add(STRIDE - 1).min(last);
    let mut statement = conn.prepare_cached(LOOK)?;
    let rows = statement
        .query_map(
            params![after, until, ended_before.as_millis(), limit],
            |row| row.get(0),
        )?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    let full = rows.len() >= limit as usize;
    let young = "SELECT received_at >= ?2 FROM events WHERE seq <= ?1 ORDER BY seq DESC LIMIT 1";
    let young: bool = conn
        .prepare_cached(young)?
        .query_row(params![until, ended_before.as_millis()], |row| row.get(0))?;
    let reached = if full {
        rows.last().copied().unwrap_or(until)
    } else {
        until
    };
    // All later events are younger: the next search starts where this one did.
    let found = if full || !young {
        RedactBatch {
            events: 0,
            after: reached,
            more: full || until < last,
        }
    } else {
        RedactBatch {
            events: 0,
            after,
            more: false,
        }
    };
    Ok((rows, found))
}

/// Thumbnails are content, too.
const FORGET_PICTURES: &str = "DELETE FROM pictures WHERE event_seq = ?1";

/// Removes the payloads; returns their number.
pub(super) fn run(
    tx: &mut WriteTx<'_>,
    rows: &[i64],
    ended_before: Timestamp,
) -> rusqlite::Result<u64> {
    let mut forget = tx.conn.prepare_cached(FORGET)?;
    let mut forget_pictures = tx.conn.prepare_cached(FORGET_PICTURES)?;
    let mut forgotten = 0;
    for seq in rows {
        if forget.execute(params![seq, ended_before.as_millis()])? == 1 {
            forget_pictures.execute([seq])?;
            forgotten += 1;
        }
    }
    Ok(forgotten)
}
