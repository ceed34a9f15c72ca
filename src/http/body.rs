//! Reading what a request brings: bounded in size, in time, and by the budget for all bodies
//! together.

use std::ops::Deref;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;

use super::arrival::BodyError;
use super::budget::Room;
use super::coding::{self, Coding, Failure};
use super::{Access, Problem, Sender, Why};

/// The most bytes of a body that is too large which are read and thrown away, so that its sender
/// comes to read the answer.
const MAX_DISCARDED: usize = 16 * 1024 * 1024;
/// Seconds until the next try is worth it where there was no room.
const RETRY: u16 = 2;

/// A body that has arrived, decoded. It takes its part of the budget until it is dropped.
#[derive(Debug)]
pub struct Received {
    decoded: Bytes,
    /// As it was sent, where that differs.
    coded: Option<Bytes>,
    sender: Sender,
    room: Room,
}

impl Received {
    /// The body as it was sent: before a content coding was undone.
    pub fn as_sent(&self) -> &[u8] {
        self.coded.as_deref().unwrap_or(&self.decoded)
    }

    /// Notes that the body proves its sender.
    pub fn prove(&mut self) {
        self.room.prove();
        self.sender.prove();
    }
}

impl Deref for Received {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.decoded
    }
}

/// Reads the whole body.
///
/// # Errors
/// 413 when it is larger than `server.max_body`, 408 when it takes too long, 415 when it has a
/// content coding other than gzip, 503 when there is no room for it now, 400 when it breaks off or
/// is damaged.
pub async fn read(
    access: &Access,
    sender: &Sender,
    headers: &HeaderMap,
    body: Body,
) -> Result<Received, Problem> {
    read_at_most(access, sender, headers, body, access.max_body()).await
}

/// The same of a route with a bound of its own.
///
/// # Errors
/// As [`read`], by that bound.
pub async fn read_at_most(
    access: &Access,
    sender: &Sender,
    headers: &HeaderMap,
    body: Body,
    max: usize,
) -> Result<Received, Problem> {
    let budget = access.budget();
    let max = max.min(budget.largest(sender.is_proven()));
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
    let mut room = budget.room(sender.is_proven());
    let sent = tokio::time::timeout(time, collect(body, max, &mut room))
        .await
        .unwrap_or_else(|_| Err(too_slow(time)))?;
    room.complete();
    let (decoded, coded) = match coding {
        Coding::Gzip if !sent.is_empty() => (inflate(&sent, max, &mut room).await?, Some(sent)),
        Coding::Gzip | Coding::Identity => (sent, None),
    };
    Ok(Received {
        decoded,
        coded,
        sender: sender.clone(),
        room,
    })
}

async fn collect(mut body: Body, max: usize, room: &mut Room) -> Result<Bytes, Problem> {
    let (mut first, mut rest, mut size) = (Bytes::new(), Vec::new(), 0_usize);
    loop {
        let frame = tokio::select! {
            biased;
            () = room.displaced() => return Err(no_room()),
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
            room.give_back();
            continue;
        }
        room.take(data.len()).await.map_err(|_| no_room())?;
        if first.is_empty() && rest.is_empty() {
            // Nearly every event comes in one piece and is not copied.
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

/// Appends with little spare room: what is counted are the bytes, not the room.
fn append(all: &mut Vec<u8>, data: &[u8]) {
    if all.capacity().saturating_sub(all.len()) < data.len() {
        all.reserve_exact(data.len().max(all.len() / 8));
    }
    all.extend_from_slice(data);
}

async fn inflate(sent: &[u8], max: usize, room: &mut Room) -> Result<Bytes, Problem> {
    coding::inflate(sent, max, room)
        .await
        .map(Bytes::from)
        .map_err(|failure| match failure {
            Failure::Damaged => Problem::new(
                StatusCode::BAD_REQUEST,
                "the body is not valid gzip, as its Content-Encoding says it is",
            ),
            Failure::TooLarge => too_large(max),
            Failure::NoRoom => no_room(),
        })
}

fn broken(error: axum::Error) -> Problem {
    match error.into_inner().downcast_ref() {
        Some(BodyError::Stalled) => Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "the body arrives too slowly: at less than 1 KiB a second",
        )
        .because(Why::BodyTime),
        _ => Problem::new(StatusCode::BAD_REQUEST, "the body broke off before its end"),
    }
}

fn too_large(max: usize) -> Problem {
    let detail = format!(
        "the body is larger than {max} bytes, the most that is taken here (max_body, and for unproven senders a quarter of body_budget)"
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
    let detail = "the bodies of other requests leave no room for this one now (body_budget); nothing was taken";
    Problem::unavailable(detail, RETRY).because(Why::BodyBudget)
}
