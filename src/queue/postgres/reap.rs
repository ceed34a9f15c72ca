//! Returns to the queue what a node held that has ended.

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::codes::lane;
use super::connection::{Connection, Value};
use super::query_error::QueryError;
use super::store::Shared;
use crate::domain::Timestamp;
use crate::queue::transition::{CRASHED, INTERRUPTED, Row, recover_rendering};

/// How often the statement is tried.
const TRIES: usize = 3;

/// Ends the lives $3 that are over, or all of them if $7, and returns what they and the nodes $4 held.
/// Those have no row any more: what they hold was locked when they were ended, or stored after that.
/// They are named by their number, since a row that was changed meanwhile is only compared with that
/// number again.
///
/// A server may have the mail, so it is due after a pause ($2), with an uncertain attempt. Of the
/// mails $5, which were being rendered, $6 are dead. Nothing waits for a lock but the last upsert, so
/// no deadlock is possible.
const REAP: &str = "WITH t AS MATERIALIZED (SELECT coalesce($1::bigint, jobbell.now_ms()) AS now), \
     d AS MATERIALIZED (SELECT node, name FROM jobbell.nodes WHERE node = ANY ($3) AND ($7 OR alive_until <= jobbell.now_ms()) \
        ORDER BY node FOR UPDATE SKIP LOCKED), \
     gone AS (DELETE FROM jobbell.nodes WHERE node = ANY (ARRAY(SELECT node FROM d))), \
     ids AS MATERIALIZED (SELECT node FROM d UNION SELECT unnest($4::bigint[])), \
     l AS MATERIALIZED (SELECT delivery FROM jobbell.held WHERE node = ANY (ARRAY(SELECT node FROM ids)) ORDER BY delivery FOR UPDATE SKIP LOCKED), \
     x AS (DELETE FROM jobbell.held WHERE delivery = ANY (ARRAY(SELECT delivery FROM l)) RETURNING *), \
     q AS (INSERT INTO jobbell.due (delivery, at, lane, due_at, attempts, token, preferred_server) \
        SELECT delivery, at, lane, (SELECT now FROM t) + $2, attempts, 0, preferred_server FROM x WHERE delivery <> ALL ($6)), \
     u AS (UPDATE jobbell.deliveries o SET state = 3, reason = 'unrenderable', attempts = x.attempts, ended_at = (SELECT now FROM t), \
        preferred_server = x.preferred_server FROM x WHERE x.delivery = ANY ($6) AND o.at = x.at AND o.id = x.delivery), \
     s AS (INSERT INTO jobbell.unsent (state, at, delivery) SELECT 3, at, delivery FROM x WHERE delivery = ANY ($6)), \
     a AS (INSERT INTO jobbell.attempts (at, delivery, token, place, number, server, started_at, took_ms, result, detail) \
        SELECT at, delivery, token, 0, attempts, CASE WHEN delivery = ANY ($5) THEN 'jobbell' ELSE 'unknown' END, (SELECT now FROM t), 0, 'uncertain', \
        CASE WHEN delivery = ANY ($5) THEN $8 ELSE $9 END FROM x ON CONFLICT DO NOTHING), \
     k AS MATERIALIZED (SELECT node, writer FROM jobbell.counts WHERE node = ANY (ARRAY(SELECT node FROM ids)) ORDER BY node, writer FOR UPDATE SKIP LOCKED), \
     f AS (DELETE FROM jobbell.counts c USING k WHERE c.node = k.node AND c.writer = k.writer RETURNING c.*), \
     m AS MATERIALIZED (SELECT count(*) AS n, count(*) FILTER (WHERE delivery = ANY ($6)) AS dead FROM x), \
     c AS (INSERT INTO jobbell.counts AS c (node, writer, accepted, queued, sending, sent, dead, suppressed, cancelled) \
        SELECT 0, 0, coalesce(sum(accepted), 0), coalesce(sum(queued), 0) + (SELECT n - dead FROM m), coalesce(sum(sending), 0) - (SELECT n FROM m), \
        coalesce(sum(sent), 0), coalesce(sum(f.dead), 0) + (SELECT dead FROM m), coalesce(sum(suppressed), 0), coalesce(sum(cancelled), 0) FROM f \
        HAVING count(*) > 0 OR (SELECT n FROM m) > 0 \
        ON CONFLICT (node, writer) DO UPDATE SET accepted = c.accepted + excluded.accepted, queued = c.queued + excluded.queued, \
        sending = c.sending + excluded.sending, sent = c.sent + excluded.sent, dead = c.dead + excluded.dead, \
        suppressed = c.suppressed + excluded.suppressed, cancelled = c.cancelled + excluded.cancelled), \
     j AS MATERIALIZED (SELECT seq FROM jobbell.thumbnail_jobs WHERE node <> 0 AND node = ANY (ARRAY(SELECT node FROM ids)) FOR UPDATE SKIP LOCKED), \
     jobs AS (DELETE FROM jobbell.thumbnail_jobs WHERE seq = ANY (ARRAY(SELECT seq FROM j)) RETURNING event, at), \
     w AS MATERIALIZED (SELECT delivery FROM jobbell.due WHERE delivery = ANY (ARRAY(SELECT unnest(e.deliveries) FROM jobs \
        JOIN jobbell.events e ON e.at = jobs.at AND e.event = jobs.event)) FOR UPDATE SKIP LOCKED), \
     hastened AS (UPDATE jobbell.due SET due_at = least(due_at, (SELECT now FROM t)) WHERE delivery = ANY (ARRAY(SELECT delivery FROM w)) RETURNING 1) \
     SELECT ARRAY(SELECT name FROM d) AS names, (SELECT n FROM m) AS mails, ARRAY(SELECT DISTINCT lane FROM x WHERE delivery <> ALL ($6)) AS lanes, (SELECT count(*) FROM jobs) AS jobs";

/// The mails that were being rendered when the last process died, by how often that has happened now.
const CRASHES: &str = "SELECT h.delivery, h.attempts, 1 + (SELECT count(*) FROM jobbell.attempts a WHERE a.at = h.at AND a.delivery = h.delivery AND a.detail = $3) AS crashes \
     FROM jobbell.held h WHERE h.node = $1 AND h.delivery = ANY ($2)";

/// The nodes that have ended, and what they were doing.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// Their rows are deleted.
    pub(super) nodes: Vec<i64>,
    /// Nodes without a row.
    pub(super) orphans: Vec<i64>,
    /// They have ended although their leases are not over.
    pub(super) is_certain: bool,
    /// Mails that were being rendered.
    pub(super) crashed: Vec<Uuid>,
    /// Those of them that are dead.
    pub(super) dead: Vec<Uuid>,
}

/// What was returned.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reaped {
    /// The names of the nodes that were ended here.
    pub(super) names: Vec<String>,
    pub(super) mails: i64,
    lanes: Vec<i16>,
    /// Events whose thumbnails were dropped, since they may have crashed the node.
    pub(super) jobs: i64,
}

/// Returns to the queue what ended nodes held.
pub(super) async fn run(
    shared: &Shared,
    connection: &Connection,
    mut ended: Ended,
) -> Result<Reaped, QueryError> {
    let now = shared.clock.now();
    if let ([node], false) = (ended.nodes.as_slice(), ended.crashed.is_empty()) {
        ended.dead = dead(connection, *node, &ended.crashed, now).await?;
    }
    let mut tries = 1;
    loop {
        match run_once(shared, connection, &ended, now).await {
            Err(error) if tries < TRIES && error.is_conflict() => tries += 1,
            Err(error) => return Err(error),
            Ok(reaped) => {
                let due_at = now.after(shared.settings.recovery_delay);
                for lane in reaped.lanes.iter().filter_map(|code| lane(*code)) {
                    shared.claims.added(lane, due_at);
                }
                if reaped.mails > 0 {
                    shared.notify.wake();
                }
                return Ok(reaped);
            }
        }
    }
}

async fn run_once(
    shared: &Shared,
    connection: &Connection,
    ended: &Ended,
    now: Timestamp,
) -> Result<Reaped, QueryError> {
    let delay = shared.settings.recovery_delay.as_millis();
    let delay = i64::try_from(delay).unwrap_or(i64::MAX);
    let given = shared.given(now);
    let values: [Value<'_>; 9] = [
        (&given, Type::INT8),
        (&delay, Type::INT8),
        (&ended.nodes, Type::INT8_ARRAY),
        (&ended.orphans, Type::INT8_ARRAY),
        (&ended.crashed, Type::UUID_ARRAY),
        (&ended.dead, Type::UUID_ARRAY),
        (&ended.is_certain, Type::BOOL),
        (&CRASHED, Type::TEXT),
        (&INTERRUPTED, Type::TEXT),
    ];
    let rows = connection.query(REAP, &values).await?;
    let Some(row) = rows.first() else {
        return Ok(Reaped::default());
    };
    Ok(Reaped {
        names: row.try_get("names")?,
        mails: row.try_get("mails")?,
        lanes: row.try_get("lanes")?,
        jobs: row.try_get("jobs")?,
    })
}

/// The mails that have crashed the process too often.
async fn dead(
    connection: &Connection,
    node: i64,
    crashed: &[Uuid],
    now: Timestamp,
) -> Result<Vec<Uuid>, QueryError> {
    let values: [Value<'_>; 3] = [
        (&node, Type::INT8),
        (&crashed, Type::UUID_ARRAY),
        (&CRASHED, Type::TEXT),
    ];
    let mut dead = Vec::new();
    for row in connection.query(CRASHES, &values).await? {
        let delivery: Uuid = row.try_get("delivery")?;
        let times = u32::try_from(row.try_get::<_, i64>("crashes")?).unwrap_or(u32::MAX);
        let attempts = u32::try_from(row.try_get::<_, i32>("attempts")?).unwrap_or(0);
        let held = Row {
            attempts,
            preferred_server: None,
        };
        if recover_rendering(held, times, now, now).ended_at.is_some() {
            tracing::error!(delivery = %delivery, "the daemon died {times} times while this mail was being rendered; it is dead");
            dead.push(delivery);
        } else {
            tracing::warn!(delivery = %delivery, "the daemon died while this mail was being rendered; it will be tried again");
        }
    }
    Ok(dead)
}
