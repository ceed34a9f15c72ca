//! Thumbnail jobs and thumbnails.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::node::NodeId;
use super::row::{int, parse, time, unsigned};
use super::tx::WriteTx;
use crate::domain::{
    Event, EventId, MissingReason, Thumbnail, ThumbnailResult, ThumbnailState, Timestamp,
};
use crate::queue::{PictureRecord, ThumbnailJob, thumbnails};

const WAIT: &str = "INSERT INTO thumbnail_jobs (event_seq, deadline) VALUES (?1, ?2)";
const FREE: &str = "SELECT c.event_seq, e.id, c.deadline, c.token + 1, e.payload FROM thumbnail_jobs c JOIN events e ON e.seq = c.event_seq \
     WHERE c.node = 0 AND c.event_seq > ?1 ORDER BY c.event_seq LIMIT ?2";
const CLAIM: &str = "UPDATE thumbnail_jobs SET node = ?2, token = ?3 WHERE event_seq = ?1";
/// The token fences. The id guards against a row number that was purged and reused.
const RELEASE: &str = "UPDATE thumbnail_jobs SET node = 0 WHERE event_seq = (SELECT seq FROM events WHERE seq = ?1 AND id = ?2) AND node = ?3 AND token = ?4";
const FINISH: &str = "DELETE FROM thumbnail_jobs WHERE event_seq = (SELECT seq FROM events WHERE seq = ?1 AND id = ?2) AND node = ?3 AND token = ?4";
const END: &str = "DELETE FROM thumbnail_jobs WHERE event_seq = ?1";
const MAKE_DUE: &str = "UPDATE deliveries SET due_at = min(due_at, ?2) WHERE state = 0 AND event_seq IN (SELECT event_seq FROM thumbnail_jobs WHERE node NOT IN (0, ?1))";
const DROP_JOBS: &str = "DELETE FROM thumbnail_jobs WHERE node NOT IN (0, ?1)";
const KEEP: &str = "INSERT INTO pictures (event_seq, place, reason, width, height, jpeg, partial) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
/// No delivery was claimed yet: a claim would have deleted the job.
const HASTEN: &str =
    "UPDATE deliveries SET due_at = min(due_at, ?2) WHERE event_seq = ?1 AND state = 0";
const COPIES: &str = "SELECT place, reason, width, height, jpeg, partial FROM pictures WHERE event_seq = ?1 ORDER BY place";
const RECORDS: &str =
    "SELECT place, reason, width, height, length(jpeg) FROM pictures WHERE event_seq = ?1";

/// Adds the job of a new event.
pub(super) fn wait(conn: &Connection, event_seq: i64, until: Timestamp) -> rusqlite::Result<()> {
    conn.prepare_cached(WAIT)?
        .execute(params![event_seq, until.as_millis()])
        .map(drop)
}

/// Deletes the job because a delivery is claimed: later thumbnails are dropped, so that every
/// attempt sends the same mail.
pub(super) fn end(conn: &Connection, event_seq: i64) -> rusqlite::Result<()> {
    conn.prepare_cached(END)?.execute([event_seq]).map(drop)
}

/// Claims jobs after `after` that no node holds, oldest first.
pub(super) fn claim(
    tx: &WriteTx<'_>,
    after: i64,
    limit: usize,
) -> rusqlite::Result<Vec<ThumbnailJob>> {
    let mut statement = tx.conn.prepare_cached(FREE)?;
    let read = |row: &Row<'_>| {
        Ok(ThumbnailJob {
            event_seq: row.get(0)?,
            event_id: parse(row, 1, |text| EventId::parse(text).ok())?,
            deadline: time(row, 2)?,
            token: row.get(3)?,
            payload: Arc::from(row.get_ref(4)?.as_blob()?),
        })
    };
    let jobs = statement
        .query_map([after, int(limit)], read)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let mut claim = tx.conn.prepare_cached(CLAIM)?;
    for job in &jobs {
        claim.execute([job.event_seq, tx.node, job.token])?;
    }
    Ok(jobs)
}

/// Returns jobs to the queue, except those whose lease is over.
pub(super) fn release(tx: &WriteTx<'_>, jobs: &[ThumbnailJob]) -> rusqlite::Result<()> {
    let mut release = tx.conn.prepare_cached(RELEASE)?;
    for job in jobs {
        release.execute(params![
            job.event_seq,
            job.event_id.as_str(),
            tx.node,
            job.token
        ])?;
    }
    Ok(())
}

/// Drops the jobs of all nodes but `node`, since they may have crashed them; their mails are sent
/// without thumbnails.
pub(super) fn recover(conn: &Connection, node: NodeId, now: Timestamp) -> rusqlite::Result<()> {
    conn.execute(MAKE_DUE, params![node, now.as_millis()])?;
    let events = conn.execute(DROP_JOBS, [node])?;
    if events > 0 {
        tracing::warn!(
            "thumbnails of {events} events were being made when the daemon ended; their mails are sent without"
        );
    }
    Ok(())
}

/// Stores thumbnails, unless the lease is over, and makes the event's deliveries due.
pub(super) fn finish(
    tx: &mut WriteTx<'_>,
    job: &ThumbnailJob,
    captures: &[ThumbnailResult],
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let conn = tx.conn;
    let values = params![job.event_seq, job.event_id.as_str(), tx.node, job.token];
    if conn.prepare_cached(FINISH)?.execute(values)? == 0 {
        return Ok(false);
    }
    let mut keep = conn.prepare_cached(KEEP)?;
    for ThumbnailResult { place, result } in captures {
        let (reason, preview) = match result {
            Ok(preview) => (None, Some(preview)),
            Err(why) => (Some(why.as_str()), None),
        };
        let (width, height) = preview
            .map(|preview| (preview.width, preview.height))
            .unzip();
        let (jpeg, partial) = (
            preview.map(|preview| preview.jpeg.as_slice()),
            preview.is_some_and(|preview| preview.partial),
        );
        keep.execute(params![
            job.event_seq,
            int(*place),
            reason,
            width,
            height,
            jpeg,
            partial
        ])?;
    }
    tx.wake |= conn
        .prepare_cached(HASTEN)?
        .execute(params![job.event_seq, now.as_millis()])?
        > 0;
    Ok(true)
}

/// The thumbnails of an event, in the order of its images.
pub(super) fn copies(conn: &Connection, event_seq: i64) -> rusqlite::Result<Vec<ThumbnailResult>> {
    let mut statement = conn.prepare_cached(COPIES)?;
    let read = |row: &Row<'_>| {
        let result = match row.get::<_, Option<Vec<u8>>>(4)? {
            Some(jpeg) => Ok(Thumbnail {
                width: row.get(2)?,
                height: row.get(3)?,
                partial: row.get(5)?,
                jpeg,
            }),
            None => Err(parse(row, 1, MissingReason::from_name)?),
        };
        Ok(ThumbnailResult {
            place: place(row)?,
            result,
        })
    };
    let rows = statement.query_map([event_seq], read)?;
    rows.collect()
}

/// The same for the event record, without the pixels.
pub(super) fn records(
    conn: &Connection,
    event_seq: i64,
    event: &Event,
) -> rusqlite::Result<Vec<PictureRecord>> {
    let waits = conn
        .prepare_cached("SELECT 1 FROM thumbnail_jobs WHERE event_seq = ?1")?
        .query_row([event_seq], |_| Ok(()))
        .optional()?
        .is_some();
    let known = conn
        .prepare_cached(RECORDS)?
        .query_map([event_seq], record)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(thumbnails::records(event, waits, known))
}

fn record(row: &Row<'_>) -> rusqlite::Result<PictureRecord> {
    let bytes = row.get::<_, Option<u32>>(4)?.map(u64::from);
    let reason: Option<String> = row.get(1)?;
    Ok(PictureRecord {
        index: place(row)?,
        state: match bytes {
            Some(_) => ThumbnailState::Kept,
            None => ThumbnailState::None,
        },
        reason: reason.as_deref().and_then(MissingReason::from_name),
        width: row.get(2)?,
        height: row.get(3)?,
        bytes,
    })
}

/// The first column.
fn place(row: &Row<'_>) -> rusqlite::Result<usize> {
    Ok(usize::try_from(unsigned(row, 0)?).unwrap_or(usize::MAX))
}
