//! Operator verbs for one delivery.

use std::sync::Arc;

use rusqlite::{OptionalExtension, Row as SqlRow, params};

use super::row::{DELIVERY, attempts, delivery, state, time};
use super::tx::WriteTx;
use super::{change, secrets};
use crate::domain::{DeliveryId, Event, State, SuppressReason, Timestamp};
use crate::queue::transition::{Change, Row, Stored};
use crate::queue::vault::{self, Opened, Vault};
use crate::queue::{DeliveryRecord, OperatorError};

const FIND: &str = "SELECT d.seq, d.state, d.attempts, d.preferred_server, d.retried_at, d.expires_at, e.id, e.payload \
     FROM deliveries d JOIN events e ON e.seq = d.event_seq WHERE d.id = ?1";
const NOTE_RETRY: &str = "UPDATE deliveries SET retried_at = ?2, expires_at = ?3 WHERE seq = ?1";

type Answer = Result<DeliveryRecord, OperatorError>;

pub(super) fn retry(
    tx: &mut WriteTx<'_>,
    id: DeliveryId,
    expires_at: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<Answer> {
    let Some(found) = find(tx, id)? else {
        return Ok(Err(OperatorError::NotFound));
    };
    let stored = found.stored();
    let change = match stored.retry(now) {
        Ok(change) => change,
        Err(refused) => return Ok(Err(refused)),
    };
    // A queued delivery keeps its expiry, and a retry does not extend the TTL of a message.
    let expires_at = match stored.state {
        State::Queued => found.expires_at,
        _ => stored.ttl_end.unwrap_or(expires_at),
    };
    tx.conn.prepare_cached(NOTE_RETRY)?.execute(params![
        found.seq,
        now.as_millis(),
        expires_at.as_millis()
    ])?;
    tx.wake = true;
    write(tx, &found, &change)
}

pub(super) fn cancel(
    tx: &mut WriteTx<'_>,
    id: DeliveryId,
    now: Timestamp,
) -> rusqlite::Result<Answer> {
    end(tx, id, |stored| stored.cancel(now))
}

pub(super) fn suppress(
    tx: &mut WriteTx<'_>,
    id: DeliveryId,
    reason: SuppressReason,
    now: Timestamp,
) -> rusqlite::Result<Answer> {
    end(tx, id, |stored| stored.suppress(reason, now))
}

/// Ends a delivery without a mail. Attempts, history and Message-ID stay.
fn end(
    tx: &mut WriteTx<'_>,
    id: DeliveryId,
    transition: impl for<'a> FnOnce(Stored<'a>) -> Result<Change<'a>, OperatorError>,
) -> rusqlite::Result<Answer> {
    let Some(found) = find(tx, id)? else {
        return Ok(Err(OperatorError::NotFound));
    };
    match transition(found.stored()) {
        Ok(change) => {
            let answer = write(tx, &found, &change)?;
            secrets::remove_of(tx, found.seq)?;
            Ok(answer)
        }
        Err(refused) => Ok(Err(refused)),
    }
}

fn write(tx: &mut WriteTx<'_>, found: &Found, change: &Change<'_>) -> rusqlite::Result<Answer> {
    change::write(tx.conn, found.seq, change)?;
    if change.state != found.state {
        tx.counts.shift(found.state, change.state);
    }
    let (seq, mut record) = tx
        .conn
        .prepare_cached(&format!("{DELIVERY} WHERE d.seq = ?1"))?
        .query_row([found.seq], delivery)?;
    record.attempts = attempts(tx.conn, seq)?;
    Ok(Ok(record))
}

/// A delivery on record.
struct Found {
    seq: i64,
    state: State,
    attempts: u32,
    preferred_server: Option<Arc<str>>,
    expires_at: Timestamp,
    /// Whether `expires_at` is the end of the message's own TTL.
    has_ttl: bool,
    is_redacted: bool,
    retried_at: Option<Timestamp>,
}

impl Found {
    fn stored(&self) -> Stored<'_> {
        Stored {
            row: Row {
                attempts: self.attempts,
                preferred_server: self.preferred_server.as_deref(),
            },
            state: self.state,
            ttl_end: self.has_ttl.then_some(self.expires_at),
            is_redacted: self.is_redacted,
            retried_at: self.retried_at,
        }
    }

    fn read(vault: &Vault, row: &SqlRow<'_>) -> rusqlite::Result<Self> {
        let payload = row.get_ref(7)?.as_blob()?;
        let event = match vault::open(vault, row.get_ref(6)?.as_str()?, payload) {
            Opened::Whole(json) => serde_json::from_slice::<Event>(&json).ok(),
            Opened::Masked(json) => serde_json::from_slice(json).ok(),
            // An unreadable event ends as unrenderable later.
            Opened::Gone | Opened::Damaged => None,
        };
        Ok(Self {
            seq: row.get(0)?,
            state: state(row, 1)?,
            attempts: row.get(2)?,
            preferred_server: row.get(3)?,
            retried_at: row.get::<_, Option<i64>>(4)?.map(Timestamp::from_millis),
            expires_at: time(row, 5)?,
            has_ttl: event.is_some_and(|event| event.ttl().is_some()),
            is_redacted: vault::is_redacted(payload),
        })
    }
}

fn find(tx: &WriteTx<'_>, id: DeliveryId) -> rusqlite::Result<Option<Found>> {
    let mut statement = tx.conn.prepare_cached(FIND)?;
    statement
        .query_row([id.0.as_bytes()], |row| Found::read(tx.vault, row))
        .optional()
}
