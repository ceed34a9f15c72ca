//! Operator verbs for one delivery.

use std::borrow::Cow;
use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use super::row::{DELIVERY, attempts, delivery, state, time};
use super::secrets;
use super::tx::WriteTx;
use crate::domain::{DeliveryId, Event, State, SuppressReason, Timestamp};
use crate::queue::vault::{self, Opened};
use crate::queue::{DeliveryRecord, OperatorError};

const RETRY: &str = "UPDATE deliveries SET state = 0, due_at = ?2, attempts = 0, reason = NULL, ended_at = NULL, expires_at = ?3, retried_at = ?2 \
     WHERE seq = ?1";
const MAKE_DUE: &str = "UPDATE deliveries SET due_at = ?2, retried_at = ?2 WHERE seq = ?1";
/// Attempts, history and Message-ID stay.
const SUPPRESS: &str = "UPDATE deliveries SET state = 4, reason = ?2, ended_at = ?3 WHERE seq = ?1";
const CANCEL: &str = "UPDATE deliveries SET state = 5, ended_at = ?2 WHERE seq = ?1";

/// The shortest time between two retries by the operator, which protects mail servers from endless
/// retries.
const BETWEEN_RETRIES: Duration = Duration::from_mins(1);

type Verdict = Result<DeliveryRecord, OperatorError>;

pub(super) fn retry(
    tx: &mut WriteTx<'_>,
    id: DeliveryId,
    expires_at: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<Verdict> {
    let Some((seq, state)) = find(tx, id)? else {
        return Ok(Err(OperatorError::NotFound));
    };
    if !matches!(state, State::Queued | State::Dead | State::Cancelled) {
        return Ok(Err(OperatorError::Conflict { state }));
    }
    let Some(expires_at) = new_expiry(tx, seq, expires_at, now)? else {
        return Ok(Err(OperatorError::Expired));
    };
    if state != State::Queued && is_redacted(tx, seq)? {
        return Ok(Err(OperatorError::PayloadRemoved));
    }
    if let Some(wait) = pause_left(tx, seq, now)? {
        return Ok(Err(OperatorError::TooSoon { wait }));
    }
    if state == State::Queued {
        tx.conn
            .prepare_cached(MAKE_DUE)?
            .execute(params![seq, now.as_millis()])?;
    } else {
        tx.counts.shift(state, State::Queued);
        tx.conn.prepare_cached(RETRY)?.execute(params![
            seq,
            now.as_millis(),
            expires_at.as_millis()
        ])?;
    }
    tx.wake = true;
    record(tx, seq)
}

pub(super) fn cancel(
    tx: &mut WriteTx<'_>,
    id: DeliveryId,
    now: Timestamp,
) -> rusqlite::Result<Verdict> {
    let Some((seq, state)) = find(tx, id)? else {
        return Ok(Err(OperatorError::NotFound));
    };
    if state != State::Queued {
        return Ok(Err(OperatorError::Conflict { state }));
    }
    tx.counts.shift(state, State::Cancelled);
    tx.conn
        .prepare_cached(CANCEL)?
        .execute(params![seq, now.as_millis()])?;
    secrets::remove_of(tx, seq)?;
    record(tx, seq)
}

/// Suppresses a delivery that is not sending.
pub(super) fn suppress(
    tx: &mut WriteTx<'_>,
    id: DeliveryId,
    reason: SuppressReason,
    now: Timestamp,
) -> rusqlite::Result<Verdict> {
    let Some((seq, state)) = find(tx, id)? else {
        return Ok(Err(OperatorError::NotFound));
    };
    if !matches!(state, State::Queued | State::Dead | State::Cancelled) {
        return Ok(Err(OperatorError::Conflict { state }));
    }
    tx.counts.shift(state, State::Suppressed);
    tx.conn
        .prepare_cached(SUPPRESS)?
        .execute(params![seq, reason.as_str(), now.as_millis()])?;
    secrets::remove_of(tx, seq)?;
    record(tx, seq)
}

/// How long until the delivery may be retried again; `None` if it may be now, or if the last retry
/// is in the future after a backward clock step.
fn pause_left(tx: &WriteTx<'_>, seq: i64, now: Timestamp) -> rusqlite::Result<Option<Duration>> {
    let mut statement = tx
        .conn
        .prepare_cached("SELECT retried_at FROM deliveries WHERE seq = ?1")?;
    let last = statement
        .query_row([seq], |row| row.get::<_, Option<i64>>(0))?
        .map(Timestamp::from_millis);
    let again = last
        .filter(|last| *last <= now)
        .map(|last| last.after(BETWEEN_RETRIES));
    Ok(again
        .filter(|again| now < *again)
        .map(|again| again.since(now)))
}

/// The new expiry: the TTL of the message is not extended. `None` if it is over.
fn new_expiry(
    tx: &WriteTx<'_>,
    seq: i64,
    expires_at: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<Option<Timestamp>> {
    const SQL: &str = "SELECT d.expires_at, e.id, e.payload FROM deliveries d JOIN events e ON e.seq = d.event_seq WHERE d.seq = ?1";
    let (own, event) = tx.conn.prepare_cached(SQL)?.query_row([seq], |row| {
        let json = match vault::open(
            tx.vault,
            row.get_ref(1)?.as_str()?,
            row.get_ref(2)?.as_blob()?,
        ) {
            Opened::Whole(json) => json,
            Opened::Masked(json) => Cow::Borrowed(json),
            // An unreadable event ends as unrenderable later.
            Opened::Gone | Opened::Damaged => Cow::Borrowed(&[][..]),
        };
        Ok((time(row, 0)?, serde_json::from_slice::<Event>(&json).ok()))
    })?;
    let has_own = event.is_some_and(|event| event.ttl().is_some());
    Ok(if has_own {
        Some(own).filter(|own| now < *own)
    } else {
        Some(expires_at)
    })
}

fn find(tx: &WriteTx<'_>, id: DeliveryId) -> rusqlite::Result<Option<(i64, State)>> {
    let mut statement = tx
        .conn
        .prepare_cached("SELECT seq, state FROM deliveries WHERE id = ?1")?;
    statement
        .query_row([id.0.as_bytes()], |row| Ok((row.get(0)?, state(row, 1)?)))
        .optional()
}

/// Whether the payload or its secrets were removed.
fn is_redacted(tx: &WriteTx<'_>, seq: i64) -> rusqlite::Result<bool> {
    const SQL: &str = "SELECT length(e.payload) = 0 OR substr(e.payload, 1, 1) = x'02' FROM deliveries d JOIN events e ON e.seq = d.event_seq WHERE d.seq = ?1";
    tx.conn
        .prepare_cached(SQL)?
        .query_row([seq], |row| row.get(0))
}

fn record(tx: &WriteTx<'_>, seq: i64) -> rusqlite::Result<Verdict> {
    let (seq, mut record) = tx
        .conn
        .prepare_cached(&format!("{DELIVERY} WHERE d.seq = ?1"))?
        .query_row([seq], delivery)?;
    record.attempts = attempts(tx.conn, seq)?;
    Ok(Ok(record))
}
