//! What a producer hears over HTTP: the contract's answers to what was taken and to what was not.

use std::fmt::Write as _;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;

use super::{Accepted, Intake, Refusal};
use crate::domain::FieldError;
use crate::http::{Fault, Problem, Why, problem};
use crate::queue::StoreError;
use crate::routing::NoRecipient;
use crate::telemetry::log_limit::{LogLimit, Verdict};

/// Seconds until a full queue is worth another try.
const RETRY_FULL: u16 = 10;
/// Seconds until a busy disk is.
const RETRY_BUSY: u16 = 1;
/// Seconds until a refusing disk is.
const RETRY_STORE: u16 = 5;

/// What is said of an event that is on disk.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Accepted)]
pub(super) struct Answer {
    /// The event's id.
    #[schema(max_length = 200)]
    id: String,
    /// Always `accepted`.
    status: &'static str,
    /// Whether it was taken before; nothing was added then.
    duplicate: bool,
    /// What was not understood or left out.
    warnings: Vec<String>,
}

/// What was noticed while one event was read.
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

/// 202 for what is new, 200 for what was known.
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

/// The answer to a group: one entry for each event, 202 when any of them is new.
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

/// The answer to what was refused; `pointer` gives the place of an event of the group in the
/// request.
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
            let detail =
                "must not begin with \"hook:\": such ids are those of webhooks' events".to_owned();
            Problem::invalid(vec![Fault {
                pointer: format!("{}/id", pointer(*index)),
                detail,
            }])
        }
        Refusal::TooMany => {
            let detail = format!(
                "makes more than {} deliveries; nothing was taken: send it in several requests",
                Intake::MAX_DELIVERIES
            );
            Problem::invalid(vec![Fault {
                pointer: "#".to_owned(),
                detail,
            }])
        }
        Refusal::Conflict { index, id } => {
            let detail = format!(
                "{}: the event {id} was taken before with other content; send a new id for a new event",
                pointer(*index)
            );
            Problem::new(StatusCode::CONFLICT, detail)
        }
        Refusal::KeyTaken => Problem::new(
            StatusCode::CONFLICT,
            "this Idempotency-Key (or webhook-id) was taken before with another request; send a new one for another request",
        ),
        Refusal::Full => Problem::unavailable("the queue is full; nothing was taken", RETRY_FULL)
            .because(Why::QueueFull),
        Refusal::Busy => Problem::unavailable(
            "too many requests wait for the disk; nothing was taken",
            RETRY_BUSY,
        )
        .because(Why::Busy),
        Refusal::Store(error) => {
            log_store(error);
            Problem::unavailable(
                format!("{}; nothing was taken", error.reason()),
                RETRY_STORE,
            )
            .because(Why::Store)
        }
    }
}

/// Producers come again and again while a disk is full, so its error is logged once a minute.
fn log_store(error: &StoreError) {
    static LIMIT: LogLimit = LogLimit::new();
    if let Verdict::Log(refused) = LIMIT.count() {
        tracing::error!(%error, refused, "events were refused because the store refuses");
    }
}

/// What is wrong when nobody would hear of an event.
pub(super) fn missing_recipient() -> FieldError {
    FieldError {
        pointer: "#/to".to_owned(),
        detail: NoRecipient.to_string(),
    }
}

/// The answer to fields that are wrong.
pub(super) fn invalid(errors: Vec<FieldError>) -> Problem {
    Problem::invalid(
        errors
            .into_iter()
            .map(|FieldError { pointer, detail }| Fault { pointer, detail })
            .collect(),
    )
}

/// An id as one segment of a path (RFC 3986 §3.3).
fn path_segment(id: &str) -> String {
    let mut segment = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            write!(segment, "%{byte:02X}").unwrap_or_default();
        }
    }
    segment
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::EventId;
    use crate::queue::StoreError;
    use axum::http::header::RETRY_AFTER;
    use axum::response::IntoResponse;

    #[test]
    fn every_refusal_has_the_contracts_status_and_those_that_pass_say_when_to_come_back() {
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
            answer(&Refusal::Conflict {
                index: 0,
                id: EventId::parse("a").unwrap()
            }),
            (409, None)
        );
        assert_eq!(answer(&Refusal::KeyTaken), (409, None));
        assert_eq!(answer(&Refusal::Full), (503, Some("10".to_owned())));
        assert_eq!(answer(&Refusal::Busy), (503, Some("1".to_owned())));
        assert_eq!(
            answer(&Refusal::Store(StoreError::Closed)),
            (503, Some("5".to_owned()))
        );
    }

    #[test]
    fn an_id_is_one_segment_of_a_path() {
        assert_eq!(path_segment("a-Z0._~:"), "a-Z0._~:");
        assert_eq!(path_segment("a/b?c#d%"), "a%2Fb%3Fc%23d%25");
    }
}
