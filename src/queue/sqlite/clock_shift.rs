//! Moves what is planned along with a clock that was set, and brings back what a clock that was set
//! back has put off.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::row::lane_code;
use super::tx::WriteTx;
use crate::domain::{Lane, Timestamp};

const MOVE: &str = "UPDATE deliveries SET due_at = min(max(due_at + ?1, 0), ?2), expires_at = min(max(expires_at + ?1, 0), ?2) WHERE state < 2";
const MOVE_WAITS: &str = "UPDATE thumbnail_jobs SET deadline = min(max(deadline + ?1, 0), ?2)";
const BRING_BACK: &str =
    "UPDATE deliveries SET due_at = ?2 WHERE lane = ?1 AND state < 2 AND due_at > ?2";

pub(super) fn run(tx: &mut WriteTx<'_>, millis: i64) -> rusqlite::Result<u64> {
    let moved = tx
        .conn
        .prepare_cached(MOVE)?
        .execute(params![millis, Timestamp::MAX.as_millis()])?;
    tx.conn
        .prepare_cached(MOVE_WAITS)?
        .execute(params![millis, Timestamp::MAX.as_millis()])?;
    tx.wake = true;
    Ok(moved as u64)
}

/// Lets nothing wait longer than `longest` from now. The index leads to those that would.
pub(super) fn clamp_due_times(
    conn: &Connection,
    longest: Duration,
    now: Timestamp,
) -> rusqlite::Result<()> {
    for lane in Lane::ALL {
        let moved = conn
            .prepare_cached(BRING_BACK)?
            .execute(params![lane_code(*lane), now.after(longest).as_millis()])?;
        if moved > 0 {
            tracing::warn!(
                lane = lane.as_str(),
                "{moved} mails were planned for later than any pause lasts, as after a clock was set back; they are due sooner now"
            );
        }
    }
    Ok(())
}
