//! The number of mails handed to each server, so that rate limits survive a restart.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::row::{int, time};
use crate::domain::{ServerName, Timestamp};
use crate::queue::{SentCount, Settlement};

/// Retention: slightly more than the longest span of a limit.
const KEPT: Duration = Duration::from_hours(25);
const MINUTE: i64 = 60_000;

const ADD: &str = "INSERT INTO send_history (server, minute, last_at, mails) VALUES (?1, ?2, ?3, ?4) \
     ON CONFLICT DO UPDATE SET last_at = max(last_at, excluded.last_at), mails = mails + excluded.mails";
const FORGET: &str = "DELETE FROM send_history WHERE server = ?1 AND minute < ?2";
const FORGET_ALL: &str = "DELETE FROM send_history WHERE minute < ?1";
const READ: &str =
    "SELECT server, last_at, mails FROM send_history WHERE last_at > ?1 ORDER BY last_at";

/// Adds the attempts that servers count, including those of stale settlements.
pub(super) fn record(
    conn: &Connection,
    settlements: &[Settlement],
    now: Timestamp,
) -> rusqlite::Result<()> {
    let mut used: Vec<(&ServerName, i64)> = Vec::new();
    for attempt in settlements
        .iter()
        .flat_map(|settlement| &settlement.attempts)
        .filter(|attempt| attempt.is_counted_by_the_server())
    {
        match used
            .iter_mut()
            .find(|(server, _)| *server == &attempt.server)
        {
            Some((_, mails)) => *mails += 1,
            None => used.push((&attempt.server, 1)),
        }
    }
    for (server, mails) in used {
        add(conn, server, mails, now)?;
        conn.prepare_cached(FORGET)?
            .execute(params![&**server, minute(now.before(KEPT))])?;
    }
    Ok(())
}

/// Adds mails with an unknown result, and removes old rows.
pub(super) fn record_lost(conn: &Connection, mails: usize, now: Timestamp) -> rusqlite::Result<()> {
    conn.prepare_cached(FORGET_ALL)?
        .execute([minute(now.before(KEPT))])?;
    if mails > 0 {
        add(conn, "", int(mails), now)
    } else {
        Ok(())
    }
}

fn add(conn: &Connection, server: &str, mails: i64, now: Timestamp) -> rusqlite::Result<()> {
    conn.prepare_cached(ADD)?
        .execute(params![server, minute(now), now.as_millis(), mails])?;
    Ok(())
}

fn minute(at: Timestamp) -> i64 {
    at.as_millis() / MINUTE
}

/// The mails handed to each server after a time, oldest first.
pub(super) fn read(conn: &Connection, after: Timestamp) -> rusqlite::Result<Vec<SentCount>> {
    let mut statement = conn.prepare_cached(READ)?;
    let rows = statement.query_map([after.as_millis()], |row| {
        let server: String = row.get(0)?;
        Ok(SentCount {
            server: (!server.is_empty()).then(|| server.into()),
            last_at: time(row, 1)?,
            mails: row.get(2)?,
        })
    })?;
    rows.collect()
}
