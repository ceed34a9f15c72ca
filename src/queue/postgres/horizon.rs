//! What keeps the database from removing dead rows: the oldest snapshots.
//!
//! A claim reads over the dead rows of `due`, so it becomes slow when somebody holds a snapshot that
//! may still see them.

use std::time::Duration;

use super::store::Store;
use super::verb_error::VerbError;
use crate::queue::StoreError;

/// Snapshots and unfinished transactions, oldest first. A snapshot of another database does not count,
/// but a transaction of one does: each snapshot that is taken meanwhile keeps what it may have changed.
/// VACUUM itself does not count either.
///
/// Where PostgreSQL does not know an age (slots, standbys, sessions that this role may not see), it is
/// at least that of the oldest event whose transaction is not older. The transactions of 49 events are
/// compared, from a few seconds to 600 days ago.
pub(super) const HOLDERS: &str = "WITH t AS MATERIALIZED (SELECT clock_timestamp() AS at, jobbell.now_ms() AS now), \
     p AS MATERIALIZED (SELECT (SELECT now FROM t) - e.at AS ago, age(e.xmin) AS xids FROM generate_series(0, 48) k, \
        LATERAL (SELECT e.at, e.xmin FROM jobbell.events e WHERE e.at >= (SELECT now FROM t) - (4000 * power(1.4, k))::bigint ORDER BY e.at LIMIT 1) e), \
     h AS (SELECT CASE WHEN a.pid IN (SELECT pid FROM pg_stat_replication) THEN 'standby' ELSE 'session' END AS kind, a.pid, \
            a.usename::text AS role, a.datname::text AS database, a.application_name AS name, a.state, a.query, \
            extract(epoch FROM (SELECT at FROM t) - a.xact_start) * 1000 AS age, greatest(age(a.backend_xmin), age(a.backend_xid)) AS xids \
        FROM pg_stat_activity a WHERE a.pid <> pg_backend_pid() AND a.usesysid IS NOT NULL \
            AND (a.backend_xid IS NOT NULL OR a.backend_xmin IS NOT NULL AND (a.datname = current_database() OR a.datname IS NULL)) \
            AND NOT coalesce(a.state = 'active' AND a.query ~* '^\\s*vacuum\\M', false) \
        UNION ALL SELECT 'prepared', NULL, owner::text, database::text, gid, NULL, NULL, \
            extract(epoch FROM (SELECT at FROM t) - prepared) * 1000, age(transaction) FROM pg_prepared_xacts \
        UNION ALL SELECT 'slot', active_pid, NULL, database::text, slot_name::text, NULL, NULL, NULL, greatest(age(xmin), age(catalog_xmin)) \
            FROM pg_replication_slots WHERE xmin IS NOT NULL OR catalog_xmin IS NOT NULL) \
     SELECT kind, pid, role, database, name, state, query, xids, \
        greatest(coalesce(age, (SELECT max(ago) FROM p WHERE p.xids <= h.xids)), 0)::bigint AS age FROM h ORDER BY age DESC";

impl Store {
    /// The age of the oldest snapshot.
    pub(in crate::queue) async fn horizon(&self) -> Result<Duration, StoreError> {
        let rows = self.read(HOLDERS, &[]).await?;
        let age = rows.first().map(|row| row.try_get::<_, i64>("age"));
        let age = age.transpose().map_err(VerbError::from)?;
        Ok(Duration::from_millis(
            u64::try_from(age.unwrap_or(0)).unwrap_or(0),
        ))
    }
}
