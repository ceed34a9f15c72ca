//! Reads requests: media type, idempotency key, body, JSON.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::Value;

use crate::domain::json;
use crate::http::body::{self, Received};
use crate::http::{Access, Fault, Problem, Sender};

/// The maximum length of an idempotency key, in characters.
const MAX_KEY: usize = 190;

/// Reads the body of a request that must be JSON, and its idempotency key.
pub(super) async fn read_json(
    access: &Access,
    sender: &Sender,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Received, Option<String>), Problem> {
    match media_type(headers) {
        Some(kind) if kind.eq_ignore_ascii_case("application/json") => {}
        _ => return Err(unsupported("send application/json")),
    }
    let key = key(headers)?;
    Ok((body::read(access, sender, headers, body).await?, key))
}

/// The media type without its parameters.
pub(super) fn media_type(headers: &HeaderMap) -> Option<&str> {
    let text = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    text.and_then(|text| text.split(';').next()).map(str::trim)
}

/// Prefix of the keys of webhook deliveries. Producers cannot use it.
pub(super) const HOOK_KEY: &str = "hook ";

/// The idempotency key: `Idempotency-Key`, bare or quoted, or else `webhook-id`.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some((name, value)) = ["idempotency-key", "webhook-id"]
        .into_iter()
        .find_map(|name| headers.get(name).map(|value| (name, value)))
    else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    let text = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    if text.starts_with(HOOK_KEY) {
        let detail = format!("must not begin with {HOOK_KEY:?}, which is reserved for webhooks");
        return Err(Problem::invalid(vec![Fault {
            pointer: name.to_owned(),
            detail,
        }]));
    }
    if text.is_empty() || text.len() > MAX_KEY || text.bytes().any(|byte| byte.is_ascii_control()) {
        let detail = format!("must be 1 to {MAX_KEY} printable ASCII characters");
        return Err(Problem::invalid(vec![Fault {
            pointer: name.to_owned(),
            detail,
        }]));
    }
    Ok(Some(text.to_owned()))
}

/// Parses a JSON value that is not an array.
pub(super) fn json_object(body: &[u8]) -> Result<Value, Problem> {
    let value = value(body)?;
    if value.is_array() {
        Err(array())
    } else {
        Ok(value)
    }
}

/// The problem for an array where one object is expected.
pub(super) fn array() -> Problem {
    let detail =
        "is an array; send one object, or several as application/x-ndjson, one per line".to_owned();
    Problem::invalid(vec![Fault {
        pointer: "#".to_owned(),
        detail,
    }])
}

/// Parses a JSON value, nested at most 127 levels deep.
pub(super) fn value(body: &[u8]) -> Result<Value, Problem> {
    if body
        .strip_prefix(b"\xEF\xBB\xBF")
        .unwrap_or(body)
        .trim_ascii()
        .is_empty()
    {
        return Err(empty());
    }
    json::read(body).map_err(|error| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            format!("the body is not JSON: {error}"),
        )
    })
}

pub(super) fn empty() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "the body is empty; send an event as JSON",
    )
}

pub(super) fn unsupported(advice: &'static str) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, advice)
}
