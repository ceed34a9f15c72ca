//! Thumbnail jobs and thumbnails.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::row::{int, parse, time, unsigned};
use super::tx::WriteTx;
use crate::domain::{
    Event, EventId, MissingReason, Thumbnail, ThumbnailResult, ThumbnailState, Timestamp,
};
use crate::queue::{PendingThumbnails, PictureRecord};

const WAIT: &str = "INSERT INTO thumbnail_jobs (event_seq, deadline) VALUES (?1, ?2)";
const WAITING: &str = "SELECT c.event_seq, e.id, c.deadline, e.payload FROM thumbnail_jobs c JOIN events e ON e.seq = c.event_seq \
     WHERE c.started = 0 AND c.event_seq > ?1 ORDER BY c.event_seq LIMIT ?2";
const MARK: &str = "UPDATE thumbnail_jobs SET started = ?3 WHERE event_seq = (SELECT seq FROM events WHERE seq = ?1 AND id = ?2)";
/// Their thumbnails were in progress when the process died: the mails are sent without them.
const LET_GO: &str = "UPDATE deliveries SET due_at = min(due_at, ?1) WHERE state = 0 AND event_seq IN (SELECT event_seq FROM thumbnail_jobs WHERE started = 1)";
const GIVE_UP: &str = "DELETE FROM thumbnail_jobs WHERE started = 1";
const END: &str = "DELETE FROM thumbnail_jobs WHERE event_seq = ?1";
/// The id guards against a row number that was purged and reused.
const END_OF: &str = "DELETE FROM thumbnail_jobs WHERE event_seq = (SELECT seq FROM events WHERE seq = ?1 AND id = ?2)";
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

/// Events after `after` whose thumbnails are not being made, oldest first.
pub(super) fn waiting(
    conn: &Connection,
    after: i64,
    limit: usize,
) -> rusqlite::Result<Vec<PendingThumbnails>> {
    let mut statement = conn.prepare_cached(WAITING)?;
    let read = |row: &Row<'_>| {
        let event_id = parse(row, 1, |text| EventId::parse(text).ok())?;
        Ok(PendingThumbnails {
            event_seq: row.get(0)?,
            event_id,
            deadline: time(row, 2)?,
            payload: Arc::from(row.get_ref(3)?.as_blob()?),
        })
    };
    let rows = statement.query_map([after, int(limit)], read)?;
    rows.collect()
}

/// Sets or clears the mark of events. Returns for each whether it still waits.
pub(super) fn mark(
    tx: &WriteTx<'_>,
    waiting: &[PendingThumbnails],
    started: bool,
) -> rusqlite::Result<Vec<bool>> {
    let mut mark = tx.conn.prepare_cached(MARK)?;
    let marked = waiting.iter().map(|event| {
        Ok(mark.execute(params![event.event_seq, event.event_id.as_str(), started])? > 0)
    });
    marked.collect()
}

/// Drops the jobs that were running when the process died, since they may have crashed it.
pub(super) fn give_up(conn: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    conn.execute(LET_GO, [now.as_millis()])?;
    let events = conn.execute(GIVE_UP, [])?;
    if events > 0 {
        tracing::warn!(
            "small copies of the pictures of {events} events were being made when the daemon ended; their mails go without"
        );
    }
    Ok(())
}

/// Stores thumbnails, if the event still waits for them, and makes its deliveries due.
pub(super) fn finish(
    tx: &mut WriteTx<'_>,
    waiting: &PendingThumbnails,
    captures: &[ThumbnailResult],
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let conn = tx.conn;
    if conn
        .prepare_cached(END_OF)?
        .execute(params![waiting.event_seq, waiting.event_id.as_str()])?
        == 0
    {
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
            waiting.event_seq,
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
        .execute(params![waiting.event_seq, now.as_millis()])?
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

/// The same for the event record: without pixels, and with images that have no thumbnail.
pub(super) fn records(
    conn: &Connection,
    event_seq: i64,
    event: &Event,
) -> rusqlite::Result<Vec<PictureRecord>> {
    let Event::Job(job) = event else {
        return Ok(Vec::new());
    };
    let waits = conn
        .prepare_cached("SELECT 1 FROM thumbnail_jobs WHERE event_seq = ?1")?
        .query_row([event_seq], |_| Ok(()))
        .optional()?
        .is_some();
    let unknown = |index| {
        let (state, reason) = match index {
            Thumbnail::MAX_PER_EVENT.. => (ThumbnailState::None, Some(MissingReason::NotShown)),
            _ if waits => (ThumbnailState::Waiting, None),
            _ => (ThumbnailState::None, Some(MissingReason::NoTime)),
        };
        PictureRecord {
            index,
            state,
            reason,
            width: None,
            height: None,
            bytes: None,
        }
    };
    let mut records: Vec<PictureRecord> = (0..job.images.len()).map(unknown).collect();
    let mut statement = conn.prepare_cached(RECORDS)?;
    let mut rows = statement.query([event_seq])?;
    while let Some(row) = rows.next()? {
        let index = place(row)?;
        let bytes = row.get::<_, Option<u32>>(4)?.map(u64::from);
        let state = if bytes.is_some() {
            ThumbnailState::Kept
        } else {
            ThumbnailState::None
        };
        let reason = row
            .get::<_, Option<String>>(1)?
            .as_deref()
            .and_then(MissingReason::from_name);
        let known = PictureRecord {
            index,
            state,
            reason,
            width: row.get(2)?,
            height: row.get(3)?,
            bytes,
        };
        records
            .iter_mut()
            .filter(|record| record.index == index)
            .for_each(|record| *record = known.clone());
    }
    Ok(records)
}

/// The first column.
fn place(row: &Row<'_>) -> rusqlite::Result<usize> {
    Ok(usize::try_from(unsigned(row, 0)?).unwrap_or(usize::MAX))
}
