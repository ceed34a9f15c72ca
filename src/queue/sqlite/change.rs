//! Writes the change of a row that no lease fences.

use rusqlite::{Connection, params};

use super::row::state_code;
use crate::domain::Timestamp;
use crate::queue::transition::Change;

const WRITE: &str = "UPDATE deliveries SET state = ?2, due_at = ?3, attempts = ?4, reason = ?5, ended_at = ?6, preferred_server = ?7 WHERE seq = ?1";

pub(super) fn write(conn: &Connection, seq: i64, change: &Change<'_>) -> rusqlite::Result<()> {
    conn.prepare_cached(WRITE)?
        .execute(params![
            seq,
            state_code(change.state),
            change.due_at.as_millis(),
            change.attempts,
            change.reason,
            change.ended_at.map(Timestamp::as_millis),
            change.preferred_server,
        ])
        .map(drop)
}
