//! What the body of a request is, whatever its type says: services send JSON as `text/plain`
//! (Amazon SNS), without a type, or within a form (GitHub).

use axum::http::HeaderMap;
use serde_json::Value;

use crate::http::Problem;
use crate::intake::request;

/// A body that is not JSON: what its sender hears, and the same in a few words for the operator.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) problem: Problem,
    pub(super) why: String,
}

/// Reads a body as JSON.
///
/// # Errors
/// 400 where it should be JSON and is not, 415 where its type says that it is something else.
pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Value, Unreadable> {
    let kind = request::media_type(headers)
        .unwrap_or_default()
        .to_ascii_lowercase();
    let other = || Unreadable {
        problem: request::unsupported("send JSON, as application/json"),
        why: format!("is {kind:?} and not JSON"),
    };
    // Such a type is a promise (RFC 6839): its body is not one JSON value even where it happens to
    // look like it.
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
