//! Fills an empty queue.

use rusqlite::params;

use super::opened::Moving;
use super::read::MINUTE;
use crate::domain::Timestamp;
use crate::queue::Counts;
use crate::queue::moved::{MovedDelivery, MovedEvent, MovedKey, MovedRest, hex};
use crate::queue::sqlite::row;

impl Moving {
    /// Stores events with all that belongs to them.
    pub(in crate::queue) fn write(&mut self, events: &[MovedEvent]) -> rusqlite::Result<()> {
        self.conn.execute_batch("BEGIN IMMEDIATE")?;
        let written = events.iter().try_for_each(|event| self.write_event(event));
        self.end(written)
    }

    fn end(&self, written: rusqlite::Result<()>) -> rusqlite::Result<()> {
        match written {
            Ok(()) => self.conn.execute_batch("COMMIT"),
            Err(error) => {
                self.conn.execute_batch("ROLLBACK").unwrap_or_default();
                Err(error)
            }
        }
    }

    fn write_event(&self, event: &MovedEvent) -> rusqlite::Result<()> {
        let conn = &self.conn;
        conn.prepare_cached("INSERT INTO events (id, content_hash, source, received_at, payload, pictures) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute(params![event.id, event.content, event.source, self.store(event.received_at), event.payload, event.thumbnails])?;
        let seq = conn.last_insert_rowid();
        if let Some(deadline) = event.deadline {
            conn.prepare_cached(
                "INSERT INTO thumbnail_jobs (event_seq, deadline) VALUES (?1, ?2)",
            )?
            .execute(params![seq, self.store(deadline)])?;
        }
        for picture in &event.pictures {
            let jpeg = picture.jpeg.as_deref().and_then(hex::decode);
            conn.prepare_cached("INSERT INTO pictures (event_seq, place, reason, width, height, jpeg, partial) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
                .execute(params![seq, picture.place, picture.reason, picture.width, picture.height, jpeg, picture.partial])?;
        }
        for delivery in &event.deliveries {
            self.write_delivery(seq, delivery)?;
        }
        Ok(())
    }

    fn write_delivery(&self, event: i64, delivery: &MovedDelivery) -> rusqlite::Result<()> {
        let conn = &self.conn;
        let store = |at: Option<i64>| at.map(|at| self.store(at));
        let due_at = delivery
            .due_at
            .or(delivery.ended_at)
            .unwrap_or(delivery.created_at);
        conn.prepare_cached("INSERT INTO deliveries (id, event_seq, state, lane, due_at, attempts, token, attempt_rows, created_at, expires_at, ended_at, retried_at, kind, reason, preferred_server, recipient, message_id) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)")?
            .execute(params![delivery.id.as_bytes(), event, delivery.state, delivery.lane, self.store(due_at), delivery.attempts, delivery.token,
                row::int(delivery.tries.len()), self.store(delivery.created_at), self.store(delivery.expires_at), store(delivery.ended_at), store(delivery.retried_at),
                delivery.kind, delivery.reason, delivery.preferred_server, delivery.recipient, delivery.message_id])?;
        let seq = conn.last_insert_rowid();
        for (number, tried) in delivery.tries.iter().enumerate() {
            conn.prepare_cached("INSERT INTO attempts (delivery_seq, try, number, server, at, took_ms, result, stage, code, enhanced, text, detail, cause, advice) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)")?
                .execute(params![seq, row::int(number), tried.number, tried.server, self.store(tried.started_at), tried.took_ms, tried.result, tried.stage, tried.code,
                    tried.enhanced, tried.reply, tried.detail, tried.cause, tried.advice])?;
        }
        Ok(())
    }

    /// Stores keys, after their events.
    pub(in crate::queue) fn write_keys(&mut self, keys: &[MovedKey]) -> rusqlite::Result<()> {
        self.conn.execute_batch("BEGIN IMMEDIATE")?;
        let write = |key: &MovedKey| {
            self.conn
                .prepare_cached("INSERT INTO keys (key, content_hash, ids, event_seq) VALUES (?1, ?2, ?3, (SELECT max(seq) FROM events WHERE id IN (SELECT value FROM json_each(?3))))")?
                .execute(params![key.key, key.content, key.ids])
                .map(drop)
        };
        let written = keys.iter().try_for_each(write);
        self.end(written)
    }

    /// Stores the rest, and the numbers by state.
    pub(in crate::queue) fn finish(
        &mut self,
        rest: &MovedRest,
        states: &[u64; 6],
        now: Timestamp,
    ) -> rusqlite::Result<()> {
        self.conn.execute_batch("BEGIN IMMEDIATE")?;
        let written = self.write_rest(rest).and_then(|()| {
            let [queued, sending, sent, dead, suppressed, cancelled] = *states;
            let counts = Counts {
                accepted: states.iter().sum(),
                queued,
                sending,
                sent,
                dead,
                suppressed,
                cancelled,
            };
            row::write_counts(&self.conn, &counts, now)
        });
        self.end(written)
    }

    fn write_rest(&self, rest: &MovedRest) -> rusqlite::Result<()> {
        for payload in &rest.payloads {
            self.conn
                .prepare_cached("INSERT INTO unmapped_payloads (seq, hook, digest, first_at, last_at, times, why, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
                .execute(params![payload.seq, payload.hook, payload.digest, self.store(payload.first_at), self.store(payload.last_at), payload.times, payload.why, payload.payload])?;
        }
        for used in &rest.used {
            let last_at = self.store(used.last_at);
            self.conn
                .prepare_cached("INSERT INTO send_history (server, minute, last_at, mails) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET mails = mails + excluded.mails, last_at = max(last_at, excluded.last_at)")?
                .execute(params![used.server, last_at.div_euclid(MINUTE), last_at, used.mails])?;
        }
        Ok(())
    }
}
