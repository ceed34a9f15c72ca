//! `POST /v1/events`: one event as JSON, or up to a thousand as NDJSON.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;

use super::ApiState;
use super::request::{empty, json_object, key, media_type, unsupported};
use super::response::{self, Answer, Warnings};
use super::{Intake, charset, grant};
use crate::domain::event::Budget;
use crate::domain::{Event, FieldError, JobEvent, Parsed, Source, json};
use crate::http::auth::Post;
use crate::http::body::{self, Received};
use crate::http::openapi::{PostProblems, TokenProblems, json_schemas};
use crate::http::{Access, Authorized, Caller, Fault, Problem, Sender};

/// Maximum number of events in an NDJSON body.
const MAX_LINES: usize = 1_000;
/// Maximum number of errors in one response: one per line.
const MAX_FAULTS: usize = MAX_LINES;

/// The route.
pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/v1/events", post(post_events))
}

/// Its OpenAPI description.
#[derive(utoipa::OpenApi)]
#[openapi(paths(post_events))]
pub(super) struct ApiDoc;

/// Stores completion events.
///
/// Send one object as `application/json`, or up to 1,000 objects, one per line, as
/// `application/x-ndjson`; all of them are stored or none, and the response is an array.
/// `Idempotency-Key` (or `webhook-id`) identifies the request: sending the same events in the same
/// order again returns the same response, and anything else under that key is a conflict. An
/// event's `id` identifies that event in the same way.
#[utoipa::path(
    post,
    path = "/v1/events",
    tag = "events",
    params(("Idempotency-Key" = Option<String>, Header, max_length = 190), ("webhook-id" = Option<String>, Header, max_length = 190)),
    request_body(content((EventSchema = "application/json"), (String = "application/x-ndjson"))),
    responses(
        (status = 202, description = "Stored; an array for NDJSON", body = Answer, headers(("Location" = String, description = "URL of the event, for one event"))),
        (status = 200, description = "Already stored with the same content", body = Answer, headers(("Location" = String))),
        TokenProblems,
        PostProblems,
    )
)]
async fn post_events(
    State(state): State<ApiState>,
    authorized: Authorized<Post>,
    sender: Sender,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let ApiState {
        intake,
        access,
        parsing,
        ..
    } = &state;
    let invalid = |_: &Problem| intake.count(&Source::HTTP, "invalid");
    let Request { body, key, lines } = read(access, &sender, &headers, body)
        .await
        .inspect_err(invalid)?;
    let text = charset::utf8(&headers, &body).inspect_err(invalid)?;
    let _permit = parsing.permit(&text).await.inspect_err(invalid)?;
    store(intake, &authorized.caller, &text, key, lines).await
}

/// Stores one event in JSON, or several in lines.
async fn store(
    intake: &Intake,
    caller: &Caller,
    text: &[u8],
    key: Option<String>,
    lines: bool,
) -> Result<Response, Problem> {
    if lines {
        return store_lines(intake, caller, text, key).await;
    }
    let parsed = {
        let invalid = |_: &Problem| intake.count(&Source::HTTP, "invalid");
        let value = json_object(text).inspect_err(invalid)?;
        let requires_recipient = !intake.has_default_recipient();
        JobEvent::parse_within(
            &value,
            intake.now(),
            &mut Budget::default(),
            requires_recipient,
        )
    };
    store_one(intake, caller, parsed, key, Source::HTTP).await
}

/// Stores events of a command without a daemon, with the answer of `POST /v1/events`: its status and
/// body.
#[cfg(feature = "cli")]
pub(crate) async fn post_directly(intake: &Intake, text: &[u8], lines: bool) -> (u16, Vec<u8>) {
    let stored = store(intake, &Caller::default(), text, None, lines).await;
    let response = stored.unwrap_or_else(axum::response::IntoResponse::into_response);
    let status = response.status().as_u16();
    // It is in memory, and its size is bounded by the number of events.
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await;
    (status, body.unwrap_or_default().to_vec())
}

/// A request whose body has been received.
struct Request {
    body: Received,
    key: Option<String>,
    lines: bool,
}

async fn read(
    access: &Access,
    sender: &Sender,
    headers: &HeaderMap,
    body: Body,
) -> Result<Request, Problem> {
    let lines = match media_type(headers) {
        Some(kind) if kind.eq_ignore_ascii_case("application/json") => false,
        Some(kind) if kind.eq_ignore_ascii_case("application/x-ndjson") => true,
        _ => {
            return Err(unsupported(
                "send application/json, or application/x-ndjson for several events",
            ));
        }
    };
    let key = key(headers)?;
    let body = body::read(access, sender, headers, body).await?;
    Ok(Request { body, key, lines })
}

/// Checks, stores and answers one parsed event or message.
pub(super) async fn store_one<T: Into<Event>>(
    intake: &Intake,
    caller: &Caller,
    parsed: Result<Parsed<T>, Vec<FieldError>>,
    key: Option<String>,
    source: Source,
) -> Result<Response, Problem> {
    let mut parsed = parsed.map_err(|errors| {
        intake.count(&source, "invalid");
        response::invalid(errors)
    })?;
    let warnings = std::mem::take(&mut parsed.warnings);
    let group = vec![parsed.into_event()];
    grant::check(caller, &group, |_| "#".to_owned())?;
    let accepted = intake.accept(&source.by(caller.name()), group, key).await;
    let accepted = accepted.map_err(|refusal| response::refused(&refusal, |_| "#".to_owned()))?;
    grant::log(caller, &accepted);
    accepted
        .into_iter()
        .next()
        .map(|accepted| response::one(accepted, warnings))
        .ok_or_else(Problem::internal)
}

async fn store_lines(
    intake: &Intake,
    caller: &Caller,
    text: &[u8],
    key: Option<String>,
) -> Result<Response, Problem> {
    let (group, warnings) =
        read_lines(intake, text).inspect_err(|_| intake.count(&Source::HTTP, "invalid"))?;
    caller.charge_events(group.len())?;
    grant::check(caller, &group, |index| format!("#/{index}"))?;
    let source = Source::HTTP.by(caller.name());
    let accepted = intake.accept(&source, group, key).await;
    let accepted =
        accepted.map_err(|refusal| response::refused(&refusal, |index| format!("#/{index}")))?;
    grant::log(caller, &accepted);
    Ok(response::many(accepted, warnings))
}

/// Parses every line. Errors carry the index of the event and the number of its line.
fn read_lines(
    intake: &Intake,
    text: &[u8],
) -> Result<(Vec<Parsed<Event>>, Vec<Warnings>), Problem> {
    let now = intake.now();
    let requires_recipient = !intake.has_default_recipient();
    let mut budget = Budget::LINES;
    let (mut group, mut warnings, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    let filled = text
        .split(|byte| *byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.trim_ascii().is_empty());
    for (index, (number, line)) in filled.enumerate() {
        if index == MAX_LINES {
            let detail = format!("has more than {MAX_LINES} events; send them in several requests");
            return Err(Problem::invalid(vec![Fault {
                pointer: "#".to_owned(),
                detail,
            }]));
        }
        let number = number + 1;
        let parsed = json::read(line)
            .map_err(|error| {
                vec![FieldError {
                    pointer: "#".to_owned(),
                    detail: format!("is not JSON: {error}"),
                }]
            })
            .and_then(|value| JobEvent::parse_within(&value, now, &mut budget, requires_recipient));
        match parsed {
            Ok(mut parsed) => {
                warnings.push(std::mem::take(&mut parsed.warnings));
                group.push(parsed.into_event());
            }
            Err(errors) => faults.extend(errors.into_iter().map(|error| Fault {
                pointer: format!("#/{index}{}", error.pointer.trim_start_matches('#')),
                detail: format!("line {number}: {}", error.detail),
            })),
        }
        if faults.len() >= MAX_FAULTS {
            break;
        }
    }
    if group.is_empty() && faults.is_empty() {
        return Err(empty());
    }
    if faults.is_empty() {
        Ok((group, warnings))
    } else {
        Err(Problem::invalid(faults))
    }
}

json_schemas! {
    EventSchema as "Event" in "event.schema.json";
}
