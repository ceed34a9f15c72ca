//! Conversion between rows and domain values.

use std::sync::Arc;

use rusqlite::types::Type;
use rusqlite::{CachedStatement, Connection, Row, RowIndex};
use uuid::Uuid;

use crate::domain::{
    Attempt, AttemptResult, DeliveryId, EventId, Lane, MailKind, Recipient, Reply, Stage, State,
    Timestamp,
};
use crate::queue::lease::StoredEvent;
use crate::queue::vault::{self, Opened, Vault};
use crate::queue::{AttemptRecord, Counts, DeliveryRecord};

/// A state's number in the database. Those below 2 are pending; those above 2 ended without a mail.
pub(super) const fn state_code(state: State) -> i64 {
    match state {
        State::Queued => 0,
        State::Sending => 1,
        State::Sent => 2,
        State::Dead => 3,
        State::Suppressed => 4,
        State::Cancelled => 5,
    }
}

/// A lane's number in the database.
pub(super) const fn lane_code(lane: Lane) -> i64 {
    match lane {
        Lane::Urgent => 0,
        Lane::Normal => 1,
    }
}

/// The state behind a column.
pub(super) fn state(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<State> {
    let code = row.get::<_, i64>(column)?;
    State::ALL
        .iter()
        .copied()
        .find(|state| state_code(*state) == code)
        .ok_or_else(|| unknown(row, column))
}

/// Parses a text column.
pub(super) fn parse<T>(
    row: &Row<'_>,
    column: impl RowIndex,
    read: impl FnOnce(&str) -> Option<T>,
) -> rusqlite::Result<T> {
    let value = row.get_ref(column)?;
    value
        .as_str()
        .ok()
        .and_then(read)
        .ok_or_else(|| unknown(row, column))
}

/// The moment in a column.
pub(super) fn time(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_millis)
}

/// The delivery's name in a column.
pub(super) fn delivery_id(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<DeliveryId> {
    let value = row.get_ref(column)?;
    let bytes = value
        .as_blob()
        .ok()
        .and_then(|bytes| Uuid::from_slice(bytes).ok());
    bytes.map(DeliveryId).ok_or_else(|| unknown(row, column))
}

/// Names the column, not its value, which may be an address.
fn unknown(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Error {
    let index = column.idx(row.as_ref()).unwrap_or(0);
    rusqlite::Error::FromSqlConversionFailure(
        index,
        Type::Null,
        "the column holds a value that this version does not know".into(),
    )
}

/// Converts an integer to the type of the database.
pub(super) fn int(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// Reads a column that is never negative.
pub(super) fn unsigned(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

/// Selects the columns of a [`DeliveryRecord`]; append the condition.
pub(super) const DELIVERY: &str = "SELECT d.seq, d.id, e.id AS event_id, d.recipient, d.kind, d.lane, d.state, d.reason, d.created_at, d.due_at, d.ended_at, \
     d.message_id FROM deliveries d JOIN events e ON e.seq = d.event_seq ";

/// A delivery without its attempts, and its row number.
pub(super) fn delivery(row: &Row<'_>) -> rusqlite::Result<(i64, DeliveryRecord)> {
    let state = state(row, "state")?;
    let lane = row.get::<_, i64>("lane")?;
    let ended: Option<i64> = row.get("ended_at")?;
    let record = DeliveryRecord {
        id: delivery_id(row, "id")?,
        event_id: parse(row, "event_id", |text| EventId::parse(text).ok())?,
        to: parse(row, "recipient", |text| Recipient::parse(text).ok())?,
        kind: parse(row, "kind", MailKind::from_name)?,
        lane: Lane::ALL
            .iter()
            .copied()
            .find(|known| lane_code(*known) == lane)
            .ok_or_else(|| unknown(row, "lane"))?,
        state,
        reason: row.get("reason")?,
        attempts: Vec::new(),
        created_at: time(row, "created_at")?,
        next_attempt_at: if state == State::Queued {
            Some(time(row, "due_at")?)
        } else {
            None
        },
        sent_at: ended
            .filter(|_| state == State::Sent)
            .map(Timestamp::from_millis),
        message_id: format!("<{}>", row.get_ref("message_id")?.as_str()?),
    };
    Ok((row.get("seq")?, record))
}

/// The attempts of a delivery, in order.
pub(super) fn attempts(
    conn: &Connection,
    delivery_seq: i64,
) -> rusqlite::Result<Vec<AttemptRecord>> {
    const SQL: &str = "SELECT number, server, at, took_ms, result, stage, code, enhanced, text, detail, cause, advice \
         FROM attempts WHERE delivery_seq = ?1 ORDER BY try";
    let mut statement = conn.prepare_cached(SQL)?;
    let rows = statement.query_map([delivery_seq], attempt)?;
    rows.collect()
}

fn attempt(row: &Row<'_>) -> rusqlite::Result<AttemptRecord> {
    let stage: Option<String> = row.get("stage")?;
    let code: Option<u16> = row.get("code")?;
    let reply = match code {
        Some(code) => Some(Reply {
            code,
            enhanced: row.get("enhanced")?,
            text: row.get("text")?,
        }),
        None => None,
    };
    Ok(AttemptRecord {
        number: row.get("number")?,
        server: row.get("server")?,
        at: time(row, "at")?,
        took_ms: unsigned(row, "took_ms")?,
        result: row.get("result")?,
        stage: stage.as_deref().and_then(Stage::from_name),
        reply,
        detail: row.get("detail")?,
        cause: row.get("cause")?,
        advice: row.get("advice")?,
    })
}

/// Inserts an attempt; the statement is [`INSERT_ATTEMPT`].
pub(super) fn insert_attempt(
    statement: &mut CachedStatement<'_>,
    delivery_seq: i64,
    number: i64,
    attempt: &Attempt,
) -> rusqlite::Result<()> {
    let (result, failure, reply) = match &attempt.result {
        AttemptResult::Sent(receipt) => ("sent", None, Some(&receipt.reply)),
        AttemptResult::Failed(failure) => {
            (failure.kind.as_str(), Some(failure), failure.reply.as_ref())
        }
    };
    let explanation = failure.and_then(|failure| failure.explanation.as_ref());
    statement.execute(rusqlite::params![
        delivery_seq,
        number,
        attempt.number,
        &*attempt.server,
        attempt.at.as_millis(),
        int(attempt.took.as_millis()),
        result,
        failure.map(|failure| failure.stage.as_str()),
        reply.map(|reply| reply.code),
        reply.and_then(|reply| reply.enhanced.as_deref()),
        reply.map(|reply| reply.text.as_str()),
        failure.map(|failure| failure.detail.as_str()),
        explanation.map(|explanation| explanation.cause.as_str()),
        explanation.map(|explanation| explanation.advice.as_str()),
    ])?;
    Ok(())
}

/// Inserts a row into `attempts`.
pub(super) const INSERT_ATTEMPT: &str = "INSERT INTO attempts (delivery_seq, try, number, server, at, took_ms, result, stage, code, enhanced, text, \
     detail, cause, advice) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";

/// Reads the stored counts.
pub(super) fn counts(conn: &Connection) -> rusqlite::Result<Counts> {
    conn.prepare_cached(
        "SELECT accepted, queued, sending, sent, dead, suppressed, cancelled FROM counts",
    )?
    .query_row([], |row| {
        Ok(Counts {
            accepted: unsigned(row, "accepted")?,
            queued: unsigned(row, "queued")?,
            sending: unsigned(row, "sending")?,
            sent: unsigned(row, "sent")?,
            dead: unsigned(row, "dead")?,
            suppressed: unsigned(row, "suppressed")?,
            cancelled: unsigned(row, "cancelled")?,
        })
    })
}

/// Writes the stored counts. `now` is the time of the commit.
pub(super) fn write_counts(
    conn: &Connection,
    counts: &Counts,
    now: Timestamp,
) -> rusqlite::Result<()> {
    const SQL: &str = "UPDATE counts SET accepted = ?1, queued = ?2, sending = ?3, sent = ?4, dead = ?5, suppressed = ?6, cancelled = ?7, as_of = ?8";
    let counted = [
        counts.accepted,
        counts.queued,
        counts.sending,
        counts.sent,
        counts.dead,
        counts.suppressed,
        counts.cancelled,
    ];
    let values = counted.map(int).into_iter().chain([now.as_millis()]);
    conn.prepare_cached(SQL)?
        .execute(rusqlite::params_from_iter(values))?;
    Ok(())
}

/// The id and JSON of an event, and whether its mails include thumbnails. A masked, removed or
/// damaged payload is an error.
pub(super) fn payload(
    conn: &Connection,
    vault: &Vault,
    event_seq: i64,
) -> rusqlite::Result<(EventId, Arc<StoredEvent>, bool)> {
    conn.prepare_cached("SELECT id, payload, pictures FROM events WHERE seq = ?1")?
        .query_row([event_seq], |row| {
            let id = parse(row, "id", |text| EventId::parse(text).ok())?;
            let payload = match vault::open(vault, id.as_str(), row.get_ref("payload")?.as_blob()?)
            {
                Opened::Whole(payload) => Arc::new(StoredEvent::new(payload.as_ref())),
                Opened::Masked(_) | Opened::Gone | Opened::Damaged => {
                    return Err(unknown(row, "payload"));
                }
            };
            Ok((id, payload, row.get("pictures")?))
        })
}
