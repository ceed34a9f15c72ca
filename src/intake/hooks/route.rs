//! The routes of the hooks and their OpenAPI description.

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;

use super::authenticate::unknown;
use super::handler::HookRequest;
use crate::http::openapi::{PostProblems, TokenProblems};
use crate::http::problem::ProblemBody;
use crate::http::{Problem, Sender, Visitor};
use crate::intake::ApiState;
use crate::intake::response::Answer;

/// The routes of the hooks.
pub(in crate::intake) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/v1/hooks/{name}", post(post_hook))
        .route("/v1/hooks/{name}/{secret}", post(post_secret_hook))
}

/// Their OpenAPI description.
#[derive(utoipa::OpenApi)]
#[openapi(paths(post_hook, post_secret_hook))]
pub(in crate::intake) struct ApiDoc;

/// Receives a service's webhook.
///
/// `name` is the name of a `[hooks.NAME]` table, whose `kind` selects how requests are verified and
/// payloads are read. `huiying` needs no table. Stored events are answered as by `POST /v1/events`.
/// Query parameters become metadata of the event.
#[utoipa::path(
    post,
    path = "/v1/hooks/{name}",
    tag = "hooks",
    params(("name" = String, Path, description = "The name of a `[hooks.NAME]` table")),
    request_body(content((serde_json::Value = "application/json"))),
    responses(
        (status = 202, description = "Stored; an array for a batch", body = Answer, headers(("Location" = String, description = "URL of the event"))),
        (status = 200, description = "Duplicate: this result of the job is already stored. Also the response to a challenge, and every success for services that accept only 200", body = Answer),
        (status = 204, description = "Not the end of a job; nothing was stored"),
        TokenProblems,
        PostProblems,
        (status = 404, description = "No such hook", body = ProblemBody, content_type = "application/problem+json"),
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
    .handle(None, body)
    .await
}

/// Receives a webhook of a service that does not sign requests: the secret is the last segment of
/// the URL.
///
/// A wrong secret is answered like an unknown name.
#[utoipa::path(
    post,
    path = "/v1/hooks/{name}/{secret}",
    tag = "hooks",
    params(("name" = String, Path, description = "The name of a `[hooks.NAME]` table"), ("secret" = String, Path, description = "Its secret")),
    request_body(content((serde_json::Value = "application/json"))),
    responses(
        (status = 202, description = "Stored; an array for a batch", body = Answer, headers(("Location" = String, description = "URL of the event"))),
        (status = 200, description = "Duplicate: this result of the job is already stored. Also the response to a challenge, and every success for services that accept only 200", body = Answer),
        (status = 204, description = "Not the end of a job; nothing was stored"),
        PostProblems,
        (status = 404, description = "No such hook, or a wrong secret", body = ProblemBody, content_type = "application/problem+json"),
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
    .handle(Some(&secret), body)
    .await
}
