//! Decodes bodies that are not UTF-8: older programs send JSON as GBK or UTF-16.

use std::borrow::Cow;

use axum::http::{HeaderMap, StatusCode, header};

use crate::encoding;
use crate::http::Problem;

/// Converts the body to UTF-8 by the `charset` of its media type, or by its byte order mark.
pub(super) fn utf8<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<Cow<'a, [u8]>, Problem> {
    let charset = charset(headers);
    let label = charset
        .as_deref()
        .or_else(|| utf16_mark(body))
        .filter(|label| !["utf-8", "utf8"].contains(&label.to_ascii_lowercase().as_str()));
    let Some(label) = label else {
        // RFC 8259 §8.1 allows ignoring a byte order mark.
        return Ok(Cow::Borrowed(
            body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body),
        ));
    };
    match encoding::decode_declared(body, label) {
        Some(Cow::Borrowed(text)) => Ok(Cow::Borrowed(text.as_bytes())),
        Some(Cow::Owned(text)) => Ok(Cow::Owned(text.into_bytes())),
        None if encoding::is_known(label) => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            format!("the body is not valid {}", short(label)),
        )),
        None => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("unknown charset {}; send UTF-8", short(label)),
        )),
    }
}

/// The `charset` parameter of `Content-Type`, quoted or not.
fn charset(headers: &HeaderMap) -> Option<String> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let value = kind
        .split(';')
        .skip(1)
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    value
        .map(|(_, value)| value.trim().trim_matches('"').to_owned())
        .filter(|value| !value.is_empty())
}

fn utf16_mark(body: &[u8]) -> Option<&'static str> {
    match body {
        [0xFF, 0xFE, ..] => Some("utf-16le"),
        [0xFE, 0xFF, ..] => Some("utf-16be"),
        _ => None,
    }
}

fn short(label: &str) -> String {
    label.chars().take(40).collect()
}
