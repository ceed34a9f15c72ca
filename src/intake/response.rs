//! The responses to accepted and refused events.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde::Serialize;

use super::outcome::{Accepted, MAX_DELIVERIES, Refusal};
use crate::domain::FieldError;
use crate::http::{Fault, Problem, Why, problem};
use crate::queue::{EnqueueError, StoreError};
use crate::routing::NoRecipient;
use crate::telemetry::log_limit::{LogLimit, Verdict};

/// Characters that a path segment does not carry as they are (RFC 3986 §3.3).
const NOT_IN_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':');
/// `Retry-After` for a full queue, in seconds.
const RETRY_FULL: u16 = 10;
/// `Retry-After` for a busy disk, in seconds.
const RETRY_BUSY: u16 = 1;
/// `Retry-After` for a failing disk, in seconds.
const RETRY_STORE: u16 = 5;

/// Response for one event.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Accepted)]
pub(super) struct Answer {
    /// The event's id.
    #[schema(max_length = 200)]
    id: String,
    /// Always `accepted`.
    status: &'static str,
    /// Whether the event was already stored. A duplicate adds nothing.
    duplicate: bool,
    /// Fields that were ignored or left out.
    warnings: Vec<String>,
}

/// Warnings of one event.
pub(super) type Warnings = Vec<FieldError>;

impl Answer {
    fn new(accepted: Accepted, warnings: Warnings) -> Self {
        let warnings = warnings.into_iter().map(|warning| warning.detail).collect();
        Self {
            id: accepted.id.into(),
            status: "accepted",
            duplicate: accepted.duplicate,
            warnings,
        }
    }
}

/// 202 for a new event, 200 for a duplicate.
const fn status(any_new: bool) -> StatusCode {
    if any_new {
        StatusCode::ACCEPTED
    } else {
        StatusCode::OK
    }
}

/// The answer to one event.
pub(super) fn one(accepted: Accepted, warnings: Warnings) -> Response {
    let location =
        HeaderValue::try_from(format!("/v1/events/{}", path_segment(accepted.id.as_str())));
    let answer = Answer::new(accepted, warnings);
    let mut response = problem::json(status(!answer.duplicate), &answer);
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// The response to a group: one entry per event; 202 if any of them is new.
pub(super) fn many(accepted: Vec<Accepted>, warnings: Vec<Warnings>) -> Response {
    let answers: Vec<Answer> = accepted
        .into_iter()
        .zip(warnings)
        .map(|(accepted, warnings)| Answer::new(accepted, warnings))
        .collect();
    problem::json(
        status(answers.iter().any(|answer| !answer.duplicate)),
        &answers,
    )
}

/// The response to a refused group; `pointer` locates an event of the group in the request.
pub(super) fn refused(refusal: &Refusal, pointer: impl Fn(usize) -> String) -> Problem {
    match refusal {
        Refusal::NoRecipient { index } => {
            let detail = NoRecipient.to_string();
            Problem::invalid(vec![Fault {
                pointer: format!("{}/to", pointer(*index)),
                detail,
            }])
        }
        Refusal::HookId { index, .. } => {
            let detail = "must not begin with \"hook:\", which is reserved for webhooks".to_owned();
            Problem::invalid(vec![Fault {
                pointer: format!("{}/id", pointer(*index)),
                detail,
            }])
        }
        Refusal::TooMany => {
            let detail = format!(
                "makes more than {MAX_DELIVERIES} deliveries; nothing was stored: split the request"
            );
            Problem::invalid(vec![Fault {
                pointer: "#".to_owned(),
                detail,
            }])
        }
        Refusal::Queue(EnqueueError::Conflict { index, id }) => {
            let detail = format!(
                "{}: the event {id} already exists with different content; use a new id for a new event",
                pointer(*index)
            );
            Problem::new(StatusCode::CONFLICT, detail)
        }
        Refusal::Queue(EnqueueError::Superseded { id, .. }) => Problem::new(
            StatusCode::CONFLICT,
            format!("The job has already ended with the event {id}."),
        ),
        Refusal::Queue(EnqueueError::KeyTaken) => Problem::new(
            StatusCode::CONFLICT,
            "this Idempotency-Key (or webhook-id) was already used for a different request; use a new key",
        ),
        Refusal::Queue(EnqueueError::Full) => {
            Problem::unavailable("the queue is full; nothing was stored", RETRY_FULL)
                .because(Why::QueueFull)
        }
        Refusal::Queue(EnqueueError::Busy) => Problem::unavailable(
            "too many requests are waiting for the disk; nothing was stored",
            RETRY_BUSY,
        )
        .because(Why::Busy),
        Refusal::Queue(EnqueueError::Store(error)) => {
            log_store(error);
            Problem::unavailable(
                format!("{}; nothing was stored", error.reason()),
                RETRY_STORE,
            )
            .because(Why::Store)
        }
    }
}

/// Producers retry while a disk is full, so the error is logged once a minute.
fn log_store(error: &StoreError) {
    static LIMIT: LogLimit = LogLimit::new();
    // To drain is what the operator wants.
    if !matches!(error, StoreError::Draining)
        && let Verdict::Log(refused) = LIMIT.count()
    {
        tracing::error!(%error, refused, "events refused: the store fails");
    }
}

/// The response to validation errors.
pub(super) fn invalid(errors: Vec<FieldError>) -> Problem {
    Problem::invalid(
        errors
            .into_iter()
            .map(|FieldError { pointer, detail }| Fault { pointer, detail })
            .collect(),
    )
}

/// Encodes an id as one path segment.
fn path_segment(id: &str) -> PercentEncode<'_> {
    utf8_percent_encode(id, NOT_IN_SEGMENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::EventId;
    use crate::queue::{EnqueueError, StoreError};
    use axum::http::header::RETRY_AFTER;
    use axum::response::IntoResponse;

    #[test]
    fn refusals_map_to_status_codes_and_retry_after() {
        let answer = |refusal: &Refusal| {
            let response = refused(refusal, |index| format!("#/{index}")).into_response();
            let retry = response
                .headers()
                .get(RETRY_AFTER)
                .map(|value| value.to_str().unwrap().to_owned());
            (response.status().as_u16(), retry)
        };
        assert_eq!(answer(&Refusal::NoRecipient { index: 0 }), (422, None));
        assert_eq!(
            answer(&Refusal::Queue(EnqueueError::Conflict {
                index: 0,
                id: EventId::parse("a").unwrap()
            })),
            (409, None)
        );
        assert_eq!(answer(&Refusal::Queue(EnqueueError::KeyTaken)), (409, None));
        assert_eq!(
            answer(&Refusal::Queue(EnqueueError::Full)),
            (503, Some("10".to_owned()))
        );
        assert_eq!(
            answer(&Refusal::Queue(EnqueueError::Busy)),
            (503, Some("1".to_owned()))
        );
        assert_eq!(
            answer(&Refusal::Queue(EnqueueError::Store(StoreError::Closed))),
            (503, Some("5".to_owned()))
        );
    }

    #[test]
    fn path_segment_escapes_reserved_characters() {
        assert_eq!(path_segment("a-Z0._~:").to_string(), "a-Z0._~:");
        assert_eq!(path_segment("a/b?c#d%").to_string(), "a%2Fb%3Fc%23d%25");
    }
}
