//! `POST /v1/messages`: transactional email, sent ahead of job emails.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;

use super::ApiState;
use super::charset;
use super::events::store_one;
use super::request::{json_object, read_json};
use super::response::Answer;
use crate::domain::{MessageRequest, Source};
use crate::http::auth::Post;
use crate::http::openapi::{PostProblems, TokenProblems, json_schemas};
use crate::http::{Authorized, Problem, Sender};

/// The route.
pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/v1/messages", post(post_message))
}

/// Its OpenAPI description.
#[derive(utoipa::OpenApi)]
#[openapi(paths(post_message))]
pub(super) struct ApiDoc;

/// Sends a code, a link, a notice or a plain email.
///
/// All parameters are validated first. Messages go ahead of job emails in the queue. A message that
/// cannot be sent within `expires_in` (default: 30 minutes for codes, 24 hours for links) is
/// dropped. Responses are the same as those of `POST /v1/events`.
#[utoipa::path(
    post,
    path = "/v1/messages",
    tag = "messages",
    params(("Idempotency-Key" = Option<String>, Header, max_length = 190), ("webhook-id" = Option<String>, Header, max_length = 190)),
    request_body(content((MessageSchema = "application/json"))),
    responses(
        (status = 202, description = "Stored", body = Answer, headers(("Location" = String, description = "URL of the event"))),
        (status = 200, description = "Already stored with the same content", body = Answer, headers(("Location" = String))),
        TokenProblems,
        PostProblems,
    )
)]
async fn post_message(
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
    let invalid = |_: &Problem| intake.count(&Source::MESSAGES, "invalid");
    let (body, key) = read_json(access, &sender, &headers, body)
        .await
        .inspect_err(invalid)?;
    let text = charset::utf8(&headers, &body).inspect_err(invalid)?;
    let _permit = parsing.permit(&text).await.inspect_err(invalid)?;
    let parsed = MessageRequest::parse(&json_object(&text).inspect_err(invalid)?, intake.now());
    store_one(intake, &authorized.caller, parsed, key, Source::MESSAGES).await
}

json_schemas! {
    MessageSchema as "Message" in "message.schema.json";
}
