//! What other tables contain of a week that is dropped.

use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::{Connection, Value};
use super::partitions::Weekly;
use super::query_error::QueryError;

const LIMIT: Duration = Duration::from_mins(1);
/// How many rows a statement deletes.
const BATCH: i64 = 10_000;

const JOB_ENDS: &str = "WITH x AS (DELETE FROM jobbell.job_ends WHERE ctid = ANY (ARRAY(SELECT ctid FROM jobbell.job_ends j WHERE j.at >= $1 AND j.at < $2 \
     AND NOT EXISTS (SELECT FROM jobbell.event_ids i WHERE i.id = j.id) LIMIT $3)) RETURNING 1) SELECT count(*) AS number FROM x";
/// A key outlives single events of its request, so that a repetition does not store the others again.
/// Those of earlier weeks had an event that stayed.
const KEYS: &str = "WITH x AS (DELETE FROM jobbell.keys WHERE key = ANY (ARRAY(SELECT key FROM jobbell.keys k WHERE k.at < $2 AND NOT EXISTS \
     (SELECT FROM json_array_elements_text(k.ids::json) AS o (id) JOIN jobbell.event_ids i ON i.id = o.id) ORDER BY k.at LIMIT $3)) RETURNING 1) \
     SELECT count(*) AS number FROM x";
const UNSENT: &str = "WITH x AS (DELETE FROM jobbell.unsent WHERE ctid = ANY (ARRAY(SELECT u.ctid FROM unnest('{3,4,5}'::smallint[]) AS s (state) \
     JOIN jobbell.unsent u ON u.state = s.state AND u.at >= $1 AND u.at < $2 \
     WHERE NOT EXISTS (SELECT FROM jobbell.deliveries d WHERE d.at = u.at AND d.id = u.delivery) LIMIT $3)) RETURNING 1) SELECT count(*) AS number FROM x";
const THUMBNAIL_JOBS: &str = "WITH x AS (DELETE FROM jobbell.thumbnail_jobs WHERE seq = ANY (ARRAY(SELECT seq FROM jobbell.thumbnail_jobs j WHERE j.at >= $1 \
     AND j.at < $2 AND NOT EXISTS (SELECT FROM jobbell.events e WHERE e.at = j.at AND e.event = j.event) LIMIT $3)) RETURNING 1) \
     SELECT count(*) AS number FROM x";
/// Attempts that were recorded after their delivery was removed.
const ATTEMPTS: &str = "WITH x AS (DELETE FROM jobbell.attempts_default WHERE ctid = ANY (ARRAY(SELECT a.ctid FROM jobbell.attempts_default a WHERE a.at < $2 \
     AND NOT EXISTS (SELECT FROM jobbell.deliveries d WHERE d.at = a.at AND d.id = a.delivery) LIMIT $3)) RETURNING 1) \
     SELECT count(*) AS number FROM x";

/// Deletes what other tables contain of the removed rows, a batch at a time.
pub(super) async fn clean(connection: &Connection, weekly: &Weekly) -> Result<(), QueryError> {
    forget_ids(connection, weekly).await?;
    for statement in [JOB_ENDS, KEYS, UNSENT, THUMBNAIL_JOBS, ATTEMPTS] {
        let values: [Value<'_>; 3] = [
            (&weekly.first, Type::INT8),
            (&weekly.until, Type::INT8),
            (&BATCH, Type::INT8),
        ];
        while number(&connection.query_within(LIMIT, statement, &values).await?)? >= BATCH {}
    }
    Ok(())
}

/// An index on the time of an id would cost every event; the removed events tell their ids.
async fn forget_ids(connection: &Connection, weekly: &Weekly) -> Result<(), QueryError> {
    let week = &weekly.week;
    let rows = connection
        .query(
            "SELECT to_regclass($1) IS NOT NULL AS is_there",
            &[(&format!("jobbell.events_{week}"), Type::TEXT)],
        )
        .await?;
    let is_there = rows.first().map(|row| row.try_get::<_, bool>("is_there"));
    if !is_there.transpose()?.unwrap_or_default() {
        return Ok(());
    }
    let statement = format!(
        "WITH p AS MATERIALIZED (SELECT at, event, id FROM jobbell.events_{week} WHERE at >= $1 AND (at, event) > ($1, $2) ORDER BY at, event LIMIT $3), \
         i AS (DELETE FROM jobbell.event_ids i USING p WHERE i.id = p.id AND i.event = p.event \
            AND NOT EXISTS (SELECT FROM jobbell.events_default e WHERE e.at = p.at AND e.event = p.event)) \
         SELECT at, event FROM p ORDER BY at DESC, event DESC LIMIT 1"
    );
    let (mut at, mut event) = (weekly.first, Uuid::nil());
    loop {
        let values: [Value<'_>; 3] = [
            (&at, Type::INT8),
            (&event, Type::UUID),
            (&BATCH, Type::INT8),
        ];
        let rows = connection.query_within(LIMIT, &statement, &values).await?;
        match rows.first() {
            Some(row) => (at, event) = (row.try_get("at")?, row.try_get("event")?),
            None => return Ok(()),
        }
    }
}

fn number(rows: &[Row]) -> Result<i64, QueryError> {
    let number = rows.first().map(|row| row.try_get("number"));
    Ok(number.transpose()?.unwrap_or_default())
}
