//! Ends leases.

use rusqlite::{CachedStatement, params};

use super::row::{INSERT_ATTEMPT, insert_attempt, int, state_code};
use super::tx::WriteTx;
use super::{secrets, send_history};
use crate::domain::{Outcome, State, Timestamp};
use crate::queue::{Settled, Settlement};

/// The token fences: a row that was claimed again has a higher one. The id guards against a row
/// number that was purged and given anew.
const SETTLE: &str = "UPDATE deliveries SET state = ?4, due_at = ?5, attempts = attempts - ?6, reason = ?7, ended_at = ?8, preferred_server = ?9, \
     attempt_rows = attempt_rows + ?10 WHERE seq = ?1 AND id = ?2 AND token = ?3 AND state = 1";

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
        if !change.execute(&mut settle, settlement)? {
            answers.push(Settled::Stale);
            continue;
        }
        tx.counts.shift(State::Sending, change.state);
        tx.wake |= change.state == State::Queued;
        for (number, attempt) in (settlement.lease.row.attempt_rows..).zip(&settlement.attempts) {
            insert_attempt(&mut record, settlement.lease.row.seq, number, attempt)?;
        }
        if change.ended_at.is_some() && settlement.lease.kind.holds_secret() {
            secrets::remove(conn, settlement.lease.row.seq, &settlement.lease.payload)?;
        }
        answers.push(Settled::Done);
    }
    send_history::record(conn, settlements, now)?;
    Ok(answers)
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

    fn execute(
        &self,
        statement: &mut CachedStatement<'_>,
        settlement: &Settlement,
    ) -> rusqlite::Result<bool> {
        let lease = &settlement.lease;
        let changed = statement.execute(params![
            lease.row.seq,
            lease.id.0.as_bytes(),
            int(lease.token),
            state_code(self.state),
            self.due_at.as_millis(),
            self.uncounted,
            self.reason,
            self.ended_at,
            self.preferred_server,
            int(settlement.attempts.len()),
        ])?;
        Ok(changed == 1)
    }
}
