//! Events that wait for small copies of their pictures, and the copies.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::batch::Batch;
use super::row::{int, parse, time, unsigned};
use crate::domain::{Absence, Capture, CaptureState, Event, EventId, Preview, Timestamp};
use crate::queue::{PictureRecord, WaitingEvent};

const WAIT: &str = "INSERT INTO captures (event_seq, until) VALUES (?1, ?2)";
const WAITING: &str = "SELECT c.event_seq, e.id, c.until, e.payload FROM captures c JOIN events e ON e.seq = c.event_seq ORDER BY c.event_seq LIMIT ?1";
const END: &str = "DELETE FROM captures WHERE event_seq = ?1";
/// The id guards against a row number that was purged and given anew.
const END_OF: &str = "DELETE FROM captures WHERE event_seq = (SELECT seq FROM events WHERE seq = ?1 AND id = ?2)";
const KEEP: &str = "INSERT INTO pictures (event_seq, place, reason, width, height, jpeg) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
/// None of them has been claimed yet: a claim would have ended the wait.
const HASTEN: &str = "UPDATE deliveries SET due_at = min(due_at, ?2) WHERE event_seq = ?1 AND state = 0";
const COPIES: &str = "SELECT place, reason, width, height, jpeg FROM pictures WHERE event_seq = ?1 ORDER BY place";
const RECORDS: &str = "SELECT place, reason, width, height, length(jpeg) FROM pictures WHERE event_seq = ?1";

/// Has the deliveries of a new event wait.
pub(super) fn wait(conn: &Connection, event_seq: i64, until: Timestamp) -> rusqlite::Result<()> {
    conn.prepare_cached(WAIT)?.execute(params![event_seq, until.as_millis()]).map(drop)
}

/// Ends the wait because a delivery goes now: what is made afterwards comes too late, so that every mail of the event is the same at every attempt.
pub(super) fn end(conn: &Connection, event_seq: i64) -> rusqlite::Result<()> {
    conn.prepare_cached(END)?.execute([event_seq]).map(drop)
}

/// Events that wait, oldest first.
pub(super) fn waiting(conn: &Connection, limit: usize) -> rusqlite::Result<Vec<WaitingEvent>> {
    let mut statement = conn.prepare_cached(WAITING)?;
    let read = |row: &Row<'_>| {
        let event_id = parse(row, 1, |text| EventId::parse(text).ok())?;
        Ok(WaitingEvent { event_seq: row.get(0)?, event_id, until: time(row, 2)?, payload: Arc::from(row.get_ref(3)?.as_blob()?) })
    };
    let rows = statement.query_map([int(limit)], read)?;
    rows.collect()
}

/// Puts the copies down, if the event still waits for them, and makes its deliveries due.
pub(super) fn keep(batch: &mut Batch<'_>, waiting: &WaitingEvent, captures: &[Capture], now: Timestamp) -> rusqlite::Result<bool> {
    let conn = batch.conn;
    if conn.prepare_cached(END_OF)?.execute(params![waiting.event_seq, waiting.event_id.as_str()])? == 0 {
        return Ok(false);
    }
    let mut keep = conn.prepare_cached(KEEP)?;
    for Capture { place, result } in captures {
        let (reason, preview) = match result {
            Ok(preview) => (None, Some(preview)),
            Err(why) => (Some(why.as_str()), None),
        };
        let (width, height) = preview.map(|preview| (preview.width, preview.height)).unzip();
        keep.execute(params![waiting.event_seq, int(*place), reason, width, height, preview.map(|preview| preview.jpeg.as_slice())])?;
    }
    batch.wake |= conn.prepare_cached(HASTEN)?.execute(params![waiting.event_seq, now.as_millis()])? > 0;
    Ok(true)
}

/// What became of an event's pictures, in their order.
pub(super) fn copies(conn: &Connection, event_seq: i64) -> rusqlite::Result<Vec<Capture>> {
    let mut statement = conn.prepare_cached(COPIES)?;
    let read = |row: &Row<'_>| {
        let result = match row.get::<_, Option<Vec<u8>>>(4)? {
            Some(jpeg) => Ok(Preview { width: row.get(2)?, height: row.get(3)?, jpeg }),
            None => Err(parse(row, 1, Absence::from_name)?),
        };
        Ok(Capture { place: place(row)?, result })
    };
    let rows = statement.query_map([event_seq], read)?;
    rows.collect()
}

/// The same for the record: without the pixels, and with the pictures that nothing was put down for.
pub(super) fn records(conn: &Connection, event_seq: i64, event: &Event) -> rusqlite::Result<Vec<PictureRecord>> {
    let Event::Job(job) = event else { return Ok(Vec::new()) };
    let waits = conn.prepare_cached("SELECT 1 FROM captures WHERE event_seq = ?1")?.query_row([event_seq], |_| Ok(())).optional()?.is_some();
    let unknown = |index| {
        let (state, reason) = match index {
            Preview::MAX_PER_EVENT.. => (CaptureState::None, Some(Absence::NotShown)),
            _ if waits => (CaptureState::Waiting, None),
            _ => (CaptureState::None, Some(Absence::NoTime)),
        };
        PictureRecord { index, state, reason, width: None, height: None, bytes: None }
    };
    let mut records: Vec<PictureRecord> = (0..job.images.len()).map(unknown).collect();
    let mut statement = conn.prepare_cached(RECORDS)?;
    let mut rows = statement.query([event_seq])?;
    while let Some(row) = rows.next()? {
        let index = place(row)?;
        let bytes = row.get::<_, Option<u32>>(4)?.map(u64::from);
        let state = if bytes.is_some() { CaptureState::Kept } else { CaptureState::None };
        let reason = row.get::<_, Option<String>>(1)?.as_deref().and_then(Absence::from_name);
        let known = PictureRecord { index, state, reason, width: row.get(2)?, height: row.get(3)?, bytes };
        records.iter_mut().filter(|record| record.index == index).for_each(|record| *record = known.clone());
    }
    Ok(records)
}

/// The first column.
fn place(row: &Row<'_>) -> rusqlite::Result<usize> {
    Ok(usize::try_from(unsigned(row, 0)?).unwrap_or(usize::MAX))
}
