//! Returns to the queue what ended nodes held. With SQLite, a node works alone: when it opens the
//! database, every other node has ended.

use rusqlite::{Connection, OptionalExtension as _, Row as SqlRow, params};

use super::node::{self, NodeId};
use super::{change, clock, row, send_history, thumbnails};
use crate::domain::{DeliveryId, FailureKind, ServerName, State, Timestamp};
use crate::queue::transition::{self, CRASHED, INTERRUPTED, Row};
use crate::queue::{Counts, LEASE};

/// Pending rows of both lanes that are due within a period, the latest first. There is no condition
/// on the state: without such rows, the whole period would be scanned.
pub(super) const LATEST: &str = "SELECT seq, state, node, attempts, preferred_server, due_at FROM deliveries WHERE lane = 0 AND state < 2 AND due_at BETWEEN ?1 AND ?2 \
     UNION ALL SELECT seq, state, node, attempts, preferred_server, due_at FROM deliveries WHERE lane = 1 AND state < 2 AND due_at BETWEEN ?1 AND ?2 ORDER BY due_at DESC";
const FIND: &str = "SELECT seq, state, node, attempts, preferred_server FROM deliveries WHERE id = ?1 AND state = 1";

/// Server, start and stage of the attempt were lost with the node.
const NOTE: &str = "INSERT INTO attempts (delivery_seq, try, number, server, at, took_ms, result, detail) \
     SELECT seq, attempt_rows, attempts, ?3, ?2, 0, ?4, ?5 FROM deliveries WHERE seq = ?1";
const COUNT_NOTE: &str = "UPDATE deliveries SET attempt_rows = attempt_rows + 1 WHERE seq = ?1";
const CRASHES: &str = "SELECT count(*) FROM attempts WHERE delivery_seq = ?1 AND detail = ?2";

/// Returns what all nodes but `node` held to the queue, due at `due_at`, as after an attempt with an
/// uncertain result. The mails of `rendering` were being rendered; they are dead after several
/// crashes.
pub(super) fn run(
    conn: &Connection,
    node: NodeId,
    rendering: &[DeliveryId],
    due_at: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let mut counts = row::counts(conn)?;
    for id in rendering {
        if let Some(held) = conn
            .query_row(FIND, [id.0.as_bytes()], Held::read)
            .optional()?
            && held.node != node
        {
            recover_rendering(conn, *id, &held, due_at, now, &mut counts)?;
        }
    }
    let (_, as_of) = clock::read(conn)?;
    let held = held(conn, node, counts.sending, as_of)?;
    send_history::record_lost(conn, held.len(), now)?;
    for held in held {
        note(conn, held.seq, "unknown", INTERRUPTED, now)?;
        change::write(conn, held.seq, &transition::recover(held.row(), due_at))?;
        counts.shift(State::Sending, State::Queued);
    }
    thumbnails::recover(conn, node, now)?;
    row::write_counts(conn, &counts, now)?;
    node::remove_others(conn, node)
}

fn recover_rendering(
    conn: &Connection,
    id: DeliveryId,
    held: &Held,
    due_at: Timestamp,
    now: Timestamp,
    counts: &mut Counts,
) -> rusqlite::Result<()> {
    note(conn, held.seq, "jobbell", CRASHED, now)?;
    let crashes = conn.query_row(CRASHES, params![held.seq, CRASHED], |row| row.get(0))?;
    let change = transition::recover_rendering(held.row(), crashes, due_at, now);
    change::write(conn, held.seq, &change)?;
    counts.shift(State::Sending, change.state);
    if change.state == State::Dead {
        tracing::error!(delivery = %id, "the daemon died {crashes} times while this mail was being rendered; it is dead");
    } else {
        tracing::warn!(delivery = %id, "the daemon died while this mail was being rendered; it will be tried again");
    }
    Ok(())
}

/// A delivery that was sending.
pub(super) struct Held {
    pub(super) seq: i64,
    node: NodeId,
    attempts: u32,
    preferred_server: Option<ServerName>,
}

impl Held {
    fn read(row: &SqlRow<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            node: row.get(2)?,
            attempts: row.get(3)?,
            preferred_server: row.get(4)?,
        })
    }

    fn row(&self) -> Row<'_> {
        Row {
            attempts: self.attempts,
            preferred_server: self.preferred_server.as_deref(),
        }
    }
}

/// What all nodes but `node` hold, `sending` deliveries in total being held by any. The last commit
/// was made at `as_of`.
///
/// Leases end soon after the last commit, so a scan from there that stops at the known number reads
/// few other rows. Only leases of earlier versions end later.
pub(super) fn held(
    conn: &Connection,
    node: NodeId,
    sending: u64,
    as_of: Timestamp,
) -> rusqlite::Result<Vec<Held>> {
    let mut left = sending;
    let mut found = Vec::new();
    let mut statement = conn.prepare(LATEST)?;
    let end = as_of.after(LEASE).as_millis();
    for period in [[0, end], [end + 1, i64::MAX]] {
        let mut rows = statement.query(period)?;
        while left > 0
            && let Some(row) = rows.next()?
        {
            if row::state(row, 1)? == State::Sending {
                left -= 1;
                found.push(Held::read(row)?);
            }
        }
    }
    found.retain(|held| held.node != node);
    Ok(found)
}

/// Records an attempt with an uncertain result.
fn note(
    conn: &Connection,
    seq: i64,
    server: &str,
    detail: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let uncertain = FailureKind::Uncertain.as_str();
    conn.prepare_cached(NOTE)?
        .execute(params![seq, now.as_millis(), server, uncertain, detail])?;
    conn.prepare_cached(COUNT_NOTE)?.execute([seq]).map(drop)
}
