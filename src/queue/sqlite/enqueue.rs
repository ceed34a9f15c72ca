//! Takes events: all of a group or none, each once.

use rusqlite::{CachedStatement, OptionalExtension, params};

use super::batch::Batch;
use super::row::{lane_code, parse, state_code};
use crate::domain::{Delivery, EventId, Plan, State, Timestamp};
use crate::queue::entry::Entry;
use crate::queue::{EnqueueError, Enqueued};

const INSERT_EVENT: &str = "INSERT INTO events (id, key, content, source, received_at, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";

const INSERT_DELIVERY: &str = "INSERT INTO deliveries (id, event_seq, state, lane, due_at, created_at, expires_at, ended_at, kind, reason, recipient, \
     message_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";

/// The outer result is the disk's, the inner one the group's.
pub(super) fn run(batch: &mut Batch<'_>, group: &[Entry], now: Timestamp) -> rusqlite::Result<Result<Vec<Enqueued>, EnqueueError>> {
    let before = batch.counts;
    // A lone event is refused before anything is written, so only a real group needs a way back.
    let guarded = group.len() > 1;
    if guarded {
        batch.conn.execute_batch("SAVEPOINT taking")?;
    }
    let verdict = take(batch, group, now)?;
    if verdict.is_err() {
        batch.counts = before;
    }
    if guarded {
        batch.conn.execute_batch(if verdict.is_err() { "ROLLBACK TO taking; RELEASE taking" } else { "RELEASE taking" })?;
    }
    if batch.counts.queued > before.queued {
        batch.wake = true;
    }
    Ok(verdict)
}

fn take(batch: &mut Batch<'_>, group: &[Entry], now: Timestamp) -> rusqlite::Result<Result<Vec<Enqueued>, EnqueueError>> {
    let conn = batch.conn;
    let mut insert_event = conn.prepare_cached(INSERT_EVENT)?;
    let mut insert_delivery = conn.prepare_cached(INSERT_DELIVERY)?;
    let mut answers = Vec::with_capacity(group.len());
    for (index, entry) in group.iter().enumerate() {
        let fits = batch.counts.pending().saturating_add(entry.waiting) <= batch.max_pending;
        let key = entry.key.as_deref();
        if fits && insert_event.execute(params![entry.id.as_str(), key, entry.content, entry.source.0, now.as_millis(), entry.payload])? == 1 {
            let event_seq = conn.last_insert_rowid();
            for delivery in &entry.deliveries {
                let state = insert(&mut insert_delivery, event_seq, delivery, now)?;
                batch.counts.accept(state);
            }
            answers.push(Enqueued::New);
            continue;
        }
        match known(batch, entry)? {
            Some(Known::Same(id)) => answers.push(Enqueued::Duplicate { id }),
            Some(Known::Other(id)) => return Ok(Err(EnqueueError::Conflict { index, id })),
            None => return Ok(Err(EnqueueError::Full)),
        }
    }
    Ok(Ok(answers))
}

fn insert(statement: &mut CachedStatement<'_>, event_seq: i64, delivery: &Delivery, now: Timestamp) -> rusqlite::Result<State> {
    let (state, due_at, ended_at, reason) = match delivery.plan {
        Plan::Send(not_before) => (State::Queued, not_before, None, None),
        Plan::Suppress(reason) => (State::Suppressed, now, Some(now.as_millis()), Some(reason.as_str())),
    };
    statement.execute(params![
        delivery.id.0.as_bytes(),
        event_seq,
        state_code(state),
        lane_code(delivery.lane),
        due_at.as_millis(),
        delivery.created_at.as_millis(),
        delivery.expires_at.as_millis(),
        ended_at,
        delivery.kind.as_str(),
        reason,
        delivery.recipient.as_str(),
        delivery.message_id,
    ])?;
    Ok(state)
}

/// The event on record that an entry names by its id or its key.
enum Known {
    /// With the same content.
    Same(EventId),
    /// With other content, or id and key name two different events.
    Other(EventId),
}

fn known(batch: &Batch<'_>, entry: &Entry) -> rusqlite::Result<Option<Known>> {
    let find = |sql: &str, name: &str| {
        let mut statement = batch.conn.prepare_cached(sql)?;
        statement.query_row([name], |row| Ok((parse(row, 0, |id| EventId::parse(id).ok())?, row.get::<_, [u8; 32]>(1)?))).optional()
    };
    let by_id = find("SELECT id, content FROM events WHERE id = ?1", entry.id.as_str())?;
    let by_key = match &entry.key {
        Some(key) => find("SELECT id, content FROM events WHERE key = ?1", key)?,
        None => None,
    };
    Ok(match (by_id, by_key) {
        (Some((id, _)), Some((other, _))) if id != other => Some(Known::Other(id)),
        (Some((id, content)), _) | (None, Some((id, content))) => Some(if content == entry.content { Known::Same(id) } else { Known::Other(id) }),
        (None, None) => None,
    })
}
