//! Hands out leases.

use std::sync::Arc;

use rusqlite::{CachedStatement, Row, params};

use super::row::{delivery_id, int, lane_code, parse, payload, state, time, unsigned};
use super::thumbnails;
use super::tx::WriteTx;
use crate::domain::{DeadReason, EventId, Lane, MailKind, Recipient, State, Timestamp};
use crate::queue::held::{HeldLeases, LeaseKey};
use crate::queue::lease::{EventKey, StoredEvent};
use crate::queue::{ClaimLimit, Lease, transition};

pub(super) const DUE: &str = "SELECT seq, state, event_seq, id, recipient, kind, attempts, token, created_at, expires_at, message_id, preferred_server \
     FROM deliveries WHERE lane = ?1 AND state < 2 AND due_at <= ?2 ORDER BY due_at, seq LIMIT ?3";

const TAKE: &str = "UPDATE deliveries SET state = 1, due_at = ?2, attempts = ?3, token = ?4, node = ?5 WHERE seq = ?1";

const BURY: &str = "UPDATE deliveries SET state = 3, reason = ?2, ended_at = ?3 WHERE seq = ?1";

const RENEW: &str = "UPDATE deliveries SET due_at = ?3 WHERE seq = ?1 AND token = ?2 AND state = 1";

/// A due row.
struct Due {
    seq: i64,
    event_seq: i64,
    state: State,
    token: u64,
    /// The lease that it becomes, if it can be read.
    lease: rusqlite::Result<Lease>,
}

/// The event that was read last: the deliveries of one event stand together.
type LastEvent = Option<(i64, (EventId, Arc<StoredEvent>, bool))>;

/// Claims due deliveries. Those whose expired leases are among `held` are renewed instead.
pub(super) fn run(
    tx: &mut WriteTx<'_>,
    limit: ClaimLimit,
    until: Timestamp,
    now: Timestamp,
    held: Option<&HeldLeases>,
) -> rusqlite::Result<Vec<Lease>> {
    let mut leases = Vec::new();
    for (lane, most) in [
        (Lane::Urgent, limit.urgent.saturating_add(limit.normal)),
        (Lane::Normal, limit.normal),
    ] {
        let left = most.saturating_sub(leases.len());
        if left > 0 {
            let due = due(tx, lane, left, until, now)?;
            take(tx, due, until, now, held, &mut leases)?;
        }
    }
    Ok(leases)
}

fn take(
    tx: &mut WriteTx<'_>,
    due: Vec<Due>,
    until: Timestamp,
    now: Timestamp,
    held: Option<&HeldLeases>,
    leases: &mut Vec<Lease>,
) -> rusqlite::Result<()> {
    let mut take = tx.conn.prepare_cached(TAKE)?;
    for row in due {
        let (seq, key) = (row.seq, (row.seq, row.token));
        if row.state == State::Sending && held.is_some_and(|held| held.contains(key)) {
            renew(tx, &[key], until)?;
            continue;
        }
        match row.lease {
            Ok(mut lease) => {
                take.execute([
                    seq,
                    until.as_millis(),
                    i64::from(lease.attempt),
                    int(lease.token),
                    tx.node,
                ])?;
                tx.counts.shift(row.state, State::Sending);
                if lease.has_thumbnails {
                    thumbnails::end(tx.conn, row.event_seq)?;
                }
                lease.holding = held.map(|held| held.hold((seq, lease.token), until));
                leases.push(lease);
            }
            // Otherwise it would stay the first due row and block the lane.
            Err(
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnType(..),
            ) => {
                tx.conn.prepare_cached(BURY)?.execute(params![
                    seq,
                    DeadReason::Unrenderable.as_str(),
                    now.as_millis()
                ])?;
                tx.counts.shift(row.state, State::Dead);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Extends leases that still hold.
pub(super) fn renew(
    tx: &WriteTx<'_>,
    leases: &[LeaseKey],
    until: Timestamp,
) -> rusqlite::Result<()> {
    let mut renew = tx.conn.prepare_cached(RENEW)?;
    for (seq, token) in leases {
        renew.execute([*seq, int(*token), until.as_millis()])?;
    }
    Ok(())
}

/// Reads before anything is written, since the claim moves rows within the index that is being
/// walked.
fn due(
    tx: &WriteTx<'_>,
    lane: Lane,
    limit: usize,
    until: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<Vec<Due>> {
    let mut statement: CachedStatement<'_> = tx.conn.prepare_cached(DUE)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![lane_code(lane), now.as_millis(), limit])?;
    let mut found = Vec::new();
    let mut last: LastEvent = None;
    while let Some(row) = rows.next()? {
        found.push(Due {
            seq: row.get(0)?,
            event_seq: row.get(2)?,
            state: state(row, 1)?,
            token: unsigned(row, 7)?,
            lease: lease(tx, row, lane, until, &mut last),
        });
    }
    Ok(found)
}

fn lease(
    tx: &WriteTx<'_>,
    row: &Row<'_>,
    lane: Lane,
    until: Timestamp,
    last: &mut LastEvent,
) -> rusqlite::Result<Lease> {
    let event_seq = row.get(2)?;
    let (event_id, payload, pictures) = match last {
        Some((seq, event)) if *seq == event_seq => event.clone(),
        _ => last
            .insert((event_seq, payload(tx.conn, tx.vault, event_seq)?))
            .1
            .clone(),
    };
    let (attempt, token) = transition::claim(row.get(6)?, unsigned(row, 7)?);
    let preferred_server: Option<Arc<str>> = row.get(11)?;
    Ok(Lease {
        id: delivery_id(row, 3)?,
        event_id,
        message_id: row.get(10)?,
        recipient: parse(row, 4, |text| Recipient::parse(text).ok())?,
        kind: parse(row, 5, MailKind::from_name)?,
        lane,
        attempt,
        token,
        until,
        created_at: time(row, 8)?,
        expires_at: time(row, 9)?,
        preferred_server,
        stored: payload,
        event_key: EventKey::Row(event_seq),
        has_thumbnails: pictures,
        fence: crate::clock::Fence::none(),
        row_seq: row.get(0)?,
        holding: None,
    })
}
