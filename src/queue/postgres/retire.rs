//! Drops the partitions of a week whose deliveries ended long ago.
//!
//! 1. The week is marked as ending: its ended deliveries do not change any more.
//! 2. Without a lock on the tables, its rows are counted, and those are found that stay: pending ones,
//!    and those that have not ended for long enough. With too many of them, the week stays open.
//! 3. Each table in its own transaction: the partition is detached, and what stays moves to the default
//!    partition, from which rows are purged one by one. With the deliveries, the counts change.
//! 4. Ids, keys and the like of the removed events are deleted, then the detached tables.
//!
//! A crash between two steps is continued by the next round of any node. A token tells its steps from
//! those of another node that has marked the same week.

use std::time::Duration;

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::codes::int;
use super::connection::{Connection, Value};
use super::leftovers;
use super::partitions::{LOCK, TABLES, Weekly};
use super::query_error::QueryError;
use crate::domain::Timestamp;

/// How many rows of a week may stay. With more, the week is purged row by row and dropped later.
const MOST_MOVED: i64 = 10_000;
/// How long it may take to count a week's rows.
const COUNTING: Duration = Duration::from_mins(10);
const LIMIT: Duration = Duration::from_mins(1);
/// How often, and after which pause, a table is asked for that a reader holds.
const TRIES: usize = 3;
const PAUSE: Duration = Duration::from_secs(1);
/// How long before the end of a week an event may be whose delivery is of the next one: clocks differ.
const BOUNDARY: i64 = 60_000;

const MARK: &str = "UPDATE jobbell.weeks SET ending = $2 WHERE week = $1 RETURNING \
     EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass('jobbell.deliveries_' || $1)) AS is_whole";
const REOPEN: &str = "UPDATE jobbell.weeks SET ending = 0 WHERE week = $1 AND ending = $2";
/// Only one node counts what it removes.
const BY_ANOTHER: &str =
    "RAISE EXCEPTION USING ERRCODE = 'JB001', MESSAGE = 'another node is dropping this week';";
const FORGET: &str = "DELETE FROM jobbell.weeks WHERE week = $1";

/// How a week is retired.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// What ended before is removed.
    pub(super) before: Timestamp,
    /// Marks the steps of this call.
    pub(super) token: i64,
    /// The row of `counts` that changes.
    pub(super) node: i64,
}

/// What has become of a week.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Retired {
    /// It is gone, with so many deliveries.
    Gone(u64),
    /// Too many of its rows stay.
    Open,
    /// Another node is dropping it.
    ByAnother,
}

/// The rows of a week.
#[derive(Debug, Default)]
struct Survey {
    /// Deliveries that stay.
    stay: Vec<Uuid>,
    /// Numbers of the others, by state.
    sent: i64,
    dead: i64,
    suppressed: i64,
    cancelled: i64,
}

impl Survey {
    const fn removed(&self) -> i64 {
        self.sent + self.dead + self.suppressed + self.cancelled
    }
}

/// Drops the partitions of a week. If a reader holds one of the tables for long, this fails and may be
/// tried again later.
pub(super) async fn retire(
    connection: &Connection,
    weekly: &Weekly,
    terms: &Terms,
) -> Result<Retired, QueryError> {
    let values: [Value<'_>; 2] = [(&weekly.week, Type::TEXT), (&terms.token, Type::INT8)];
    let rows = connection.query(MARK, &values).await?;
    let Some(row) = rows.first() else {
        return Ok(Retired::Gone(0));
    };
    let mut removed = 0;
    if row.try_get("is_whole")? {
        let detached = match survey(connection, weekly, terms).await {
            Ok(Some(survey)) => detach_deliveries(connection, weekly, terms, &survey)
                .await
                .map(|()| Some(survey.removed())),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        match detached {
            Ok(Some(number)) => removed = number,
            Err(error) if error.is_by_another() => return Ok(Retired::ByAnother),
            failed => {
                connection.query(REOPEN, &values).await?;
                return failed.map(|_| Retired::Open);
            }
        }
    }
    for (table, kept) in [
        ("attempts", kept_attempts(weekly)),
        ("events", kept_events(weekly)),
        ("pictures", kept_pictures(weekly)),
    ] {
        detach(connection, table, weekly, &kept, "RETURN;").await?;
    }
    leftovers::clean(connection, weekly).await?;
    for table in TABLES {
        let statement = format!("DROP TABLE IF EXISTS jobbell.{table}_{}", weekly.week);
        connection.batch(LIMIT, &statement).await?;
    }
    connection
        .query(FORGET, &[(&weekly.week, Type::TEXT)])
        .await?;
    Ok(Retired::Gone(u64::try_from(removed).unwrap_or(0)))
}

/// Counts the rows of a week; `None` if too many stay. What stays at one moment still does at the next:
/// a pending delivery ends later than `before`. The others do not change.
async fn survey(
    connection: &Connection,
    weekly: &Weekly,
    terms: &Terms,
) -> Result<Option<Survey>, QueryError> {
    let (week, before, most) = (&weekly.week, terms.before.as_millis(), MOST_MOVED + 1);
    let staying = format!(
        "SELECT id FROM jobbell.deliveries_{week} WHERE state = 0 OR ended_at >= $1 LIMIT $2"
    );
    let values: [Value<'_>; 2] = [(&before, Type::INT8), (&most, Type::INT8)];
    let rows = connection.query_within(COUNTING, &staying, &values).await?;
    if int(rows.len()) >= most {
        return Ok(None);
    }
    let mut survey = Survey::default();
    for row in rows {
        survey.stay.push(row.try_get("id")?);
    }
    let others = format!(
        "SELECT count(*) FILTER (WHERE state = 2) AS sent, count(*) FILTER (WHERE state = 3) AS dead, count(*) FILTER (WHERE state = 4) AS suppressed, \
            count(*) FILTER (WHERE state = 5) AS cancelled FROM jobbell.deliveries_{week} WHERE state <> 0 AND ended_at < $1"
    );
    let values: [Value<'_>; 1] = [(&before, Type::INT8)];
    let rows = connection.query_within(COUNTING, &others, &values).await?;
    if let Some(row) = rows.first() {
        (survey.sent, survey.dead) = (row.try_get("sent")?, row.try_get("dead")?);
        (survey.suppressed, survey.cancelled) =
            (row.try_get("suppressed")?, row.try_get("cancelled")?);
    }
    Ok(Some(survey))
}

/// Detaches the deliveries unless another node has marked the week since. The tables are locked before
/// the row of `weeks`, as by operators.
async fn detach_deliveries(
    connection: &Connection,
    weekly: &Weekly,
    terms: &Terms,
    survey: &Survey,
) -> Result<(), QueryError> {
    let (week, token, node) = (&weekly.week, terms.token, terms.node);
    let stay: Vec<_> = survey.stay.iter().map(Uuid::to_string).collect();
    let (stay, removed) = (stay.join(","), survey.removed());
    let Survey {
        sent,
        dead,
        suppressed,
        cancelled,
        ..
    } = survey;
    let kept = format!(
        "PERFORM FROM jobbell.weeks WHERE week = '{week}' AND ending = {token} FOR UPDATE; \
         IF NOT FOUND THEN {BY_ANOTHER} END IF; \
         INSERT INTO jobbell.deliveries SELECT d.* FROM unnest('{{{stay}}}'::uuid[]) AS s (id) \
            JOIN jobbell.deliveries_{week} d ON d.at = jobbell.uuid_ms(s.id) AND d.id = s.id; \
         INSERT INTO jobbell.counts AS c (node, writer, accepted, sent, dead, suppressed, cancelled) \
            VALUES ({node}, -1, -{removed}, -{sent}, -{dead}, -{suppressed}, -{cancelled}) \
            ON CONFLICT (node, writer) DO UPDATE SET accepted = c.accepted + excluded.accepted, sent = c.sent + excluded.sent, \
            dead = c.dead + excluded.dead, suppressed = c.suppressed + excluded.suppressed, cancelled = c.cancelled + excluded.cancelled; "
    );
    detach(connection, "deliveries", weekly, &kept, BY_ANOTHER).await
}

/// Detaches a partition and moves what stays. `otherwise` is run if it is detached already. Everybody
/// waits meanwhile, so this does not wait long for a reader.
async fn detach(
    connection: &Connection,
    table: &str,
    weekly: &Weekly,
    kept: &str,
    otherwise: &str,
) -> Result<(), QueryError> {
    let week = &weekly.week;
    let statement = format!(
        "DO $$ BEGIN \
            PERFORM set_config('lock_timeout', '500ms', true); \
            PERFORM pg_advisory_xact_lock({LOCK}); \
            IF NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass('jobbell.{table}_{week}')) THEN {otherwise} END IF; \
            ALTER TABLE jobbell.{table} DETACH PARTITION jobbell.{table}_{week}; \
            {kept} \
         END $$"
    );
    let mut tries = 1;
    loop {
        match connection.batch(LIMIT, &statement).await {
            Err(error) if error.is_lock_timeout() && tries < TRIES => tries += 1,
            done => return done,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The attempts of the deliveries that have stayed.
fn kept_attempts(weekly: &Weekly) -> String {
    let Weekly {
        week, first, until, ..
    } = weekly;
    format!(
        "INSERT INTO jobbell.attempts SELECT a.* FROM jobbell.deliveries_default d JOIN jobbell.attempts_{week} a ON a.at = d.at AND a.delivery = d.id \
         WHERE d.at >= {first} AND d.at < {until};"
    )
}

/// The events of deliveries that have stayed, or that are of the next week.
fn kept_events(weekly: &Weekly) -> String {
    let Weekly {
        week, first, until, ..
    } = weekly;
    format!(
        "INSERT INTO jobbell.events SELECT e.* FROM (SELECT DISTINCT event_at, event FROM jobbell.deliveries_default \
            WHERE event_at >= {first} AND event_at < {until}) d JOIN jobbell.events_{week} e ON e.at = d.event_at AND e.event = d.event; \
         INSERT INTO jobbell.events SELECT e.* FROM jobbell.events_{week} e WHERE e.at >= {until} - {BOUNDARY} AND EXISTS (SELECT FROM unnest(e.deliveries) AS o (id) \
            JOIN jobbell.deliveries d ON d.at = jobbell.uuid_ms(o.id) AND d.id = o.id WHERE jobbell.uuid_ms(o.id) >= {until}) ON CONFLICT DO NOTHING;"
    )
}

fn kept_pictures(weekly: &Weekly) -> String {
    let Weekly {
        week, first, until, ..
    } = weekly;
    format!(
        "INSERT INTO jobbell.pictures SELECT p.* FROM jobbell.events_default e JOIN jobbell.pictures_{week} p ON p.at = e.at AND p.event = e.event \
         WHERE e.at >= {first} AND e.at < {until};"
    )
}
