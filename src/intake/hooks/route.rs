//! The hooks' routes and their description; what they do is in `request`.

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;

use super::handler::{HookRequest, unknown};
use crate::http::problem::ProblemBody;
use crate::http::{Problem, Sender, Visitor};
use crate::intake::response::Answer;
use crate::intake::state::ApiState;

/// The hooks' routes.
pub(in crate::intake) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/v1/hooks/{name}", post(post_hook))
        .route("/v1/hooks/{name}/{secret}", post(post_secret_hook))
}

/// What describes them.
#[derive(utoipa::OpenApi)]
#[openapi(paths(post_hook, post_secret_hook))]
pub(in crate::intake) struct ApiDoc;

/// Takes what a service posts when a job of its own has ended.
///
/// The name is that of a `[hooks.NAME]` table, whose `kind` says how the payload is read and how
/// its sender proves who it is; `huiying` needs no table. The answers to an event are those of
/// `POST /v1/events`. Query parameters become the event's metadata.
#[utoipa::path(
    post,
    path = "/v1/hooks/{name}",
    tag = "hooks",
    params(("name" = String, Path, description = "The name of a `[hooks.NAME]` table")),
    request_body(content((serde_json::Value = "application/json"))),
    responses(
        (status = 202, description = "On disk; an array for a batch", body = Answer, headers(("Location" = String, description = "Where to read it"))),
        (status = 200, description = "StoreOutcome before: the same end of the same job, whatever its details; the answer to a challenge; for a sender that takes nothing else for a yes, also what is new or of no interest", body = Answer),
        (status = 204, description = "Understood, and no end of a job: nothing was stored"),
        (status = 400, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "Not proven to come from the service", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not allowed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such hook, or not by this URL", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "The body came too slowly", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The same delivery was taken before with another end of a job; of huiying also the same id with other content", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Larger than the hook's max_body", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON whatever its type says, or with a content coding other than gzip", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Cannot be read as what the service sends; each fault is listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The queue is full, the disk refuses, other bodies leave no room for this one, or the keys of the service are not to be had; nothing was taken", body = ProblemBody,
         content_type = "application/problem+json", headers(("Retry-After" = u16, description = "Seconds"))),
    )
)]
async fn post_hook(
    State(state): State<ApiState>,
    name: Result<Path<String>, PathRejection>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
    sender: Sender,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let hook = name
        .ok()
        .and_then(|Path(name)| state.hooks.find(&name))
        .ok_or_else(|| unknown(None, &headers))?;
    HookRequest {
        state,
        hook,
        visitor,
        query,
        sender,
        headers,
    }
    .answer(None, body)
    .await
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
        (status = 200, description = "StoreOutcome before: the same end of the same job, whatever its details; the answer to a challenge; for a sender that takes nothing else for a yes, also what is new or of no interest", body = Answer),
        (status = 204, description = "Understood, and no end of a job: nothing was stored"),
        (status = 400, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such hook, or not by this URL", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "The body came too slowly", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The same delivery was taken before with another end of a job", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Larger than the hook's max_body", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON whatever its type says, or with a content coding other than gzip", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Cannot be read as what the service sends; each fault is listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The queue is full, the disk refuses, other bodies leave no room for this one, or the keys of the service are not to be had; nothing was taken", body = ProblemBody,
         content_type = "application/problem+json", headers(("Retry-After" = u16, description = "Seconds"))),
    )
)]
async fn post_secret_hook(
    State(state): State<ApiState>,
    path: Result<Path<(String, String)>, PathRejection>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
    sender: Sender,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Path((name, secret)) = path.map_err(|_| unknown(Some(""), &headers))?;
    let hook = state
        .hooks
        .find(&name)
        .ok_or_else(|| unknown(Some(&secret), &headers))?;
    HookRequest {
        state,
        hook,
        visitor,
        query,
        sender,
        headers,
    }
    .answer(Some(&secret), body)
    .await
}
