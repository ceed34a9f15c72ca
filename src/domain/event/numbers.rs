//! Numbers and times in the notations that programs use.

use serde_json::Value;

use crate::domain::Timestamp;

/// Integer times from here on are in milliseconds, smaller ones in seconds.
const FIRST_MILLIS: i128 = 1_000_000_000_000;
/// Units of times with a fraction, which may also be in microseconds or nanoseconds: the first
/// number in each unit, and its length in milliseconds.
const UNITS: [(f64, f64); 3] = [(1e18, 1e-6), (1e15, 1e-3), (1e12, 1.0)];
/// Doubles represent all integers up to 2^53 exactly.
const EXACT_DOUBLE: f64 = 9_007_199_254_740_992.0;

/// Parses a time: RFC 3339 with a zone, or an integer of seconds (from 10^12 on, milliseconds) since
/// 1970.
pub(crate) fn moment(value: &Value) -> Option<Timestamp> {
    if let Value::String(text) = value {
        return Some(text.trim())
            .filter(|text| text.len() <= 64)?
            .parse()
            .ok();
    }
    let number = integer(value).filter(|number| *number >= 0)?;
    let millis = if number >= FIRST_MILLIS {
        number
    } else {
        number.checked_mul(1_000)?
    };
    let in_range = millis <= i128::from(Timestamp::MAX.as_millis());
    i64::try_from(millis)
        .ok()
        .filter(|_| in_range)
        .map(Timestamp::from_millis)
}

/// Parses a time with a fraction, such as Python's `time.time()`, or one in microseconds or
/// nanoseconds, as a number or as text.
pub(super) fn fraction(value: &Value) -> Option<Timestamp> {
    let number = match value {
        Value::String(text) => Some(text.trim())
            .filter(|text| text.len() <= 32)?
            .parse()
            .ok()?,
        _ => value.as_f64()?,
    };
    let factor = UNITS
        .iter()
        .find(|(first, _)| number >= *first)
        .map_or(1_000.0, |(_, factor)| *factor);
    let in_range = |millis: &f64| (0.0..=EXACT_DOUBLE).contains(millis);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "within 2^53; parts of a millisecond may go"
    )]
    let millis = Some((number * factor).round()).filter(in_range)? as i64;
    (millis <= Timestamp::MAX.as_millis()).then(|| Timestamp::from_millis(millis))
}

/// Parses `2026-03-04 08:15:36 UTC`, and dates of mail and HTTP headers (RFC 5322 §3.3).
pub(super) fn other_spelling(value: &Value) -> Option<Timestamp> {
    let text = Some(value.as_str()?.trim()).filter(|text| text.len() <= 64)?;
    let universal = text
        .strip_suffix("UTC")
        .or_else(|| text.strip_suffix("GMT"));
    if let Some(time) = universal.and_then(|text| format!("{}Z", text.trim_end()).parse().ok()) {
        return Some(time);
    }
    jiff::fmt::rfc2822::parse(text)
        .ok()
        .map(|time| Timestamp::from_millis(time.timestamp().as_millisecond()))
}

/// Parses a date and time without a zone as UTC.
pub(super) fn without_zone(value: &Value) -> Option<Timestamp> {
    let text =
        Some(value.as_str()?.trim()).filter(|text| text.len() <= 64 && text.contains(':'))?;
    let time = text
        .parse::<jiff::civil::DateTime>()
        .ok()?
        .to_zoned(jiff::tz::TimeZone::UTC)
        .ok()?;
    Some(Timestamp::from_millis(time.timestamp().as_millisecond()))
}

/// Parses an integer from text: `123`, `-1`, `7.0`.
pub(super) fn integer_text(value: &Value) -> Option<i128> {
    let text = Some(value.as_str()?.trim()).filter(|text| text.len() <= 40)?;
    let digits = text
        .split_once('.')
        .filter(|(_, fraction)| fraction.bytes().all(|digit| digit == b'0'))
        .map_or(text, |(whole, _)| whole);
    digits.parse().ok()
}

/// The integer in a value. A double counts if it is an exact integer.
pub(crate) fn integer(value: &Value) -> Option<i128> {
    let number = value.as_number()?;
    let exact = || {
        number
            .as_f64()
            .filter(|double| double.fract() == 0.0 && double.abs() <= EXACT_DOUBLE)
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole and within 2^53, so the cast is exact"
    )]
    let from_double = || exact().map(|double| double as i128);
    number
        .as_i64()
        .map(i128::from)
        .or_else(|| number.as_u64().map(i128::from))
        .or_else(from_double)
}
