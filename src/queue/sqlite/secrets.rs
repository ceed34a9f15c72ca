//! Masks codes and secret links once their mails have ended, and encrypts those of versions without
//! a key.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::row::{lane_code, parse};
use super::tx::WriteTx;
use crate::domain::{Lane, MailKind};
use crate::queue::prepared::keyed_anew;
use crate::queue::vault::{self, Opened, Vault};

/// Only if no other delivery of the event is pending.
const REMOVE: &str = "UPDATE events SET payload = ?2 WHERE seq = (SELECT event_seq FROM deliveries WHERE seq = ?1) \
     AND NOT EXISTS (SELECT 1 FROM deliveries AS d WHERE d.event_seq = events.seq AND d.state < 2)";

const FIND: &str = "SELECT d.kind, e.id, e.payload FROM deliveries d JOIN events e ON e.seq = d.event_seq WHERE d.seq = ?1";

const OLD: &str = "SELECT DISTINCT event_seq FROM deliveries WHERE kind IN ('verification_code', 'password_reset', 'verify_link')";
const OLD_EVENT: &str = "SELECT id, content, payload, EXISTS (SELECT 1 FROM deliveries AS d WHERE d.event_seq = events.seq AND d.state < 2) \
     FROM events WHERE seq = ?1";
const REPLACE: &str = "UPDATE events SET content = ?2, payload = ?3 WHERE seq = ?1";

/// Waiting mails whose secrets another key has encrypted.
const UNREADABLE: &str = "SELECT count(*) FROM deliveries AS d JOIN events AS e ON e.seq = d.event_seq WHERE d.lane = ?1 AND d.state < 2 \
     AND substr(e.payload, 1, 1) = substr(?2, 1, 1) AND substr(e.payload, 1, length(?2)) <> ?2";

/// The number of waiting mails that cannot be decrypted, for example because the key was lost.
pub(super) fn unreadable(conn: &Connection, vault: &Vault) -> rusqlite::Result<i64> {
    let urgent = lane_code(Lane::Urgent);
    conn.query_row(UNREADABLE, params![urgent, vault.sealed_head()], |row| {
        row.get(0)
    })
}

/// Masks the secrets of the event whose delivery has just ended, unless another delivery of it is
/// pending.
pub(super) fn remove(conn: &Connection, delivery_seq: i64, payload: &[u8]) -> rusqlite::Result<()> {
    conn.prepare_cached(REMOVE)?
        .execute(params![delivery_seq, vault::masked(payload)])
        .map(drop)
}

/// The same for an event that may have secrets and whose payload must be read first.
pub(super) fn remove_of(tx: &WriteTx<'_>, delivery_seq: i64) -> rusqlite::Result<()> {
    let found = tx
        .conn
        .prepare_cached(FIND)?
        .query_row([delivery_seq], |row| {
            let kind = parse(row, 0, MailKind::from_name)?;
            let stored = row.get_ref(2)?.as_blob()?;
            Ok(
                match vault::open(tx.vault, row.get_ref(1)?.as_str()?, stored) {
                    Opened::Whole(payload) if kind.holds_secret() => Some(payload.into_owned()),
                    _ => None,
                },
            )
        });
    match found.optional()?.flatten() {
        Some(payload) => remove(tx.conn, delivery_seq, &payload),
        None => Ok(()),
    }
}

/// Encrypts pending and masks ended payloads in a store of a version that did neither.
pub(super) fn take_over(conn: &Connection, vault: &Vault) -> rusqlite::Result<()> {
    let seqs = conn
        .prepare(OLD)?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    for seq in seqs {
        let found = conn.prepare_cached(OLD_EVENT)?.query_row([seq], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, Vec<u8>>(1)?,
                row.get::<_, Vec<u8>>(2)?,
                row.get::<_, bool>(3)?,
            ))
        });
        let Some((id, content, payload, is_pending)) = found
            .optional()?
            .filter(|(_, _, payload, _)| payload.starts_with(b"{"))
        else {
            continue;
        };
        let content = keyed_anew(vault, &id, &content, &payload).map_or(content, Vec::from);
        let sealed = if is_pending {
            vault.seal(&id, &payload)
        } else {
            None
        };
        conn.prepare_cached(REPLACE)?.execute(params![
            seq,
            content,
            sealed.unwrap_or_else(|| vault::masked(&payload))
        ])?;
    }
    Ok(())
}
