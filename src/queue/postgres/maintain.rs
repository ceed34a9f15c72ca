//! Removes expired data: whole weeks at once, and rows of weeks that cannot be dropped yet.

use std::sync::Mutex;

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::codes::int;
use super::partitions::{self, Week};
use super::pool::{Checkout, VerbError};
use super::rows;
use super::store::{Store, lock};
use crate::domain::{EventId, Timestamp};
use crate::queue::vault::{self, Opened};
use crate::queue::{Maintenance, Retention, StoreError};

/// Events that one search for payloads scans.
const STRIDE: i64 = 10_000;
/// The most sealed payloads that are masked at once.
const SECRETS: i64 = 100;

/// Rows outside weekly partitions, oldest first. Their event goes with its last delivery.
const PURGE: &str = "WITH x AS MATERIALIZED (SELECT at, id FROM jobbell.deliveries_default WHERE state > 0 AND ended_at < $1 AND at < $1 \
        ORDER BY at, id LIMIT $2 FOR UPDATE SKIP LOCKED), \
     d AS (DELETE FROM jobbell.deliveries d USING x WHERE d.at = x.at AND d.id = x.id RETURNING d.id, d.at, d.state, d.event, d.event_at), \
     a AS (DELETE FROM jobbell.attempts a USING d WHERE a.at = d.at AND a.delivery = d.id), \
     u AS (DELETE FROM jobbell.unsent u USING d WHERE u.state = d.state AND u.at = d.at AND u.delivery = d.id), \
     e AS (DELETE FROM jobbell.events e USING (SELECT DISTINCT event, event_at FROM d) v WHERE e.at = v.event_at AND e.event = v.event \
        AND NOT EXISTS (SELECT FROM unnest(e.deliveries) AS o (id) JOIN jobbell.deliveries k ON k.at = jobbell.uuid_ms(o.id) AND k.id = o.id \
            WHERE o.id NOT IN (SELECT id FROM d)) RETURNING e.id, e.event, e.at), \
     i AS (DELETE FROM jobbell.event_ids i USING e WHERE i.id = e.id), \
     j AS (DELETE FROM jobbell.job_ends j USING e WHERE j.id = e.id), \
     t AS (DELETE FROM jobbell.thumbnail_jobs t USING e WHERE t.event = e.event), \
     p AS (DELETE FROM jobbell.pictures p USING e WHERE p.at = e.at AND p.event = e.event), \
     c AS (INSERT INTO jobbell.counts AS c (node, writer, accepted, sent, dead, suppressed, cancelled) SELECT $3, $4, -count(*), \
        -count(*) FILTER (WHERE state = 2), -count(*) FILTER (WHERE state = 3), -count(*) FILTER (WHERE state = 4), -count(*) FILTER (WHERE state = 5) \
        FROM d HAVING count(*) > 0 ON CONFLICT (node, writer) DO UPDATE SET accepted = c.accepted + excluded.accepted, sent = c.sent + excluded.sent, \
        dead = c.dead + excluded.dead, suppressed = c.suppressed + excluded.suppressed, cancelled = c.cancelled + excluded.cancelled) \
     SELECT count(*) AS purged FROM d";
/// A key outlives single events of its request, so that a repetition does not store the others again.
const PURGE_KEYS: &str = "DELETE FROM jobbell.keys WHERE key IN (SELECT key FROM jobbell.keys k WHERE at < $1 AND NOT EXISTS \
     (SELECT FROM jsonb_array_elements_text(k.ids::jsonb) AS o (id) JOIN jobbell.event_ids i ON i.id = o.id) LIMIT $2)";
const DROP_WEEK: &str = "SELECT jobbell.drop_week($1, $2, $3, $4, $5, $6) AS purged";
const PURGE_UNMAPPED: &str = "DELETE FROM jobbell.unmapped_payloads WHERE last_at < $1";
/// Ended: no delivery is pending, or ended later.
const REDACT: &str = "WITH s AS MATERIALIZED (SELECT at, event, deliveries, octet_length(payload) > 0 AS is_filled FROM jobbell.events \
        WHERE at >= $1 AND (at, event) > ($1, $2) AND received_at < $3 ORDER BY at, event LIMIT $4), \
     f AS MATERIALIZED (SELECT at, event FROM s WHERE is_filled AND NOT EXISTS (SELECT FROM unnest(s.deliveries) AS o (id) \
        JOIN jobbell.deliveries d ON d.at = jobbell.uuid_ms(o.id) AND d.id = o.id WHERE d.state = 0 OR d.ended_at >= $3) ORDER BY at, event LIMIT $5), \
     u AS (UPDATE jobbell.events e SET payload = '', secret = false FROM f WHERE e.at = f.at AND e.event = f.event RETURNING e.at, e.event), \
     p AS (DELETE FROM jobbell.pictures p USING f WHERE p.at = f.at AND p.event = f.event) \
     SELECT (SELECT count(*) FROM u) AS redacted, (SELECT count(*) FROM s) AS scanned, l.at, l.event \
     FROM (SELECT at, event FROM f WHERE (SELECT count(*) FROM f) >= $5 UNION ALL SELECT at, event FROM s WHERE (SELECT count(*) FROM f) < $5) l \
     ORDER BY l.at DESC, l.event DESC LIMIT 1";
/// Payloads with secrets of events without a pending delivery: two nodes may have ended the last two
/// at once.
const SECRET: &str = "SELECT e.at, e.event, e.id, e.payload FROM jobbell.events e WHERE e.secret AND NOT EXISTS (SELECT FROM unnest(e.deliveries) AS o (id) \
     JOIN jobbell.deliveries d ON d.at = jobbell.uuid_ms(o.id) AND d.id = o.id WHERE d.state = 0) LIMIT $1";
/// Repeats the condition: a delivery may have been retried meanwhile.
const MASK: &str = "UPDATE jobbell.events e SET payload = $3, secret = false WHERE e.at = $1 AND e.event = $2 AND NOT EXISTS \
     (SELECT FROM unnest(e.deliveries) AS o (id) JOIN jobbell.deliveries d ON d.at = jobbell.uuid_ms(o.id) AND d.id = o.id WHERE d.state = 0)";

/// How far the search for payloads has come.
#[derive(Debug, Default)]
pub(super) struct Search(Mutex<Position>);

#[derive(Debug, Default, Clone, Copy)]
struct Position {
    after: (i64, Uuid),
    started: Option<Timestamp>,
}

impl Store {
    pub(in crate::queue) async fn maintain(
        &self,
        retention: &Retention,
        limit: u32,
        now: Timestamp,
    ) -> Result<Maintenance, StoreError> {
        self.check_open()?;
        let limit = limit.min(10_000);
        let mut connection = self.shared.work.get().await?;
        partitions::ensure(&mut connection).await?;
        let before = now.before(retention.deliveries);
        let mut done = Maintenance::default();
        done.purged = self.purge(&mut connection, before, limit).await?;
        done.more = done.purged >= u64::from(limit);
        done.purged += self.drop_weeks(&mut connection, before).await?;
        let keys = [
            (&before.as_millis() as _, Type::INT8),
            (&i64::from(limit) as _, Type::INT8),
        ];
        connection.query(PURGE_KEYS, &keys).await?;
        let payloads = now.before(retention.payloads).as_millis();
        let unmapped = [(&payloads as _, Type::INT8)];
        connection.query(PURGE_UNMAPPED, &unmapped).await?;
        self.mask_secrets(&mut connection).await?;
        if retention.payloads < retention.deliveries {
            self.redact(&mut connection, retention, limit, now, &mut done)
                .await?;
        }
        Ok(done)
    }

    async fn purge(
        &self,
        connection: &mut Checkout<'_>,
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, VerbError> {
        let (node, writer) = (self.shared.node(), connection.writer());
        let values = [
            (&before.as_millis() as _, Type::INT8),
            (&i64::from(limit) as _, Type::INT8),
            (&node as _, Type::INT8),
            (&writer as _, Type::INT2),
        ];
        number(&connection.query(PURGE, &values).await?, "purged")
    }

    /// Drops the weeks in which everything has ended before.
    async fn drop_weeks(
        &self,
        connection: &mut Checkout<'_>,
        before: Timestamp,
    ) -> Result<u64, VerbError> {
        let mut purged = 0;
        for week in partitions::weeks(connection).await? {
            let (first, last) = week.bounds();
            if last > before.as_millis() {
                break;
            }
            purged += self
                .drop_week(connection, week, (first, last), before)
                .await?;
        }
        Ok(purged)
    }

    async fn drop_week(
        &self,
        connection: &mut Checkout<'_>,
        week: Week,
        (first, last): (i64, i64),
        before: Timestamp,
    ) -> Result<u64, VerbError> {
        let (node, writer) = (self.shared.node(), connection.writer());
        let values = [
            (&week.name() as _, Type::TEXT),
            (&first as _, Type::INT8),
            (&last as _, Type::INT8),
            (&before.as_millis() as _, Type::INT8),
            (&node as _, Type::INT8),
            (&writer as _, Type::INT2),
        ];
        match connection.query(DROP_WEEK, &values).await {
            Ok(rows) => {
                let purged = number(&rows, "purged")?;
                tracing::info!(
                    deliveries = purged,
                    week = week.name(),
                    "removed an expired week"
                );
                Ok(purged)
            }
            // A reader holds the tables, or another node dropped them; the next round tries again.
            Err(error) if !error.is_outage() => {
                tracing::debug!(%error, week = week.name(), "an expired week cannot be removed yet");
                Ok(0)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn mask_secrets(&self, connection: &mut Checkout<'_>) -> Result<(), VerbError> {
        let found = connection.query(SECRET, &[(&SECRETS, Type::INT8)]).await?;
        for row in found {
            let id = EventId::parse(row.try_get("id")?).map_err(|_| rows::unknown("id"))?;
            let stored: &[u8] = row.try_get("payload")?;
            let masked = match vault::open(self.shared.vault()?, id.as_str(), stored) {
                Opened::Whole(json) => vault::masked(&json),
                Opened::Masked(_) | Opened::Gone | Opened::Damaged => continue,
            };
            let (at, event): (i64, Uuid) = (row.try_get("at")?, row.try_get("event")?);
            let values = [
                (&at as _, Type::INT8),
                (&event as _, Type::UUID),
                (&masked as _, Type::BYTEA),
            ];
            connection.query(MASK, &values).await?;
        }
        Ok(())
    }

    /// Removes payloads of events that ended long ago.
    async fn redact(
        &self,
        connection: &mut Checkout<'_>,
        retention: &Retention,
        limit: u32,
        now: Timestamp,
        done: &mut Maintenance,
    ) -> Result<(), VerbError> {
        let (at, event) = self.shared.search.position(retention, now);
        let before = now.before(retention.payloads);
        let values = [
            (&at as _, Type::INT8),
            (&event as _, Type::UUID),
            (&before.as_millis() as _, Type::INT8),
            (&STRIDE as _, Type::INT8),
            (&i64::from(limit) as _, Type::INT8),
        ];
        let rows = connection.query(REDACT, &values).await?;
        let Some(row) = rows.first() else {
            return Ok(());
        };
        let (redacted, scanned) = (number(&rows, "redacted")?, number(&rows, "scanned")?);
        done.redacted = redacted;
        done.more |= redacted >= u64::from(limit) || int(scanned) >= STRIDE;
        let reached = (row.try_get("at")?, row.try_get("event")?);
        self.shared.search.advance(reached);
        Ok(())
    }
}

impl Search {
    /// Where the search continues. It begins again from time to time, since events that were pending
    /// were passed over.
    fn position(&self, retention: &Retention, now: Timestamp) -> (i64, Uuid) {
        let mut position = lock(&self.0);
        let is_current = (position.started)
            .is_some_and(|started| started <= now && now.since(started) < retention.rescan);
        if !is_current {
            *position = Position {
                after: (0, Uuid::nil()),
                started: Some(now),
            };
        }
        position.after
    }

    fn advance(&self, after: (i64, Uuid)) {
        lock(&self.0).after = after;
    }
}

/// A number in the first row.
fn number(rows: &[tokio_postgres::Row], column: &str) -> Result<u64, VerbError> {
    let number = match rows.first() {
        Some(row) => row.try_get::<_, Option<i64>>(column)?.unwrap_or(0),
        None => 0,
    };
    Ok(u64::try_from(number).unwrap_or(0))
}
