//! Sessions that keep the queue waiting by a lock.

use std::time::Duration;

use tokio_postgres::Row;

use super::super::connection::Connection;
use super::super::verb_error::VerbError;
use super::session::Session;
use super::{Found, count, rows};
use crate::queue::symptom::{Bilingual, Symptom};

/// Sessions that others wait for longer than 5 s, among them those that work on the queue, and sessions
/// that hold a lock on one of its tables that no writer can pass.
const BLOCKERS: &str = "WITH q AS MATERIALIZED (SELECT DISTINCT l.pid FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace \
        WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND n.nspname = 'jobbell'), \
     w AS MATERIALIZED (SELECT unnest(pg_blocking_pids(l.pid)) AS pid, l.pid AS waits, clock_timestamp() - l.waitstart AS since FROM pg_locks l \
        WHERE NOT l.granted AND l.waitstart < clock_timestamp() - interval '5 s' AND l.pid IN (SELECT pid FROM q)), \
     s AS MATERIALIZED (SELECT l.pid, min(c.relname::text) AS name FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace \
        JOIN pg_stat_activity a ON a.pid = l.pid \
        WHERE l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND n.nspname = 'jobbell' \
        AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') AND a.xact_start < clock_timestamp() - interval '5 s' GROUP BY l.pid) \
     SELECT a.pid, a.usename::text AS role, a.datname::text AS database, a.application_name AS name, a.state, a.query, s.name AS locked, \
        (SELECT count(DISTINCT waits) FROM w WHERE w.pid = a.pid) AS waiting, \
        (extract(epoch FROM coalesce((SELECT max(since) FROM w WHERE w.pid = a.pid), clock_timestamp() - a.xact_start)) * 1000)::bigint AS age \
     FROM pg_stat_activity a LEFT JOIN s ON s.pid = a.pid WHERE (s.pid IS NOT NULL OR a.pid IN (SELECT pid FROM w)) AND a.pid <> pg_backend_pid() ORDER BY a.pid";

pub(super) async fn examine(connection: &Connection) -> Found {
    let rows = rows(connection, BLOCKERS).await?;
    rows.iter().map(symptom).collect()
}

fn symptom(row: &Row) -> Result<Symptom, VerbError> {
    let session = Session::read(row)?;
    let (name, query, pid) = (session.named(), session.quoted(), session.pid);
    let (waiting, age) = (
        count(row, "waiting")?,
        Duration::from_millis(count(row, "age")?),
    );
    let (span, locked) = (
        Bilingual::span(age),
        row.try_get::<_, Option<String>>("locked")?,
    );
    let message = match &locked {
        Some(table) => Bilingual::new(
            format!(
                "session {name} has locked the table jobbell.{table} for {}; {waiting} sessions wait{query}",
                span.english
            ),
            format!(
                "会话 {name} 锁住表 jobbell.{table} 已 {}；{waiting} 个会话在等待{query}",
                span.chinese
            ),
        ),
        None => Bilingual::new(
            format!(
                "session {name} has kept {waiting} sessions of the queue waiting for {}{query}",
                span.english
            ),
            format!(
                "会话 {name} 使队列的 {waiting} 个会话等待了 {}{query}",
                span.chinese
            ),
        ),
    };
    let advice = Bilingual::new(
        format!("end its transaction, or run SELECT pg_terminate_backend({pid})"),
        format!("请结束其事务，或执行 SELECT pg_terminate_backend({pid})"),
    );
    let symptom = session.add_to(Symptom::new("lock", true, message, advice));
    Ok(symptom
        .with("table", locked)
        .with("waiting", Some(waiting))
        .with("age_s", Some(age.as_secs())))
}
