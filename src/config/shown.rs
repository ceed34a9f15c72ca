//! Values as printed in problems and by `check --show`; secrets and addresses are masked.

use super::key::Kind;
use super::report::Found;
use super::scalars::{flag, list, number, text};
use super::value::Value;
#[cfg(feature = "postgres")]
use crate::queue::postgres::ConnectionUrl;

/// An invalid value for a problem: the value itself, or only its type if it is or may contain a
/// secret.
pub(super) fn found(kind: Kind, value: &Value) -> Found {
    let is_text = |item: &Value| matches!(item, Value::Text(_));
    Found::Type(match value {
        Value::Unset => ["no value", "空值"],
        Value::Table => ["a table", "表"],
        Value::List(items) if kind.takes_list() && !items.iter().all(is_text) => [
            "a list with an entry that is not text",
            "含有非文本项的列表",
        ],
        Value::List(_) => ["a list", "列表"],
        Value::Text(_) if kind.is_secret() => ["text", "文本"],
        Value::Boolean(_) if kind.is_secret() => ["a boolean", "布尔值"],
        _ if kind.is_secret() => ["a number", "数字"],
        // After an unclosed quote, the text contains the following lines, and maybe a password.
        Value::Text(text) if text.contains('\n') => ["multi-line text", "多行文本"],
        Value::Text(text) => return Found::Value(quote(kind, text)),
        other => return Found::Value(other.to_string()),
    })
}

/// A value as JSON, in the key's type even if it is written as text.
pub(super) fn typed(kind: Kind, value: &Value) -> serde_json::Value {
    match (kind, value) {
        (Kind::Url(_), _) => mask_url(text(value).unwrap_or_default()).into(),
        (Kind::Flag, _) if flag(value).is_some() => flag(value).into(),
        (Kind::Whole(..), _) if number(value).is_some() => number(value).into(),
        (_, Value::Text(_)) if kind.is_list() => list(value).into(),
        (_, Value::Text(text)) => text.as_str().into(),
        (_, Value::Boolean(flag)) => (*flag).into(),
        (_, Value::Integer(number)) => (*number).into(),
        (_, Value::Float(number)) => (*number).into(),
        (_, Value::List(items)) => items.iter().map(|item| typed(kind, item)).collect(),
        (_, Value::Unset | Value::Table) => serde_json::Value::Null,
    }
}

/// A value in TOML.
pub(super) fn show(kind: Kind, value: &Value) -> String {
    match (kind, value) {
        (Kind::Url(_), _) => quote(kind, text(value).unwrap_or_default()),
        (Kind::Flag, _) if flag(value).is_some() => flag(value).unwrap_or_default().to_string(),
        (Kind::Whole(..), _) if number(value).is_some() => {
            number(value).unwrap_or_default().to_string()
        }
        (_, Value::Text(text)) => format!("\"{}\"", text.escape_debug()),
        (_, Value::List(items)) => {
            let items: Vec<_> = items.iter().map(|item| show(kind, item)).collect();
            format!("[{}]", items.join(", "))
        }
        (_, other) => other.to_string(),
    }
}

/// A text in quotes, masked according to its kind, without control characters. It has at most 80
/// characters; the URL of a database, which may name many hosts, 1,000.
fn quote(kind: Kind, text: &str) -> String {
    let text = match kind {
        Kind::Address(_) | Kind::List(_) => mask_address(text),
        Kind::Url(_) => mask_url(text),
        _ => text.to_owned(),
    };
    let is_database = matches!(kind, Kind::Url(_)) && text.starts_with("postgres");
    let most = if is_database { 1_000 } else { 80 };
    let short: String = text.chars().take(most).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!(
        "\"{}{dots}\"",
        short
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace(|c: char| c.is_control(), "?")
    )
}

/// `me@qq.com` becomes `m***@qq.com`, also in lists; text without `@` is unchanged.
fn mask_address(text: &str) -> String {
    let mask = |part: &str| match part.split_once('@') {
        Some((local, domain)) => {
            let local = local
                .rsplit_once('<')
                .map_or(local, |(_, local)| local)
                .trim_start();
            format!(
                "{}***@{domain}",
                local.chars().next().map(String::from).unwrap_or_default()
            )
        }
        None => part.to_owned(),
    };
    text.split(',').map(mask).collect::<Vec<_>>().join(",")
}

/// Only the scheme of a URL with credentials or query parameters; of a database's URL all but the
/// password.
pub(super) fn mask_url(text: &str) -> String {
    match text.split_once("://") {
        #[cfg(feature = "postgres")]
        Some(("postgres" | "postgresql", _)) => ConnectionUrl::masked(text),
        Some((scheme, rest)) if rest.contains(['@', '?']) => format!("{scheme}://***"),
        None if text.contains('@') => "***".to_owned(),
        _ => text.to_owned(),
    }
}
