//! Single values: booleans, numbers and lists as TOML or an environment variable writes them.

use ::config::ValueKind;

use super::key::Kind;

pub(super) fn within(kind: Kind, number: u64) -> Option<u64> {
    match kind {
        Kind::Whole(least, most) | Kind::Span(least, most) | Kind::Bytes(least, most) => {
            (least..=most).contains(&number).then_some(number)
        }
        _ => Some(number),
    }
}

/// A boolean as contract 1.1 takes it.
pub(super) fn flag(value: &ValueKind) -> Option<bool> {
    match value {
        ValueKind::Boolean(flag) => Some(*flag),
        ValueKind::I64(0) => Some(false),
        ValueKind::I64(1) => Some(true),
        ValueKind::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn number(value: &ValueKind) -> Option<u64> {
    match value {
        ValueKind::I64(number) => u64::try_from(*number).ok(),
        ValueKind::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

pub(super) fn text(value: &ValueKind) -> Option<&str> {
    match value {
        ValueKind::String(text) => Some(text),
        _ => None,
    }
}

pub(super) fn list(value: &ValueKind) -> Option<Vec<String>> {
    match value {
        ValueKind::String(text) => Some(
            text.split([',', '，'])
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect(),
        ),
        ValueKind::Array(items) => items
            .iter()
            .map(|item| text(&item.kind).map(str::to_owned))
            .collect(),
        _ => None,
    }
}

pub(super) fn places(text: &str) -> Vec<String> {
    let mut places: Vec<String> = Vec::new();
    for part in text.split(',') {
        match places.last_mut() {
            Some(before) if !part.trim_start().starts_with(['/', '=']) => {
                *before = [before, ",", part].concat();
            }
            _ => places.push(part.to_owned()),
        }
    }
    places
        .into_iter()
        .map(|place| place.trim().to_owned())
        .filter(|place| !place.is_empty())
        .collect()
}
