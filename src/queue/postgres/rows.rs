//! Conversion of rows to records.

use serde::Deserialize;
use tokio_postgres::Row;

use super::codes::{self, PENDING, state_code, time};
use super::pool::VerbError;
use crate::domain::{
    DeliveryId, EventId, MailKind, Recipient, Reply, Stage, State, ThumbnailState, Timestamp,
};
use crate::queue::{AttemptRecord, DeliveryRecord, PictureRecord, StoreError};

/// The columns of a [`DeliveryRecord`], for a row `d` of `deliveries`. Each subquery finds its rows
/// by a key: a join could be planned as a scan of the whole table.
macro_rules! delivery_columns {
    () => {
        "d.id, d.recipient, d.kind, d.lane, d.state, d.reason, d.created_at, d.ended_at, d.message_id, \
         d.state = 0 AND EXISTS (SELECT FROM jobbell.held h WHERE h.delivery = d.id) AS is_held, \
         (SELECT q.due_at FROM jobbell.due q WHERE q.delivery = d.id) AS due_at, \
         (SELECT e.id FROM jobbell.events e WHERE e.at = d.event_at AND e.event = d.event) AS event_id, \
         (SELECT json_agg(a ORDER BY a.started_at, a.token, a.place)::text FROM jobbell.attempts a \
            WHERE a.at = d.at AND a.delivery = d.id) AS attempts"
    };
}
pub(super) use delivery_columns;

/// A column holds a value that this version does not know.
#[derive(Debug, thiserror::Error)]
#[error("the column {0} holds a value that this version does not know")]
struct Unknown(&'static str);

/// Names the column, not its value, which may be an address.
pub(super) fn unknown(column: &'static str) -> VerbError {
    StoreError::failed("read", Unknown(column)).into()
}

/// Parses a text column.
fn parse<T>(
    row: &Row,
    column: &'static str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<T, VerbError> {
    codes::parse(row, column, read)?.ok_or_else(|| unknown(column))
}

/// The state of a delivery: pending ones are in `held` or in `due`.
pub(super) fn state(row: &Row) -> Result<State, VerbError> {
    let code: i16 = row.try_get("state")?;
    if code == PENDING {
        let is_held = row.try_get("is_held")?;
        return Ok(if is_held {
            State::Sending
        } else {
            State::Queued
        });
    }
    let known = State::ALL.iter().copied();
    let mut ended = known.filter(|state| state_code(*state) == code);
    ended.next().ok_or_else(|| unknown("state"))
}

/// The record of a row with the columns of [`delivery_columns`].
pub(super) fn delivery(row: &Row) -> Result<DeliveryRecord, VerbError> {
    let state = state(row)?;
    let moment = |column| row.try_get::<_, Option<i64>>(column);
    let (ended_at, due_at) = (moment("ended_at")?, moment("due_at")?);
    Ok(DeliveryRecord {
        id: DeliveryId(row.try_get("id")?),
        event_id: parse(row, "event_id", |text| EventId::parse(text).ok())?,
        to: parse(row, "recipient", |text| Recipient::parse(text).ok())?,
        kind: parse(row, "kind", MailKind::from_name)?,
        lane: codes::lane(row.try_get("lane")?).ok_or_else(|| unknown("lane"))?,
        state,
        reason: row.try_get("reason")?,
        attempts: attempts(row)?,
        created_at: time(row, "created_at")?,
        next_attempt_at: due_at
            .filter(|_| state == State::Queued)
            .map(Timestamp::from_millis),
        sent_at: ended_at
            .filter(|_| state == State::Sent)
            .map(Timestamp::from_millis),
        message_id: format!("<{}>", row.try_get::<_, &str>("message_id")?),
    })
}

/// A row of `attempts` as JSON, which is how one statement returns many of them.
#[derive(Deserialize)]
struct Attempt {
    number: u32,
    server: String,
    started_at: i64,
    took_ms: u64,
    result: String,
    stage: Option<String>,
    code: Option<u16>,
    enhanced: Option<String>,
    reply: Option<String>,
    detail: Option<String>,
    cause: Option<String>,
    advice: Option<String>,
}

fn attempts(row: &Row) -> Result<Vec<AttemptRecord>, VerbError> {
    let rows: Vec<Attempt> = json(row, "attempts")?;
    Ok(rows.into_iter().map(Attempt::record).collect())
}

impl Attempt {
    fn record(self) -> AttemptRecord {
        let (enhanced, text) = (self.enhanced, self.reply.unwrap_or_default());
        AttemptRecord {
            number: self.number,
            server: self.server,
            at: Timestamp::from_millis(self.started_at),
            took_ms: self.took_ms,
            result: self.result,
            stage: self.stage.as_deref().and_then(Stage::from_name),
            reply: self.code.map(|code| Reply {
                code,
                enhanced,
                text,
            }),
            detail: self.detail,
            cause: self.cause,
            advice: self.advice,
        }
    }
}

/// A row of `pictures` as JSON, without the pixels.
#[derive(Deserialize)]
struct Picture {
    place: usize,
    reason: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    bytes: Option<u64>,
}

pub(super) fn pictures(row: &Row) -> Result<Vec<PictureRecord>, VerbError> {
    let rows: Vec<Picture> = json(row, "pictures")?;
    let record = |picture: Picture| PictureRecord {
        index: picture.place,
        state: match picture.bytes {
            Some(_) => ThumbnailState::Kept,
            None => ThumbnailState::None,
        },
        reason: picture
            .reason
            .as_deref()
            .and_then(crate::domain::MissingReason::from_name),
        width: picture.width,
        height: picture.height,
        bytes: picture.bytes,
    };
    Ok(rows.into_iter().map(record).collect())
}

/// The rows of an aggregate; null if there are none.
fn json<T: serde::de::DeserializeOwned>(
    row: &Row,
    column: &'static str,
) -> Result<Vec<T>, VerbError> {
    let Some(text) = row.try_get::<_, Option<&str>>(column)? else {
        return Ok(Vec::new());
    };
    serde_json::from_str(text).map_err(|_| unknown(column))
}
