//! Keeps the offset of store time in the database.

use rusqlite::{Connection, params};

use super::row::time;
use crate::clock::{Clock, ClockState};
use crate::domain::Timestamp;

/// Continues the store time of the database.
pub(super) fn resume(conn: &Connection, clock: &Clock) -> rusqlite::Result<()> {
    let (state, as_of) = read(conn)?;
    clock.resume(state, as_of);
    Ok(())
}

/// Reads the stored state, and the time of the last commit.
pub(super) fn read(conn: &Connection) -> rusqlite::Result<(ClockState, Timestamp)> {
    const SQL: &str = "SELECT offset_ms, booted_at, boot_id, as_of FROM clock, counts";
    conn.query_row(SQL, [], |row| {
        let state = ClockState {
            offset: row.get("offset_ms")?,
            booted_at: row.get("booted_at")?,
            boot_id: row.get("boot_id")?,
        };
        Ok((state, time(row, "as_of")?))
    })
}

/// Stores a clock's state.
pub(super) fn write(conn: &Connection, state: &ClockState) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE clock SET offset_ms = ?1, booted_at = ?2, boot_id = ?3")?
        .execute(params![state.offset, state.booted_at, state.boot_id])?;
    Ok(())
}
