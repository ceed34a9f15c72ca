//! Pages of deliveries, newest first.

use rusqlite::{Connection, Row, params};

use super::read::{ReadError, with_attempts};
use super::row::{DELIVERY, delivery, state_code};
use crate::domain::{Recipient, State, Timestamp};
use crate::queue::{DeliveryRecord, Filter, Page};

/// Row numbers that one statement scans.
const STRIDE: i64 = 50_000;

/// One page of rows below `before`, newest first.
///
/// No index serves `state`, `to` and `since` of pending and sent rows, because every mail would pay
/// for it; rows are scanned in strides instead. Rows that ended without a mail have an index.
pub(super) fn list(
    conn: &Connection,
    filter: &Filter,
    before: i64,
    limit: usize,
) -> Result<Page, ReadError> {
    let is_indexed = matches!(
        filter.state,
        Some(State::Dead | State::Suppressed | State::Cancelled)
    );
    let sql = sql(is_indexed);
    let mut found = Vec::new();
    if let Some((first, last)) = bounds(conn)? {
        let mut high = before.min(last.saturating_add(1));
        while high > first && found.len() <= limit {
            let low = if is_indexed {
                first
            } else {
                high.saturating_sub(STRIDE).max(first)
            };
            let more = limit + 1 - found.len();
            found.extend(stride(conn, &sql, filter, low..high, more)?);
            high = low;
        }
    }
    let has_more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| has_more);
    Ok(Page {
        next_cursor: last.map(|(seq, _)| cursor(*seq)),
        deliveries: found.into_iter().map(|(_, record)| record).collect(),
    })
}

fn sql(is_indexed: bool) -> String {
    let state = if is_indexed {
        "d.state > 2 AND d.state = ?3"
    } else {
        "(?3 IS NULL OR d.state = ?3)"
    };
    format!(
        "{DELIVERY} WHERE d.seq < ?1 AND d.seq >= ?2 AND {state} AND (?4 IS NULL OR d.recipient = ?4 COLLATE NOCASE) \
         AND (?5 IS NULL OR d.created_at >= ?5) ORDER BY d.seq DESC LIMIT ?6"
    )
}

/// The lowest and the highest row number.
fn bounds(conn: &Connection) -> rusqlite::Result<Option<(i64, i64)>> {
    const SQL: &str = "SELECT (SELECT min(seq) FROM deliveries), (SELECT max(seq) FROM deliveries)";
    let number = |row: &Row<'_>, column| row.get::<_, Option<i64>>(column);
    conn.query_row(SQL, [], |row| Ok(number(row, 0)?.zip(number(row, 1)?)))
}

/// At most `limit` matching rows of a range, with their row numbers.
fn stride(
    conn: &Connection,
    sql: &str,
    filter: &Filter,
    range: std::ops::Range<i64>,
    limit: usize,
) -> rusqlite::Result<Vec<(i64, DeliveryRecord)>> {
    let tx = conn.unchecked_transaction()?;
    let values = params![
        range.end,
        range.start,
        filter.state.map(state_code),
        filter.to.as_ref().map(Recipient::as_str),
        filter.since.map(Timestamp::as_millis),
        i64::try_from(limit).unwrap_or(i64::MAX)
    ];
    let rows = tx
        .prepare_cached(sql)?
        .query_map(values, delivery)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let seqs: Vec<i64> = rows.iter().map(|(seq, _)| *seq).collect();
    Ok(seqs.into_iter().zip(with_attempts(&tx, rows)?).collect())
}

fn cursor(seq: i64) -> String {
    format!("d{seq:x}")
}

/// The row number behind a cursor.
pub(super) fn parse_cursor(text: &str) -> Option<i64> {
    let seq = i64::from_str_radix(text.strip_prefix('d')?, 16).ok()?;
    (cursor(seq) == text).then_some(seq)
}
