//! Deletes ended deliveries one by one: those outside weekly partitions, and those of a week that
//! cannot be dropped.

use tokio_postgres::types::Type;

use super::connection::Value;
use super::partitions::LOCK;
use super::pool::{Pool, VerbError};
use crate::domain::Timestamp;

/// Deletes the ended deliveries of a table, oldest first: $1 when, $2 how many, $3 and $4 the row of
/// `counts`, $5 the lock that only one node has. Their event goes with its last delivery, and a key with
/// the last event of its request, so that a repetition does not store the others again.
fn statement(table: &str) -> String {
    format!(
        "WITH me AS MATERIALIZED (SELECT pg_try_advisory_xact_lock($5) AS is_free), \
         x AS MATERIALIZED (SELECT at, id FROM jobbell.{table} WHERE state > 0 AND ended_at < $1 AND at < $1 AND (SELECT is_free FROM me) \
            ORDER BY at, id LIMIT $2 FOR UPDATE SKIP LOCKED), \
         d AS (DELETE FROM jobbell.{table} d USING x WHERE d.at = x.at AND d.id = x.id RETURNING d.id, d.at, d.state, d.event, d.event_at), \
         a AS (DELETE FROM jobbell.attempts a USING d WHERE a.at = d.at AND a.delivery = d.id), \
         u AS (DELETE FROM jobbell.unsent u USING d WHERE u.state = d.state AND u.at = d.at AND u.delivery = d.id), \
         e AS (DELETE FROM jobbell.events e USING (SELECT DISTINCT event, event_at FROM d) v WHERE e.at = v.event_at AND e.event = v.event \
            AND NOT EXISTS (SELECT FROM unnest(e.deliveries) AS o (id) JOIN jobbell.deliveries k ON k.at = jobbell.uuid_ms(o.id) AND k.id = o.id \
                WHERE NOT EXISTS (SELECT FROM d WHERE d.id = o.id)) RETURNING e.id, e.event, e.at), \
         i AS (DELETE FROM jobbell.event_ids i USING e WHERE i.id = e.id AND i.event = e.event), \
         j AS (DELETE FROM jobbell.job_ends j WHERE j.at >= (SELECT min(at) FROM e) AND j.at <= (SELECT max(at) FROM e) AND j.id IN (SELECT id FROM e)), \
         k AS (DELETE FROM jobbell.keys k WHERE k.at >= (SELECT min(at) FROM e) AND k.at <= (SELECT max(at) FROM e) AND NOT EXISTS \
            (SELECT FROM json_array_elements_text(k.ids::json) AS o (id) JOIN jobbell.event_ids i ON i.id = o.id WHERE i.id NOT IN (SELECT id FROM e))), \
         t AS (DELETE FROM jobbell.thumbnail_jobs t USING e WHERE t.event = e.event), \
         p AS (DELETE FROM jobbell.pictures p USING e WHERE p.at = e.at AND p.event = e.event), \
         c AS (INSERT INTO jobbell.counts AS c (node, writer, accepted, sent, dead, suppressed, cancelled) SELECT $3, $4, -count(*), \
            -count(*) FILTER (WHERE state = 2), -count(*) FILTER (WHERE state = 3), -count(*) FILTER (WHERE state = 4), -count(*) FILTER (WHERE state = 5) \
            FROM d HAVING count(*) > 0 ON CONFLICT (node, writer) DO UPDATE SET accepted = c.accepted + excluded.accepted, sent = c.sent + excluded.sent, \
            dead = c.dead + excluded.dead, suppressed = c.suppressed + excluded.suppressed, cancelled = c.cancelled + excluded.cancelled) \
         SELECT count(*) AS purged FROM d"
    )
}

/// Deletes at most `limit` deliveries of a table that ended before; returns their number.
pub(super) async fn run(
    work: &Pool,
    table: &str,
    node: i64,
    before: Timestamp,
    limit: u32,
) -> Result<u64, VerbError> {
    let mut connection = work.get().await?;
    let (before, limit, writer) = (before.as_millis(), i64::from(limit), connection.writer());
    let values: [Value<'_>; 5] = [
        (&before, Type::INT8),
        (&limit, Type::INT8),
        (&node, Type::INT8),
        (&writer, Type::INT2),
        (&LOCK, Type::INT8),
    ];
    let rows = connection.query(&statement(table), &values).await?;
    let purged = rows.first().map(|row| row.try_get::<_, i64>("purged"));
    Ok(u64::try_from(purged.transpose()?.unwrap_or_default()).unwrap_or(0))
}
