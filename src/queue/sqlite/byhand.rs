//! What an operator does to one delivery.

use rusqlite::{OptionalExtension, params};

use super::batch::Batch;
use super::row::{DELIVERY, attempts, delivery, payload, state, time};
use crate::domain::{DeliveryId, Event, State, Timestamp};
use crate::queue::{DeliveryRecord, VerbError};

const RETRY: &str = "UPDATE deliveries SET state = 0, due_at = ?2, attempts = 0, reason = NULL, ended_at = NULL, expires_at = ?3 WHERE seq = ?1";
const HASTEN: &str = "UPDATE deliveries SET due_at = ?2 WHERE seq = ?1";
const CANCEL: &str = "UPDATE deliveries SET state = 5, ended_at = ?2 WHERE seq = ?1";

type Verdict = Result<DeliveryRecord, VerbError>;

pub(super) fn retry(batch: &mut Batch<'_>, id: DeliveryId, expires_at: Timestamp, now: Timestamp) -> rusqlite::Result<Verdict> {
    let Some((seq, state)) = find(batch, id)? else { return Ok(Err(VerbError::NotFound)) };
    if matches!(state, State::Dead | State::Cancelled) && is_forgotten(batch, seq)? {
        return Ok(Err(VerbError::Forgotten));
    }
    match state {
        State::Queued => {
            if renewed(batch, seq, expires_at, now)?.is_none() {
                return Ok(Err(VerbError::Expired));
            }
            batch.conn.prepare_cached(HASTEN)?.execute(params![seq, now.as_millis()])?
        }
        State::Dead | State::Cancelled => {
            let Some(expires_at) = renewed(batch, seq, expires_at, now)? else { return Ok(Err(VerbError::Expired)) };
            batch.counts.shift(state, State::Queued);
            batch.conn.prepare_cached(RETRY)?.execute(params![seq, now.as_millis(), expires_at.as_millis()])?
        }
        State::Sending | State::Sent | State::Suppressed => return Ok(Err(VerbError::Conflict { state })),
    };
    batch.wake = true;
    record(batch, seq)
}

pub(super) fn cancel(batch: &mut Batch<'_>, id: DeliveryId, now: Timestamp) -> rusqlite::Result<Verdict> {
    let Some((seq, state)) = find(batch, id)? else { return Ok(Err(VerbError::NotFound)) };
    if state != State::Queued {
        return Ok(Err(VerbError::Conflict { state }));
    }
    batch.counts.shift(state, State::Cancelled);
    batch.conn.prepare_cached(CANCEL)?.execute(params![seq, now.as_millis()])?;
    record(batch, seq)
}

/// Until when it may be sent from now on: not longer than the message itself said; none when that is over.
fn renewed(batch: &Batch<'_>, seq: i64, expires_at: Timestamp, now: Timestamp) -> rusqlite::Result<Option<Timestamp>> {
    let mut statement = batch.conn.prepare_cached("SELECT expires_at, event_seq FROM deliveries WHERE seq = ?1")?;
    let (own, event_seq) = statement.query_row([seq], |row| Ok((time(row, 0)?, row.get(1)?)))?;
    let (_, payload, _) = payload(batch.conn, event_seq)?;
    // An event that cannot be read ends as unrenderable, as it would without this question.
    let has_own = serde_json::from_slice::<Event>(&payload).is_ok_and(|event| event.life().is_some());
    Ok(if has_own { Some(own).filter(|own| now < *own) } else { Some(expires_at) })
}

fn find(batch: &Batch<'_>, id: DeliveryId) -> rusqlite::Result<Option<(i64, State)>> {
    let mut statement = batch.conn.prepare_cached("SELECT seq, state FROM deliveries WHERE id = ?1")?;
    statement.query_row([id.0.as_bytes()], |row| Ok((row.get(0)?, state(row, 1)?))).optional()
}

fn is_forgotten(batch: &Batch<'_>, seq: i64) -> rusqlite::Result<bool> {
    const SQL: &str = "SELECT length(e.payload) = 0 FROM deliveries d JOIN events e ON e.seq = d.event_seq WHERE d.seq = ?1";
    batch.conn.prepare_cached(SQL)?.query_row([seq], |row| row.get(0))
}

fn record(batch: &Batch<'_>, seq: i64) -> rusqlite::Result<Verdict> {
    let (seq, mut record) = batch.conn.prepare_cached(&format!("{DELIVERY} WHERE d.seq = ?1"))?.query_row([seq], delivery)?;
    record.attempts = attempts(batch.conn, seq)?;
    Ok(Ok(record))
}
