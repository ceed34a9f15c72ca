//! Mails that were being rendered when the process died. A mail that is rendered at several crashes
//! becomes dead.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::domain::{DeadReason, DeliveryId, FailureKind, State, Timestamp};
use crate::queue::Counts;

/// The number of crashes after which a mail becomes dead; more than one, since a crash may have
/// another cause.
const MAX_CRASHES: i64 = 3;
/// The detail of the recorded attempt.
const CRASHED: &str = "the daemon died while this mail was being made; no server had it";

const FIND: &str = "SELECT seq FROM deliveries WHERE id = ?1 AND state = 1";
const NOTE: &str = "INSERT INTO attempts (delivery_seq, try, number, server, at, took_ms, result, detail) \
     SELECT seq, attempt_rows, attempts, 'jobbell', ?2, 0, ?3, ?4 FROM deliveries WHERE seq = ?1";
const CRASHES: &str = "SELECT count(*) FROM attempts WHERE delivery_seq = ?1 AND detail = ?2";
const AGAIN: &str =
    "UPDATE deliveries SET state = 0, due_at = ?2, attempt_rows = attempt_rows + 1 WHERE seq = ?1";
const END: &str = "UPDATE deliveries SET state = 3, reason = ?3, ended_at = ?2, attempt_rows = attempt_rows + 1 WHERE seq = ?1";

/// Returns these deliveries to the queue, due at `due_at`, except those with too many crashes.
pub(super) fn recover_leases(
    conn: &Connection,
    ids: &[DeliveryId],
    due_at: Timestamp,
    now: Timestamp,
    counts: &mut Counts,
) -> rusqlite::Result<()> {
    for id in ids {
        let Some(seq) = conn
            .query_row(FIND, [id.0.as_bytes()], |row| row.get::<_, i64>(0))
            .optional()?
        else {
            continue;
        };
        conn.execute(
            NOTE,
            params![
                seq,
                now.as_millis(),
                FailureKind::Uncertain.as_str(),
                CRASHED
            ],
        )?;
        let crashes: i64 = conn.query_row(CRASHES, params![seq, CRASHED], |row| row.get(0))?;
        if crashes < MAX_CRASHES {
            conn.execute(AGAIN, params![seq, due_at.as_millis()])?;
            counts.shift(State::Sending, State::Queued);
            tracing::warn!(delivery = %id, "the daemon died while this mail was being rendered; it will be tried again");
        } else {
            conn.execute(
                END,
                params![seq, now.as_millis(), DeadReason::Unrenderable.as_str()],
            )?;
            counts.shift(State::Sending, State::Dead);
            tracing::error!(delivery = %id, "the daemon died {crashes} times while this mail was being rendered; it is dead");
        }
    }
    Ok(())
}
