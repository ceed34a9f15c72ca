//! `POST /v1/events`: one event as JSON, or up to a thousand as NDJSON.

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRef, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::routing::post;
use serde_json::Value;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;

use super::answer::{self, Answer, Warnings};
use super::hooks::Hooks;
use super::parsing::Parsing;
use super::{Incoming, Intake, charset, grant};
use crate::domain::event::Budget;
use crate::domain::{Event, FieldError, JobEvent, Parsed, Source, json};
use crate::http::auth::Post;
use crate::http::body::{self, Received};
use crate::http::problem::ProblemBody;
use crate::http::{Access, Allowed, Caller, Fault, Problem, Sender};
use crate::routing::NoRecipient;

/// The most events of one NDJSON body.
const MAX_LINES: usize = 1_000;
/// The most characters of an idempotency key.
const MAX_KEY: usize = 190;
/// The most faults that one answer lists: enough for one of each line.
const MAX_FAULTS: usize = MAX_LINES;

/// What the routes of intake work with.
#[derive(Debug, Clone)]
pub(super) struct Entrance {
    pub(super) intake: Intake,
    pub(super) access: Access,
    pub(super) hooks: Hooks,
    pub(super) parsing: Parsing,
}

impl FromRef<Entrance> for Access {
    fn from_ref(entrance: &Entrance) -> Self {
        entrance.access.clone()
    }
}

/// The routes through which events come in: `POST /v1/events`, `POST /v1/messages` and `POST
/// /v1/hooks/{name}`.
pub fn router(intake: Intake, access: Access, hooks: Hooks) -> Router {
    let entrance = Entrance {
        intake,
        access,
        hooks,
        parsing: Parsing::default(),
    };
    Router::new()
        .route("/v1/events", post(post_events))
        .merge(super::messages::routes())
        .merge(super::hooks::routes())
        .with_state(entrance)
}

/// What describes these routes in `/openapi.json`.
pub fn described() -> OpenApi {
    Described::openapi()
        .merge_from(super::messages::Described::openapi())
        .merge_from(super::hooks::Described::openapi())
}

#[derive(utoipa::OpenApi)]
#[openapi(paths(post_events))]
struct Described;

/// Takes completion events.
///
/// One object as `application/json`; or one object a line as `application/x-ndjson`, at most 1,000,
/// all or none, answered by an array. `Idempotency-Key` (or `webhook-id`) names the whole request,
/// so that it can be sent again safely: the same events in the same order get the same answer,
/// anything else under that key is a conflict. An event's `id` names that event in the same way.
#[utoipa::path(
    post,
    path = "/v1/events",
    tag = "events",
    params(("Idempotency-Key" = Option<String>, Header, max_length = 190), ("webhook-id" = Option<String>, Header, max_length = 190)),
    request_body(content((EventSchema = "application/json"), (String = "application/x-ndjson"))),
    responses(
        (status = 202, description = "On disk; an array for NDJSON", body = Answer, headers(("Location" = String, description = "Where to read it; for one event"))),
        (status = 200, description = "Taken before with the same content", body = Answer, headers(("Location" = String))),
        (status = 400, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No token, or a wrong one", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not allowed: the token's scope, kinds or recipients, or a web page of another origin", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "The body came too slowly", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The id was taken before with other content, or the key with another request", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Larger than server.max_body", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Neither JSON nor NDJSON, or with a content coding other than gzip", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Fields are wrong; each is listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The queue is full, the disk refuses, or other bodies leave no room for this one; nothing was taken", body = ProblemBody,
         content_type = "application/problem+json", headers(("Retry-After" = u16, description = "Seconds"))),
    )
)]
async fn post_events(
    State(entrance): State<Entrance>,
    allowed: Allowed<Post>,
    sender: Sender,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Entrance {
        intake,
        access,
        parsing,
        ..
    } = &entrance;
    let invalid = |_: &Problem| intake.count(&Source::HTTP, "invalid");
    let Request { body, key, lines } = read(access, &sender, &headers, body)
        .await
        .inspect_err(invalid)?;
    let text = charset::utf8(&headers, &body).inspect_err(invalid)?;
    let _permit = parsing.permit(&text).await.inspect_err(invalid)?;
    if lines {
        return take_lines(intake, &allowed.caller, &text, key).await;
    }
    let parsed = {
        let value = one(&text).inspect_err(invalid)?;
        addressed(intake, &value, JobEvent::parse(&value, intake.now()))
    };
    take(intake, &allowed.caller, parsed, key, Source::HTTP).await
}

/// A request whose body has arrived.
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

/// Reads a request that must be one JSON value: its body and its key.
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

/// Adds to what is wrong with a payload that nobody would hear of it, so that the producer learns
/// of everything at once.
fn addressed(
    intake: &Intake,
    value: &Value,
    parsed: Result<Parsed, Vec<FieldError>>,
) -> Result<Parsed, Vec<FieldError>> {
    let unnamed = match &parsed {
        Ok(parsed) => parsed.event.to.is_empty(),
        Err(_) => JobEvent::names_nobody(value),
    };
    if !unnamed || intake.has_default_recipient() {
        return parsed;
    }
    let mut errors = parsed.err().unwrap_or_default();
    errors.push(nobody());
    Err(errors)
}

/// What is wrong when nobody would hear of an event.
pub(super) fn nobody() -> FieldError {
    FieldError {
        pointer: "#/to".to_owned(),
        detail: NoRecipient.to_string(),
    }
}

/// Puts one parsed event or message through the door.
pub(super) async fn take<T: Into<Event>>(
    intake: &Intake,
    caller: &Caller,
    parsed: Result<Parsed<T>, Vec<FieldError>>,
    key: Option<String>,
    source: Source,
) -> Result<Response, Problem> {
    let mut parsed = parsed.map_err(|errors| {
        intake.count(&source, "invalid");
        answer::invalid(errors)
    })?;
    let warnings = std::mem::take(&mut parsed.warnings);
    let incoming = Incoming::new(parsed, source.by(caller.name()));
    grant::check(caller, std::slice::from_ref(&incoming), |_| "#".to_owned())?;
    let accepted = intake.accept(vec![incoming], key).await;
    let accepted = accepted.map_err(|refusal| answer::refused(&refusal, |_| "#".to_owned()))?;
    grant::log(caller, &accepted);
    accepted
        .into_iter()
        .next()
        .map(|accepted| answer::one(accepted, warnings))
        .ok_or_else(Problem::internal)
}

async fn take_lines(
    intake: &Intake,
    caller: &Caller,
    text: &[u8],
    key: Option<String>,
) -> Result<Response, Problem> {
    let (group, warnings) =
        read_lines(intake, caller, text).inspect_err(|_| intake.count(&Source::HTTP, "invalid"))?;
    // The request itself has been charged.
    caller.charge(
        u32::try_from(group.len())
            .unwrap_or(u32::MAX)
            .saturating_sub(1),
    )?;
    grant::check(caller, &group, |index| format!("#/{index}"))?;
    let accepted = intake.accept(group, key).await;
    let accepted =
        accepted.map_err(|refusal| answer::refused(&refusal, |index| format!("#/{index}")))?;
    grant::log(caller, &accepted);
    Ok(answer::many(accepted, warnings))
}

/// Reads every line; the faults of all lines are listed, each with the index of its event and the
/// number of its line.
fn read_lines(
    intake: &Intake,
    caller: &Caller,
    text: &[u8],
) -> Result<(Vec<Incoming>, Vec<Warnings>), Problem> {
    let now = intake.now();
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
            .and_then(|value| {
                addressed(
                    intake,
                    &value,
                    JobEvent::parse_within(&value, now, &mut budget),
                )
            });
        match parsed {
            Ok(mut parsed) => {
                warnings.push(std::mem::take(&mut parsed.warnings));
                group.push(Incoming::new(parsed, Source::HTTP.by(caller.name())));
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

/// The media type without its parameters.
pub(super) fn media_type(headers: &HeaderMap) -> Option<&str> {
    let text = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    text.and_then(|text| text.split(';').next()).map(str::trim)
}

/// What the keys of webhooks' deliveries begin with; no producer may choose such a one.
pub(super) const HOOK_KEY: &str = "hook ";

/// The request's name: `Idempotency-Key`, bare or as a quoted string, or else `webhook-id`.
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
        let detail = format!(
            "must not begin with {HOOK_KEY:?}: such keys are those of webhooks' deliveries"
        );
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

/// One JSON value, no array.
pub(super) fn one(body: &[u8]) -> Result<Value, Problem> {
    let value = value(body)?;
    if value.is_array() {
        Err(array())
    } else {
        Ok(value)
    }
}

/// What is said of an array where one object belongs.
pub(super) fn array() -> Problem {
    let detail =
        "is an array; send one object, or several as application/x-ndjson, one on each line"
            .to_owned();
    Problem::invalid(vec![Fault {
        pointer: "#".to_owned(),
        detail,
    }])
}

/// One JSON value of any sort, nested at most 127 deep.
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

fn empty() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "the body is empty; send an event as JSON",
    )
}

pub(super) fn unsupported(advice: &'static str) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, advice)
}

/// An event as `POST /v1/events` takes it, for the description of the interface.
struct EventSchema;

impl utoipa::PartialSchema for EventSchema {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        crate::http::app::schema(include_str!("event.schema.json"))
    }
}

impl utoipa::ToSchema for EventSchema {
    fn name() -> std::borrow::Cow<'static, str> {
        "Event".into()
    }
}
