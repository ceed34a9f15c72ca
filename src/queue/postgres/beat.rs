//! The statement of a heartbeat.

use tokio_postgres::types::Type;

use super::connection::{Connection, Value};
use super::query_error::QueryError;

/// Renews the lease. A lease that is over can be renewed as long as nobody has ended it: whoever ends
/// a life deletes its row. Also returns what the others do; `orphans` are nodes without a row that
/// hold something.
const BEAT: &str = "WITH t AS MATERIALIZED (SELECT jobbell.now_ms() AS now), \
     b AS (UPDATE jobbell.nodes n SET seen_at = t.now, alive_until = t.now + $2, in_flight = $3, clock_skew = $4 FROM t WHERE n.node = $1 RETURNING n.draining) \
     SELECT t.now, b.draining, \
        ARRAY(SELECT n.node FROM jobbell.nodes n WHERE n.alive_until <= t.now AND n.node <> $1 ORDER BY n.node) AS lapsed, \
        (SELECT count(*) FROM jobbell.nodes n WHERE n.alive_until > t.now AND n.node <> $1) AS living, \
        (SELECT min(n.alive_until) - t.now FROM jobbell.nodes n WHERE n.alive_until > t.now AND n.node <> $1) AS next_lapse, \
        (SELECT sum(c.queued + c.sending)::bigint FROM jobbell.counts c) AS pending, \
        ARRAY(SELECT DISTINCT h.node FROM jobbell.held h WHERE NOT EXISTS (SELECT FROM jobbell.nodes n WHERE n.node = h.node)) AS orphans \
     FROM t LEFT JOIN b ON true";

const PENDING: &str = "SELECT sum(queued + sending)::bigint AS pending FROM jobbell.counts";

/// What a node reports.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) node: i64,
    /// In milliseconds.
    pub(super) lease: i64,
    pub(super) in_flight: usize,
    pub(super) skew: i64,
}

/// What it learns.
#[derive(Debug)]
pub(super) struct Beat {
    /// The time of the database.
    pub(super) now: i64,
    /// `None` if the life was ended.
    pub(super) draining: Option<bool>,
    /// Other nodes whose lease is over.
    pub(super) lapsed: Vec<i64>,
    /// Nodes without a row that hold something.
    pub(super) orphans: Vec<i64>,
    /// How many other nodes live.
    pub(super) living: i64,
    /// In how many milliseconds the next of them will have lapsed.
    pub(super) next_lapse: Option<i64>,
    /// How many deliveries are pending.
    pub(super) pending: u64,
}

/// Renews the lease of a node.
pub(super) async fn send(connection: &Connection, report: &Report) -> Result<Beat, QueryError> {
    let in_flight = i32::try_from(report.in_flight).unwrap_or(i32::MAX);
    let values: [Value<'_>; 4] = [
        (&report.node, Type::INT8),
        (&report.lease, Type::INT8),
        (&in_flight, Type::INT4),
        (&report.skew, Type::INT8),
    ];
    let rows = connection.query(BEAT, &values).await?;
    let row = rows.first().ok_or(QueryError::TimedOut)?;
    Ok(Beat {
        now: row.try_get("now")?,
        draining: row.try_get("draining")?,
        lapsed: row.try_get("lapsed")?,
        orphans: row.try_get("orphans")?,
        living: row.try_get("living")?,
        next_lapse: row.try_get("next_lapse")?,
        pending: number(row.try_get("pending")?),
    })
}

/// How many deliveries are pending in all.
pub(super) async fn pending(connection: &Connection) -> Result<u64, QueryError> {
    let rows = connection.query(PENDING, &[]).await?;
    let sum = rows.first().map(|row| row.try_get("pending")).transpose()?;
    Ok(number(sum.flatten()))
}

fn number(sum: Option<i64>) -> u64 {
    u64::try_from(sum.unwrap_or_default()).unwrap_or_default()
}
