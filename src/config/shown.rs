//! Values as `check --show` prints them.

use ::config::ValueKind;

use super::key::Kind;
use super::layers::{mask_url, quote};
use super::scalars::{flag, list, number, text};

/// A value as JSON, in the key's type where it is written as text.
pub(super) fn typed(kind: Kind, value: &ValueKind) -> serde_json::Value {
    match (kind, value) {
        (Kind::Url(_), _) => mask_url(text(value).unwrap_or_default()).into(),
        (Kind::Flag, _) if flag(value).is_some() => flag(value).into(),
        (Kind::Whole(..), _) if number(value).is_some() => number(value).into(),
        (_, ValueKind::String(text)) if kind.is_list() => {
            list(&ValueKind::String(text.clone())).into()
        }
        (_, ValueKind::String(text)) => text.as_str().into(),
        (_, ValueKind::Boolean(flag)) => (*flag).into(),
        (_, ValueKind::I64(number)) => (*number).into(),
        (_, ValueKind::Float(number)) => (*number).into(),
        (_, ValueKind::Array(items)) => items.iter().map(|item| typed(kind, &item.kind)).collect(),
        _ => serde_json::Value::Null,
    }
}

/// A value as the file would have it.
pub(super) fn show(kind: Kind, value: &ValueKind) -> String {
    match (kind, value) {
        (Kind::Url(_), _) => quote(kind, text(value).unwrap_or_default()),
        (Kind::Flag, _) if flag(value).is_some() => flag(value).unwrap_or_default().to_string(),
        (Kind::Whole(..), _) if number(value).is_some() => {
            number(value).unwrap_or_default().to_string()
        }
        (_, ValueKind::String(text)) => format!("\"{}\"", text.escape_debug()),
        (_, ValueKind::Array(items)) => format!(
            "[{}]",
            items
                .iter()
                .map(|item| show(kind, &item.kind))
                .collect::<Vec<_>>()
                .join(", ")
        ),
        (_, ValueKind::Table(_)) => "a table".to_owned(),
        (_, other) => other.to_string(),
    }
}
