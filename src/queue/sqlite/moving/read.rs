//! Reads a whole queue.

use rusqlite::{Row, params};
use uuid::Uuid;

use super::opened::Moving;
use crate::queue::moved::{
    MovedAttempt, MovedDelivery, MovedEvent, MovedKey, MovedPayload, MovedPicture, MovedRest,
    MovedUse, hex,
};

pub(super) const MINUTE: i64 = 60_000;

const EVENTS: &str = "SELECT e.seq, e.id, e.content_hash, e.source, e.received_at, e.payload, e.pictures, j.deadline \
     FROM events e LEFT JOIN thumbnail_jobs j ON j.event_seq = e.seq WHERE e.seq > ?1 ORDER BY e.seq LIMIT ?2";
const PICTURES: &str = "SELECT place, reason, width, height, jpeg, partial FROM pictures WHERE event_seq = ?1 ORDER BY place";
const DELIVERIES: &str = "SELECT seq, id, state, lane, due_at, attempts, token, created_at, expires_at, ended_at, retried_at, kind, reason, \
     preferred_server, recipient, message_id FROM deliveries WHERE event_seq = ?1 ORDER BY seq";
const ATTEMPTS: &str = "SELECT number, server, at, took_ms, result, stage, code, enhanced, text, detail, cause, advice FROM attempts \
     WHERE delivery_seq = ?1 ORDER BY at, try";
const KEYS: &str = "SELECT key, content_hash, ids FROM keys WHERE key > ?1 ORDER BY key LIMIT ?2";

impl Moving {
    /// The next events, of at most this number and size of payloads; empty at the end.
    pub(in crate::queue) fn events(
        &mut self,
        most: usize,
        bytes: usize,
    ) -> rusqlite::Result<Vec<MovedEvent>> {
        let mut events = Vec::new();
        let mut size = 0;
        let mut statement = self.conn.prepare_cached(EVENTS)?;
        let mut rows = statement.query(params![
            self.last.0,
            i64::try_from(most).unwrap_or(i64::MAX)
        ])?;
        while let Some(row) = rows.next()? {
            let event = self.event(row)?;
            size += event.payload.len() + event.deliveries.len() * 1_000;
            self.last.0 = row.get(0)?;
            events.push(event);
            if size > bytes {
                break;
            }
        }
        Ok(events)
    }

    fn event(&self, row: &Row<'_>) -> rusqlite::Result<MovedEvent> {
        let seq: i64 = row.get(0)?;
        let mut pictures = self.conn.prepare_cached(PICTURES)?;
        let pictures = pictures.query_map([seq], |row| {
            Ok(MovedPicture {
                place: row.get(0)?,
                reason: text(row, 1)?,
                width: row.get(2)?,
                height: row.get(3)?,
                jpeg: row
                    .get::<_, Option<Vec<u8>>>(4)?
                    .map(|jpeg| hex::encode(&jpeg)),
                partial: row.get(5)?,
            })
        })?;
        let mut deliveries = self.conn.prepare_cached(DELIVERIES)?;
        let deliveries = deliveries.query_map([seq], |row| self.delivery(row))?;
        Ok(MovedEvent {
            id: row.get(1)?,
            content: row.get(2)?,
            source: row.get(3)?,
            received_at: self.wall(row.get(4)?),
            payload: row.get(5)?,
            thumbnails: row.get(6)?,
            deadline: row.get::<_, Option<i64>>(7)?.map(|at| self.wall(at)),
            pictures: pictures.collect::<Result<_, _>>()?,
            deliveries: deliveries.collect::<Result<_, _>>()?,
        })
    }

    fn delivery(&self, row: &Row<'_>) -> rusqlite::Result<MovedDelivery> {
        let seq: i64 = row.get(0)?;
        let mut tries = self.conn.prepare_cached(ATTEMPTS)?;
        let tries = tries.query_map([seq], |row| {
            Ok(MovedAttempt {
                number: row.get(0)?,
                server: row.get(1)?,
                started_at: self.wall(row.get(2)?),
                took_ms: row.get(3)?,
                result: row.get(4)?,
                stage: row.get(5)?,
                code: row.get(6)?,
                enhanced: text(row, 7)?,
                reply: text(row, 8)?,
                detail: text(row, 9)?,
                cause: text(row, 10)?,
                advice: text(row, 11)?,
            })
        })?;
        // A daemon returned what was being sent, above.
        let state: i16 = row.get(2)?;
        let wall = |column| {
            let at = row.get::<_, Option<i64>>(column);
            at.map(|at| at.map(|at| self.wall(at)))
        };
        let state = if state < 2 { 0 } else { state };
        Ok(MovedDelivery {
            id: Uuid::from_bytes(row.get(1)?),
            state,
            lane: row.get(3)?,
            due_at: wall(4)?.filter(|_| state == 0),
            attempts: row.get(5)?,
            token: row.get(6)?,
            created_at: self.wall(row.get(7)?),
            expires_at: self.wall(row.get(8)?),
            ended_at: wall(9)?,
            retried_at: wall(10)?,
            kind: row.get(11)?,
            reason: text(row, 12)?,
            preferred_server: text(row, 13)?,
            recipient: row.get(14)?,
            message_id: row.get(15)?,
            tries: tries.collect::<Result<_, _>>()?,
        })
    }

    /// The next keys; empty at the end.
    pub(in crate::queue) fn keys(&mut self, most: usize) -> rusqlite::Result<Vec<MovedKey>> {
        let mut statement = self.conn.prepare_cached(KEYS)?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let keys = statement.query_map(params![self.last.1, most], |row| {
            Ok(MovedKey {
                key: row.get(0)?,
                content: row.get(1)?,
                ids: row.get(2)?,
            })
        })?;
        let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
        if let Some(last) = keys.last() {
            self.last.1.clone_from(&last.key);
        }
        Ok(keys)
    }

    pub(in crate::queue) fn rest(&self) -> rusqlite::Result<MovedRest> {
        let mut payloads = self.conn.prepare("SELECT seq, hook, digest, first_at, last_at, times, why, payload FROM unmapped_payloads")?;
        let payloads = payloads.query_map([], |row| {
            Ok(MovedPayload {
                seq: row.get(0)?,
                hook: row.get(1)?,
                digest: row.get(2)?,
                first_at: self.wall(row.get(3)?),
                last_at: self.wall(row.get(4)?),
                times: row.get(5)?,
                why: without_nul(row.get(6)?),
                payload: without_nul(row.get(7)?),
            })
        })?;
        // Mails of unknown servers cannot be counted over nodes.
        let mut used = self.conn.prepare(
            "SELECT server, minute, last_at, mails FROM send_history WHERE server <> ''",
        )?;
        let used = used.query_map([], |row| {
            let last_at = self.wall(row.get(2)?);
            Ok(MovedUse {
                server: row.get(0)?,
                minute: last_at.div_euclid(MINUTE),
                last_at,
                mails: row.get(3)?,
            })
        })?;
        Ok(MovedRest {
            payloads: payloads.collect::<Result<_, _>>()?,
            used: used.collect::<Result<_, _>>()?,
        })
    }

    /// Begins to read again.
    pub(in crate::queue) fn rewind(&mut self) {
        self.last = (0, String::new());
    }
}

fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    Ok(row.get::<_, Option<String>>(column)?.map(without_nul))
}

/// PostgreSQL stores no U+0000.
fn without_nul(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{FFFD}")
    } else {
        text
    }
}
