//! The hooks' routes: who may, what it says, what becomes of it.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tracing::{info, warn};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::verify::{self, Check, Refused};
use super::{Kind, Mapped, Sent, Settings};
use crate::domain::{FieldError, Parsed};
use crate::http::problem::ProblemBody;
use crate::http::{Problem, body};
use crate::intake::answer::{self, Answer};
use crate::intake::webhook::{self, Entrance, key};
use crate::intake::{Accepted, Incoming};

/// The most notes that the query of a hook's URL makes.
const MAX_QUERY: usize = 32;

/// The most characters of a request's key in the store.
const MAX_KEY: usize = 200;

/// The hooks' routes.
pub(in crate::intake) fn routes() -> OpenApiRouter<Entrance> {
    OpenApiRouter::new().routes(routes!(post_hook)).routes(routes!(post_secret_hook))
}

/// Takes what a service posts when a job of its own has ended.
///
/// The name is that of a `[hooks.NAME]` table, whose `kind` says how the payload is read and how its sender proves who it is; `huiying` needs no
/// table. The answers to an event are those of `POST /v1/events`. Query parameters become the event's metadata.
#[utoipa::path(
    post,
    path = "/v1/hooks/{name}",
    tag = "hooks",
    params(("name" = String, Path, description = "The name of a `[hooks.NAME]` table")),
    request_body(content((serde_json::Value = "application/json"))),
    responses(
        (status = 202, description = "On disk; an array for a batch", body = Answer, headers(("Location" = String, description = "Where to read it"))),
        (status = 200, description = "Taken before with the same content; for a sender that takes nothing else for a yes, also what is new or of no interest", body = Answer),
        (status = 204, description = "Understood, and no end of a job: nothing was stored"),
        (status = 400, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "Not proven to come from the service", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not allowed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such hook, or not by this URL", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "The body came too slowly", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The same delivery, or the same end of the same job, was taken before with other content", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Larger than the hook's max_body", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Cannot be read as what the service sends; each fault is listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The queue is full or the disk refuses; nothing was taken", body = ProblemBody,
         content_type = "application/problem+json", headers(("Retry-After" = u16, description = "Seconds"))),
    )
)]
async fn post_hook(
    State(entrance): State<Entrance>,
    name: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let hook = name.ok().and_then(|Path(name)| entrance.hooks.find(&name)).ok_or_else(unknown)?;
    Request { entrance, hook, query, headers }.answer(None, body).await
}

/// The same for a service that signs nothing: the secret is the last part of the URL.
///
/// A wrong secret is answered as an unknown name is.
#[utoipa::path(
    post,
    path = "/v1/hooks/{name}/{secret}",
    tag = "hooks",
    params(("name" = String, Path, description = "The name of a `[hooks.NAME]` table"), ("secret" = String, Path, description = "Its secret")),
    request_body(content((serde_json::Value = "application/json"))),
    responses(
        (status = 202, description = "On disk; an array for a batch", body = Answer, headers(("Location" = String, description = "Where to read it"))),
        (status = 200, description = "Taken before with the same content; for a sender that takes nothing else for a yes, also what is new or of no interest", body = Answer),
        (status = 204, description = "Understood, and no end of a job: nothing was stored"),
        (status = 400, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such hook, or not by this URL", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "The body came too slowly", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The same end of the same job was taken before with other content", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Larger than the hook's max_body", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Cannot be read as what the service sends; each fault is listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The queue is full or the disk refuses; nothing was taken", body = ProblemBody,
         content_type = "application/problem+json", headers(("Retry-After" = u16, description = "Seconds"))),
    )
)]
async fn post_secret_hook(
    State(entrance): State<Entrance>,
    path: Result<Path<(String, String)>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Path((name, secret)) = path.map_err(|_| unknown())?;
    let hook = entrance.hooks.find(&name).ok_or_else(unknown)?;
    Request { entrance, hook, query, headers }.answer(Some(&secret), body).await
}

/// One answer for every name that is no hook and every secret that is wrong.
fn unknown() -> Problem {
    Problem::not_found("there is no hook at this address")
}

/// What one request brings besides its body.
struct Request {
    entrance: Entrance,
    hook: Arc<Settings>,
    query: Option<String>,
    headers: HeaderMap,
}

impl Request {
    async fn answer(self, secret: Option<&str>, body: Body) -> Result<Response, Problem> {
        self.admit(secret)?;
        let intake = &self.entrance.intake;
        let read = self.read(body).await.inspect_err(|_| intake.count(&self.hook.source(), "invalid"))?;
        let (payload, key) = read;
        let hook = &*self.hook;
        let sent = Sent { hook: &hook.name, payload: &payload, headers: &self.headers, unconfirmed: hook.unconfirmed, now: intake.now() };
        match hook.kind.map(&sent) {
            Mapped::Events(events) => self.take(&payload, events, key).await,
            Mapped::Ignored(why) => {
                info!(hook = hook.name, "of no interest: {why}");
                Ok(self.nothing())
            }
            Mapped::Unknown(why) => {
                warn!(hook = hook.name, "not understood: {why}");
                Ok(self.nothing())
            }
            Mapped::Unmappable(errors) => {
                intake.count(&hook.source(), "invalid");
                Err(answer::invalid(errors))
            }
        }
    }

    /// What can be said of the sender before its body is read.
    fn admit(&self, secret: Option<&str>) -> Result<(), Problem> {
        if matches!(self.hook.check, Check::ServerTokens) {
            // As for every other route: the name is no secret, and these senders can be given a token.
            return if secret.is_some() { Err(unknown()) } else { self.entrance.access.check(&Method::POST, &self.headers) };
        }
        match verify::admit(&self.hook.check, secret, &self.headers, self.entrance.intake.now(), self.hook.replay_window) {
            Ok(()) => Ok(()),
            Err(Refused::Place) => Err(unknown()),
            Err(Refused::Proof) => Err(self.unproven()),
        }
    }

    /// 401 that says nothing of why.
    fn unproven(&self) -> Problem {
        self.entrance.intake.count(&self.hook.source(), "refused");
        Problem::new(StatusCode::UNAUTHORIZED, "this request is not proven to come from the service of this hook")
    }

    /// The payload, proven to come from the service, and the request's key.
    async fn read(&self, body: Body) -> Result<(Value, Option<String>), Problem> {
        let bytes = body::read(&self.entrance.access, &self.headers, body).await?;
        self.verify(&bytes)?;
        if matches!((&self.hook.check, &self.hook.kind), (Check::ServerTokens, Kind::Huiying)) {
            return read_json(&self.headers, &bytes);
        }
        is_json(&self.headers)?;
        Ok((webhook::json(&bytes)?, self.delivery()))
    }

    /// The sender's own name for this delivery, in a name space of the hook's own.
    fn delivery(&self) -> Option<String> {
        let id = self.headers.get(self.hook.kind.delivery_header()?)?.to_str().ok().filter(|id| !id.is_empty())?;
        let key = format!("hook {} {id}", self.hook.name);
        // The id of an event goes by job and end, so nothing is lost where a name is too long to be kept.
        (key.len() <= MAX_KEY).then_some(key)
    }

    fn verify(&self, bytes: &Bytes) -> Result<(), Problem> {
        verify::body(&self.hook.check, &self.headers, bytes).map_err(|_| self.unproven())
    }

    /// Puts the ends of jobs through the door.
    async fn take(&self, payload: &Value, mut events: Vec<Parsed>, key: Option<String>) -> Result<Response, Problem> {
        let intake = &self.entrance.intake;
        for parsed in &mut events {
            self.address(parsed);
        }
        if !intake.has_default_recipient() && events.iter().any(|parsed| parsed.event.to.is_empty()) {
            let parsed = events.pop().ok_or_else(Problem::internal)?;
            let errors = webhook::addressed(intake, payload, Ok(parsed)).err().unwrap_or_default();
            intake.count(&self.hook.source(), "invalid");
            return Err(answer::invalid(errors));
        }
        let warnings: Vec<Vec<FieldError>> = events.iter_mut().map(|parsed| std::mem::take(&mut parsed.warnings)).collect();
        let group = events.into_iter().map(|parsed| Incoming::new(parsed, self.hook.source())).collect();
        let accepted = intake.accept(group, key).await;
        let accepted = accepted.map_err(|refusal| answer::refused(&refusal, |_| "#".to_owned()))?;
        Ok(self.said(accepted, warnings))
    }

    fn said(&self, mut accepted: Vec<Accepted>, mut warnings: Vec<Vec<FieldError>>) -> Response {
        let mut response = match (accepted.len(), accepted.pop()) {
            (1, Some(one)) => answer::one(one, warnings.pop().unwrap_or_default()),
            (_, last) => answer::many(accepted.into_iter().chain(last).collect(), warnings),
        };
        if self.hook.kind.wants_exactly_200() {
            *response.status_mut() = StatusCode::OK;
        }
        response
    }

    /// The answer to what is understood and needs no mail.
    fn nothing(&self) -> Response {
        if self.hook.kind.wants_exactly_200() {
            return (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], "{}").into_response();
        }
        StatusCode::NO_CONTENT.into_response()
    }

    /// What the configuration and the URL say beside the payload.
    fn address(&self, parsed: &mut Parsed) {
        let event = &mut parsed.event;
        if event.to.is_empty() {
            event.to.clone_from(&self.hook.to);
        }
        event.locale = event.locale.or(self.hook.locale);
        for (name, value) in url::form_urlencoded::parse(self.query.as_deref().unwrap_or_default().as_bytes()).take(MAX_QUERY) {
            let fits = !name.is_empty() && name.len() <= 100 && value.len() <= 200 && !value.chars().any(char::is_control);
            if fits && name == "model" && event.model.is_none() {
                event.model = Some(value.into_owned());
            } else if fits {
                event.metadata.entry(name.into_owned()).or_insert_with(|| Value::String(value.into_owned()));
            }
        }
    }
}

/// The media types that services give to JSON; some give none.
fn is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = match headers.get(header::CONTENT_TYPE) {
        None => return Ok(()),
        Some(_) => webhook::media_type(headers).unwrap_or_default().to_ascii_lowercase(),
    };
    if kind == "application/json" || kind == "text/json" || kind.ends_with("+json") {
        return Ok(());
    }
    Err(webhook::unsupported("send application/json"))
}

/// Reads a request that must be one JSON value: the value and its key.
fn read_json(headers: &HeaderMap, bytes: &Bytes) -> Result<(Value, Option<String>), Problem> {
    match webhook::media_type(headers) {
        Some(kind) if kind.eq_ignore_ascii_case("application/json") => {}
        _ => return Err(webhook::unsupported("send application/json")),
    }
    let key = key(headers)?;
    Ok((webhook::json(bytes)?, key))
}
