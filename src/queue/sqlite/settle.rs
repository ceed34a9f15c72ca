//! Ends leases.

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, params};

use super::row::{INSERT_ATTEMPT, insert_attempt, int, state_code};
use super::tx::WriteTx;
use super::{secrets, send_history};
use crate::domain::{Outcome, State, Timestamp};
use crate::queue::{Settled, Settlement};

/// The token fences: a row that was claimed again has a higher one. The ID guards against a row
/// number that was purged and reused. Returns the number of attempts that were on record before.
const SETTLE: &str = "UPDATE deliveries SET state = ?4, due_at = ?5, attempts = attempts - ?6, reason = ?7, ended_at = ?8, preferred_server = ?9, \
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
        let change = Change::of(settlement, now);
        let settled = change.execute(&mut settle, settlement)?;
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

/// What a verdict makes of the row.
struct Change<'a> {
    state: State,
    due_at: Timestamp,
    uncounted: i64,
    reason: Option<&'static str>,
    ended_at: Option<i64>,
    preferred_server: Option<&'a str>,
}

impl<'a> Change<'a> {
    fn of(settlement: &'a Settlement, now: Timestamp) -> Self {
        let kept = settlement.lease.preferred_server.as_deref();
        let ended_at = Some(now.as_millis());
        let end = |state, reason, preferred_server| Self {
            state,
            due_at: now,
            uncounted: 0,
            reason,
            ended_at,
            preferred_server,
        };
        let again = |due_at, counted: bool, preferred_server| Self {
            state: State::Queued,
            due_at,
            uncounted: i64::from(!counted),
            reason: None,
            ended_at: None,
            preferred_server,
        };
        match &settlement.outcome {
            Outcome::Sent => end(State::Sent, None, None),
            // Kept for a retry by hand: the mail may still be with that server.
            Outcome::Dead(reason) => end(State::Dead, Some(reason.as_str()), kept),
            Outcome::Suppressed(reason) => end(State::Suppressed, Some(reason.as_str()), None),
            Outcome::RetryAt {
                at,
                counted,
                preferred_server,
            } => again(*at, *counted, preferred_server.as_deref()),
            Outcome::Released => again(now, false, kept),
        }
    }

    /// The number of attempts that were on record before; `None` when the lease is stale.
    fn execute(
        &self,
        statement: &mut CachedStatement<'_>,
        settlement: &Settlement,
    ) -> rusqlite::Result<Option<i64>> {
        let lease = &settlement.lease;
        let values = params![
            lease.row_seq,
            lease.id.0.as_bytes(),
            int(lease.token),
            state_code(self.state),
            self.due_at.as_millis(),
            self.uncounted,
            self.reason,
            self.ended_at,
            self.preferred_server,
            int(settlement.attempts.len()),
        ];
        statement.query_row(values, |row| row.get(0)).optional()
    }
}
