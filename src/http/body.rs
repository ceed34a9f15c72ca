//! Reading what a request brings: bounded in size and in time.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;

use super::{Access, Problem};

/// The most bytes of a body that is too large which are read and thrown away, so that its sender comes to read the answer.
const MAX_DISCARDED: usize = 16 * 1024 * 1024;

/// Reads the whole body.
///
/// # Errors
/// 413 when it is larger than `server.max_body`, 408 when it takes too long, 400 when it breaks off.
pub async fn read(access: &Access, headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    read_at_most(access, headers, body, access.max_body()).await
}

/// The same of a route with a bound of its own.
///
/// # Errors
/// As [`read`], by that bound.
pub async fn read_at_most(access: &Access, headers: &HeaderMap, body: Body, max: usize) -> Result<Bytes, Problem> {
    let time = access.body_time();
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|text| text.parse::<usize>().ok());
    let waits_for_leave = headers.contains_key(header::EXPECT);
    if announced.is_some_and(|length| length > max.saturating_add(MAX_DISCARDED) || (length > max && waits_for_leave)) {
        return Err(too_large(max));
    }
    tokio::time::timeout(time, collect(body, max)).await.unwrap_or_else(|_| Err(too_slow(time)))
}

async fn collect(mut body: Body, max: usize) -> Result<Bytes, Problem> {
    let (mut first, mut rest, mut size) = (Bytes::new(), Vec::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the body broke off before its end"))?;
        let Ok(data) = frame.into_data() else { continue };
        size = size.saturating_add(data.len());
        if size > max.saturating_add(MAX_DISCARDED) {
            return Err(too_large(max));
        }
        if size > max {
            (first, rest) = (Bytes::new(), Vec::new());
        } else if first.is_empty() && rest.is_empty() {
            // Nearly every event comes in one piece and is not copied.
            first = data;
        } else {
            rest.extend_from_slice(&std::mem::take(&mut first));
            rest.extend_from_slice(&data);
        }
    }
    match (size > max, rest.is_empty()) {
        (true, _) => Err(too_large(max)),
        (false, true) => Ok(first),
        (false, false) => Ok(rest.into()),
    }
}

fn too_large(max: usize) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {max} bytes, the most that is taken here (max_body)"))
}

fn too_slow(time: Duration) -> Problem {
    let close = axum::http::HeaderValue::from_static("close");
    Problem::new(StatusCode::REQUEST_TIMEOUT, format!("the body did not arrive within {} s", time.as_secs())).with_header(header::CONNECTION, close)
}
