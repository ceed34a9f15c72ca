//! Reads request bodies, with limits on size, time and the total of all bodies.

use std::ops::Deref;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;

use super::arrival::BodyError;
use super::body_budget::Reservation;
use super::coding::{self, Coding, Failure};
use super::{Access, Problem, Sender, Why};

/// Maximum number of excess bytes that are read and discarded, so that the sender gets to read the
/// response.
const MAX_DISCARDED: usize = 16 * 1024 * 1024;
/// `Retry-After` if the budget is exhausted, in seconds.
const RETRY: u16 = 2;

/// A complete, decoded body. It holds its part of the budget until it is dropped.
#[derive(Debug)]
pub struct Received {
    decoded: Bytes,
    /// The encoded body, if it differs.
    coded: Option<Bytes>,
    sender: Sender,
    reservation: Reservation,
}

impl Received {
    /// The body before content decoding.
    pub fn as_sent(&self) -> &[u8] {
        self.coded.as_deref().unwrap_or(&self.decoded)
    }

    /// Marks the sender as authenticated by this body.
    pub fn mark_authenticated(&mut self) {
        self.reservation.mark_authenticated();
        self.sender.mark_authenticated();
    }
}

impl Deref for Received {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.decoded
    }
}

/// Reads a body.
///
/// # Errors
/// 413 if it exceeds `server.max_body`, 408 if it takes too long, 415 for content codings other
/// than gzip, 503 if the budget is exhausted, 400 if it breaks off or is damaged.
pub async fn read(
    access: &Access,
    sender: &Sender,
    headers: &HeaderMap,
    body: Body,
) -> Result<Received, Problem> {
    read_at_most(access, sender, headers, body, access.max_body()).await
}

/// Reads a body of at most `max` bytes.
///
/// # Errors
/// As [`read`].
pub async fn read_at_most(
    access: &Access,
    sender: &Sender,
    headers: &HeaderMap,
    body: Body,
    max: usize,
) -> Result<Received, Problem> {
    let budget = access.budget();
    let max = max.min(budget.largest(sender.is_authenticated()));
    let coding = coding::of(headers)?;
    let time = access.body_time();
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<usize>().ok());
    let waits_for_leave = headers.contains_key(header::EXPECT);
    if announced.is_some_and(|length| {
        length > max.saturating_add(MAX_DISCARDED) || (length > max && waits_for_leave)
    }) {
        return Err(too_large(max));
    }
    let mut reservation = budget.reserve(sender.is_authenticated());
    let sent = tokio::time::timeout(time, collect(body, max, &mut reservation))
        .await
        .unwrap_or_else(|_| Err(too_slow(time)))?;
    reservation.complete();
    let (decoded, coded) = match coding {
        Coding::Gzip if !sent.is_empty() => {
            (inflate(&sent, max, &mut reservation).await?, Some(sent))
        }
        Coding::Gzip | Coding::Identity => (sent, None),
    };
    Ok(Received {
        decoded,
        coded,
        sender: sender.clone(),
        reservation,
    })
}

async fn collect(
    mut body: Body,
    max: usize,
    reservation: &mut Reservation,
) -> Result<Bytes, Problem> {
    let (mut first, mut rest, mut size) = (Bytes::new(), Vec::new(), 0_usize);
    loop {
        let frame = tokio::select! {
            biased;
            () = reservation.displaced() => return Err(no_room()),
            frame = body.frame() => frame,
        };
        let Some(frame) = frame else { break };
        let Ok(data) = frame.map_err(broken)?.into_data() else {
            continue;
        };
        size = size.saturating_add(data.len());
        if size > max.saturating_add(MAX_DISCARDED) {
            return Err(too_large(max));
        }
        if size > max {
            (first, rest) = (Bytes::new(), Vec::new());
            reservation.release();
            continue;
        }
        reservation.add(data.len()).await.map_err(|_| no_room())?;
        if first.is_empty() && rest.is_empty() {
            // Most events arrive in one chunk, which is not copied.
            first = data;
        } else {
            append(&mut rest, &std::mem::take(&mut first));
            append(&mut rest, &data);
        }
    }
    match (size > max, rest.is_empty()) {
        (true, _) => Err(too_large(max)),
        (false, true) => Ok(first),
        (false, false) => Ok(rest.into()),
    }
}

/// Appends with little spare capacity, because the budget counts bytes, not capacity.
fn append(all: &mut Vec<u8>, data: &[u8]) {
    if all.capacity().saturating_sub(all.len()) < data.len() {
        all.reserve_exact(data.len().max(all.len() / 8));
    }
    all.extend_from_slice(data);
}

async fn inflate(sent: &[u8], max: usize, reservation: &mut Reservation) -> Result<Bytes, Problem> {
    coding::inflate(sent, max, reservation)
        .await
        .map(Bytes::from)
        .map_err(|failure| match failure {
            Failure::Damaged => Problem::new(
                StatusCode::BAD_REQUEST,
                "the body is not valid gzip, despite its Content-Encoding",
            ),
            Failure::TooLarge => too_large(max),
            Failure::Exhausted => no_room(),
        })
}

fn broken(error: axum::Error) -> Problem {
    match error.into_inner().downcast_ref() {
        Some(BodyError::Stalled) => Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "the body arrives too slowly: less than 1 KiB per second",
        )
        .because(Why::BodyTime),
        _ => Problem::new(StatusCode::BAD_REQUEST, "the body broke off before its end"),
    }
}

fn too_large(max: usize) -> Problem {
    let detail = format!(
        "the body exceeds the limit of {max} bytes (max_body; without authentication at most a quarter of body_budget)"
    );
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail).because(Why::BodySize)
}

fn too_slow(time: Duration) -> Problem {
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        format!("the body did not arrive within {} s", time.as_secs()),
    )
    .because(Why::BodyTime)
}

fn no_room() -> Problem {
    let detail = "other request bodies use up server.body_budget; nothing was stored";
    Problem::unavailable(detail, RETRY).because(Why::BodyBudget)
}
