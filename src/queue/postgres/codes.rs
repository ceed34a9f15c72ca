//! Numbers of states and lanes in the database, and conversion of columns.

use std::borrow::Cow;

use tokio_postgres::Row;
use uuid::Uuid;

use super::pool::VerbError;
use crate::domain::{Lane, State, Timestamp};

/// A delivery that waits (`due`) or is being sent (`held`).
pub(super) const PENDING: i16 = 0;

/// A state's number in `deliveries`.
pub(super) const fn state_code(state: State) -> i16 {
    match state {
        State::Queued | State::Sending => PENDING,
        State::Sent => 2,
        State::Dead => 3,
        State::Suppressed => 4,
        State::Cancelled => 5,
    }
}

/// A lane's number.
pub(super) const fn lane_code(lane: Lane) -> i16 {
    match lane {
        Lane::Urgent => 0,
        Lane::Normal => 1,
    }
}

/// The lane of a number.
pub(super) fn lane(code: i16) -> Option<Lane> {
    Lane::ALL
        .iter()
        .copied()
        .find(|lane| lane_code(*lane) == code)
}

/// The time in a column.
pub(super) fn time(row: &Row, column: &str) -> Result<Timestamp, VerbError> {
    Ok(Timestamp::from_millis(row.try_get(column)?))
}

/// A number that is never negative.
pub(super) fn unsigned(row: &Row, column: &str) -> Result<u32, VerbError> {
    Ok(u32::try_from(row.try_get::<_, i32>(column)?).unwrap_or(0))
}

/// Parses a text column; `None` if this version does not know the value.
pub(super) fn parse<T>(
    row: &Row,
    column: &str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, VerbError> {
    Ok(row.try_get::<_, Option<&str>>(column)?.and_then(read))
}

/// Text without U+0000, which PostgreSQL cannot store.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}").into()
    } else {
        text.into()
    }
}

/// Converts an integer to the type of the database.
pub(super) fn int(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// The token of a lease for a token of the database.
pub(super) const fn token_code(token: i64) -> u64 {
    token.cast_unsigned()
}

/// The token in the database.
pub(super) const fn token_number(token: u64) -> i64 {
    token.cast_signed()
}

/// The time of a UUIDv7: the partition of its row. See `jobbell.uuid_ms`.
pub(super) fn uuid_millis(id: Uuid) -> i64 {
    i64::try_from(id.as_u128() >> 80).unwrap_or(i64::MAX)
}
