//! Ends leases.

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, params};

use super::row::{INSERT_ATTEMPT, insert_attempt, int, state_code};
use super::tx::WriteTx;
use super::{secrets, send_history};
use crate::domain::{State, Timestamp};
use crate::queue::transition::{self, Change, Row};
use crate::queue::{Settled, Settlement};

/// The token fences: a row that was claimed again has a higher one. The ID guards against a row
/// number that was purged and reused. Returns the number of attempts that were on record before.
const SETTLE: &str = "UPDATE deliveries SET state = ?4, due_at = ?5, attempts = ?6, reason = ?7, ended_at = ?8, preferred_server = ?9, \
     attempt_rows = attempt_rows + ?10 WHERE seq = ?1 AND id = ?2 AND token = ?3 AND state = 1 RETURNING attempt_rows - ?10";

/// Makes room for the attempts of a stale settlement, unless they are on record already: a commit
/// whose result was unknown is repeated.
const STALE: &str = "UPDATE deliveries SET attempt_rows = attempt_rows + ?3 WHERE seq = ?1 AND id = ?2 AND NOT EXISTS \
     (SELECT 1 FROM attempts WHERE delivery_seq = ?1 AND number = ?4 AND server = ?5 AND at = ?6) RETURNING attempt_rows - ?3";

pub(super) fn run(
    tx: &mut WriteTx<'_>,
    settlements: &[Settlement],
    now: Timestamp,
) -> rusqlite::Result<Vec<Settled>> {
    let conn = tx.conn;
    let mut settle = conn.prepare_cached(SETTLE)?;
    let mut record = conn.prepare_cached(INSERT_ATTEMPT)?;
    let mut answers = Vec::with_capacity(settlements.len());
    for settlement in settlements {
        let row = Row {
            attempts: settlement.lease.attempt,
            preferred_server: settlement.lease.preferred_server.as_deref(),
        };
        let change = transition::settle(row, &settlement.outcome, now);
        let settled = execute(&mut settle, settlement, &change)?;
        let first = match settled {
            Some(first) => Some(first),
            None => first_stale(conn, settlement)?,
        };
        for (number, attempt) in first
            .into_iter()
            .flat_map(|first| first..)
            .zip(&settlement.attempts)
        {
            insert_attempt(&mut record, settlement.lease.row_seq, number, attempt)?;
        }
        if settled.is_none() {
            answers.push(Settled::Stale);
            continue;
        }
        tx.counts.shift(State::Sending, change.state);
        tx.wake |= change.state == State::Queued;
        if change.ended_at.is_some() && settlement.lease.kind.holds_secret() {
            secrets::remove(
                conn,
                settlement.lease.row_seq,
                settlement.lease.stored.json(),
            )?;
        }
        answers.push(Settled::Done);
    }
    send_history::record(conn, settlements, now)?;
    Ok(answers)
}

/// The number of the first attempt of a stale settlement; `None` when there is nothing to record.
fn first_stale(conn: &Connection, settlement: &Settlement) -> rusqlite::Result<Option<i64>> {
    let Some(attempt) = settlement.attempts.first() else {
        return Ok(None);
    };
    let lease = &settlement.lease;
    let values = params![
        lease.row_seq,
        lease.id.0.as_bytes(),
        int(settlement.attempts.len()),
        attempt.number,
        &*attempt.server,
        attempt.at.as_millis(),
    ];
    conn.prepare_cached(STALE)?
        .query_row(values, |row| row.get(0))
        .optional()
}

/// Writes a change if the lease holds. Returns the number of attempts that were on record before;
/// `None` when the lease is stale.
fn execute(
    statement: &mut CachedStatement<'_>,
    settlement: &Settlement,
    change: &Change<'_>,
) -> rusqlite::Result<Option<i64>> {
    let lease = &settlement.lease;
    let values = params![
        lease.row_seq,
        lease.id.0.as_bytes(),
        int(lease.token),
        state_code(change.state),
        change.due_at.as_millis(),
        change.attempts,
        change.reason,
        change.ended_at.map(Timestamp::as_millis),
        change.preferred_server,
        int(settlement.attempts.len()),
    ];
    statement.query_row(values, |row| row.get(0)).optional()
}
