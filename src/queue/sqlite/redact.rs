//! Removes payloads of events that have ended: prompts, links, addresses as they came in. What
//! became of the deliveries stays.

use rusqlite::{Connection, params};

use super::tx::WriteTx;
use crate::domain::Timestamp;
use crate::queue::RedactBatch;

/// Row numbers that one look goes through: reads stay short, so that checkpoints get past them.
const STRIDE: i64 = 10_000;

/// Ended: no delivery is pending, or ended later. The length stands in the row's head, so payloads
/// are not read for it.
const LOOK: &str = "SELECT seq FROM events WHERE seq > ?1 AND seq <= ?2 AND received_at < ?3 AND length(payload) > 0 AND NOT EXISTS \
     (SELECT 1 FROM deliveries AS d WHERE d.event_seq = events.seq AND (d.state < 2 OR d.ended_at >= ?3)) ORDER BY seq LIMIT ?4";
const FIRST: &str = "SELECT min(seq) FROM events WHERE seq > ?1";
const LAST: &str = "SELECT max(seq) FROM events";

/// Says again what was looked for: since then a delivery may have been retried by hand.
const FORGET: &str = "UPDATE events SET payload = x'' WHERE seq = ?1 AND length(payload) > 0 AND NOT EXISTS \
     (SELECT 1 FROM deliveries AS d WHERE d.event_seq = ?1 AND (d.state < 2 OR d.ended_at >= ?2))";

/// Row numbers of events behind `after` whose payloads can go, at most `limit`; and where to go on,
/// nothing removed yet.
///
/// Events stand in the order in which they were accepted. Those that had not ended when the search
/// passed them are found when it begins anew.
pub(super) fn look(
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
    // Behind a young one there are only younger ones: the next look begins where this one did.
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

/// Small copies of its pictures are content, too.
const FORGET_PICTURES: &str = "DELETE FROM pictures WHERE event_seq = ?1";

/// Removes; says how many.
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
