//! Stores groups of events, all or none, each event once.

use rusqlite::{CachedStatement, OptionalExtension, params};

use super::row::{lane_code, parse, state_code};
use super::thumbnails;
use super::tx::WriteTx;
use crate::domain::{Delivery, EventId, Plan, State, Timestamp};
use crate::queue::counts::capacity;
use crate::queue::prepared::{Key, PreparedEvent, PreparedRequest};
use crate::queue::{EnqueueError, Enqueued};

const INSERT_EVENT: &str = "INSERT INTO events (id, content_hash, source, received_at, payload, pictures) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";

const INSERT_DELIVERY: &str = "INSERT INTO deliveries (id, event_seq, state, lane, due_at, created_at, expires_at, ended_at, kind, reason, recipient, \
     message_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";

const FIND_KEY: &str = "SELECT content_hash, ids FROM keys WHERE key = ?1";

const INSERT_KEY: &str =
    "INSERT INTO keys (key, content_hash, ids, event_seq) VALUES (?1, ?2, ?3, ?4)";

/// The outer result is the disk's, the inner one the group's.
pub(super) fn run(
    tx: &mut WriteTx<'_>,
    group: &PreparedRequest,
    now: Timestamp,
) -> rusqlite::Result<Result<Vec<Enqueued>, EnqueueError>> {
    if let Some(earlier) = group
        .key
        .as_ref()
        .map(|key| answered(tx, key))
        .transpose()?
        .flatten()
    {
        return Ok(earlier);
    }
    let before = tx.counts;
    // A single event is refused before anything is written, so only a larger group needs a
    // savepoint.
    let guarded = group.entries.len() > 1;
    if guarded {
        tx.conn.execute_batch("SAVEPOINT enqueue")?;
    }
    let verdict = take(tx, group, now)?;
    if verdict.is_err() {
        tx.counts = before;
    }
    if guarded {
        tx.conn.execute_batch(if verdict.is_err() {
            "ROLLBACK TO enqueue; RELEASE enqueue"
        } else {
            "RELEASE enqueue"
        })?;
    }
    if tx.counts.queued > before.queued {
        tx.wake = true;
    }
    Ok(verdict)
}

fn take(
    tx: &mut WriteTx<'_>,
    group: &PreparedRequest,
    now: Timestamp,
) -> rusqlite::Result<Result<Vec<Enqueued>, EnqueueError>> {
    let mut inserts = Inserts {
        event: tx.conn.prepare_cached(INSERT_EVENT)?,
        delivery: tx.conn.prepare_cached(INSERT_DELIVERY)?,
    };
    let mut answers = Vec::with_capacity(group.entries.len());
    let mut last = 0;
    for (index, entry) in group.entries.iter().enumerate() {
        if let Some(id) = excluded(tx, entry)? {
            return Ok(Err(EnqueueError::Superseded { index, id }));
        }
        if let Some(event_seq) = inserts.insert(tx, entry, now)? {
            last = last.max(event_seq);
            answers.push(Enqueued::New);
            continue;
        }
        let id = entry.id.clone();
        match known(tx, entry)? {
            Some((event_seq, content)) if entry.content.is(&content) => {
                last = last.max(event_seq);
                answers.push(Enqueued::Duplicate { id });
            }
            Some(_) => return Ok(Err(EnqueueError::Conflict { index, id })),
            None => return Ok(Err(EnqueueError::Full)),
        }
    }
    if let Some(key) = group.key.as_ref().filter(|_| !answers.is_empty()) {
        let ids = group.entries.iter().map(|entry| entry.id.as_str());
        let ids: serde_json::Value = ids.collect();
        tx.conn.prepare_cached(INSERT_KEY)?.execute(params![
            key.name,
            key.content.digest,
            ids.to_string(),
            last
        ])?;
    }
    Ok(Ok(answers))
}

/// The statements of an enqueue, prepared once for a group.
struct Inserts<'c> {
    event: CachedStatement<'c>,
    delivery: CachedStatement<'c>,
}

impl Inserts<'_> {
    /// Inserts an event with its deliveries and returns its row number. `None` if its id is known
    /// or the queue is full.
    fn insert(
        &mut self,
        tx: &mut WriteTx<'_>,
        entry: &PreparedEvent,
        now: Timestamp,
    ) -> rusqlite::Result<Option<i64>> {
        let pending = tx.counts.pending().saturating_add(entry.waiting);
        if pending > capacity(tx.max_pending, entry.is_urgent) {
            return Ok(None);
        }
        let inserted = self.event.execute(params![
            entry.id.as_str(),
            entry.content.digest,
            entry.source.0,
            now.as_millis(),
            entry.payload,
            entry.thumbnails_until.is_some()
        ])?;
        if inserted == 0 {
            return Ok(None);
        }
        let event_seq = tx.conn.last_insert_rowid();
        if let Some(until) = entry.thumbnails_until {
            thumbnails::wait(tx.conn, event_seq, until)?;
            tx.wake_thumbnails = true;
        }
        for delivery in &entry.deliveries {
            let state = insert(&mut self.delivery, event_seq, delivery, now)?;
            tx.counts.accept(state);
        }
        Ok(Some(event_seq))
    }
}

fn insert(
    statement: &mut CachedStatement<'_>,
    event_seq: i64,
    delivery: &Delivery,
    now: Timestamp,
) -> rusqlite::Result<State> {
    let (state, due_at, ended_at, reason) = match delivery.plan {
        Plan::Send(not_before) => (State::Queued, not_before, None, None),
        Plan::Suppress(reason) => (
            State::Suppressed,
            now,
            Some(now.as_millis()),
            Some(reason.as_str()),
        ),
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

/// The first event on record that excludes the entry.
fn excluded(tx: &WriteTx<'_>, entry: &PreparedEvent) -> rusqlite::Result<Option<EventId>> {
    if entry.excludes.is_empty() {
        return Ok(None);
    }
    let mut statement = tx
        .conn
        .prepare_cached("SELECT 1 FROM events WHERE id = ?1")?;
    for id in &entry.excludes {
        if statement.exists([id.as_str()])? {
            return Ok(Some(id.clone()));
        }
    }
    Ok(None)
}

/// The row number and the content of the event on record under the entry's id.
fn known(tx: &WriteTx<'_>, entry: &PreparedEvent) -> rusqlite::Result<Option<(i64, [u8; 32])>> {
    let mut statement = tx
        .conn
        .prepare_cached("SELECT seq, content_hash FROM events WHERE id = ?1")?;
    statement
        .query_row([entry.id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// The earlier answer to the request with this key, if any, including the ids of events purged
/// since.
fn answered(
    tx: &WriteTx<'_>,
    key: &Key,
) -> rusqlite::Result<Option<Result<Vec<Enqueued>, EnqueueError>>> {
    let mut statement = tx.conn.prepare_cached(FIND_KEY)?;
    let found = statement.query_row([&key.name], |row| {
        Ok((
            row.get::<_, [u8; 32]>(0)?,
            parse(row, 1, |ids| serde_json::from_str(ids).ok())?,
        ))
    });
    Ok(found.optional()?.map(|(content, ids): (_, Vec<EventId>)| {
        if key.content.is(&content) {
            Ok(ids
                .into_iter()
                .map(|id| Enqueued::Duplicate { id })
                .collect())
        } else {
            Err(EnqueueError::KeyTaken)
        }
    }))
}
