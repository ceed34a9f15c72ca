//! Single values: booleans, numbers and lists, written in TOML or in an environment variable.

use super::key::Kind;
use super::value::Value;

pub(super) fn within(kind: Kind, number: u64) -> Option<u64> {
    match kind {
        Kind::Whole(least, most) | Kind::Span(least, most) | Kind::Bytes(least, most) => {
            (least..=most).contains(&number).then_some(number)
        }
        _ => Some(number),
    }
}

/// A boolean; also 1, 0, yes, no, on and off in any case.
pub(super) fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Boolean(flag) => Some(*flag),
        Value::Integer(0) => Some(false),
        Value::Integer(1) => Some(true),
        Value::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Integer(number) => u64::try_from(*number).ok(),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// An array of texts, or one text with commas, ASCII or full-width.
pub(super) fn list(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Text(text) => Some(
            text.split([',', '，'])
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect(),
        ),
        Value::List(items) => items
            .iter()
            .map(|item| text(item).map(str::to_owned))
            .collect(),
        _ => None,
    }
}

/// Splits at commas that are followed by the start of another location (`/` or `=`), because names
/// and fixed texts may contain commas.
pub(super) fn locations(text: &str) -> Vec<String> {
    let mut locations: Vec<String> = Vec::new();
    for part in text.split(',') {
        match locations.last_mut() {
            Some(before) if !part.trim_start().starts_with(['/', '=']) => {
                *before = [before, ",", part].concat();
            }
            _ => locations.push(part.to_owned()),
        }
    }
    locations
        .into_iter()
        .map(|location| location.trim().to_owned())
        .filter(|location| !location.is_empty())
        .collect()
}
