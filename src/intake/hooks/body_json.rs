//! Extracts JSON from a webhook's body, which services send as `text/plain` (Amazon SNS), without a
//! type, or inside a form (GitHub).

use axum::http::HeaderMap;
use serde_json::Value;

use crate::http::Problem;
use crate::intake::request;

/// A body that is not JSON: the response, and a short reason for the operator.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) problem: Problem,
    pub(super) why: String,
}

/// Parses a body as JSON.
///
/// # Errors
/// 400 if JSON is announced but malformed, 415 if the media type says that it is something else.
pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Value, Unreadable> {
    let kind = request::media_type(headers)
        .unwrap_or_default()
        .to_ascii_lowercase();
    let other = || Unreadable {
        problem: request::unsupported("send JSON, as application/json"),
        why: format!("has the media type {kind:?} and is not JSON"),
    };
    // These types announce another format (RFC 6839), even if the body happens to be valid JSON.
    if (kind.contains('+') && !kind.ends_with("+json"))
        || kind.ends_with("ndjson")
        || kind.ends_with("jsonl")
    {
        return Err(other());
    }
    if kind == "application/x-www-form-urlencoded"
        && let Some(value) = in_form(body)
    {
        return Ok(value);
    }
    let is_json = kind.is_empty() || kind.ends_with("/json") || kind.ends_with("+json");
    request::value(body).map_err(|problem| {
        if is_json || body.trim_ascii().is_empty() {
            Unreadable {
                problem,
                why: "is not JSON".to_owned(),
            }
        } else {
            other()
        }
    })
}

/// The JSON in the field `payload` of a form.
fn in_form(body: &[u8]) -> Option<Value> {
    let (_, text) = url::form_urlencoded::parse(body).find(|(name, _)| name == "payload")?;
    request::value(text.as_bytes()).ok()
}
