//! `POST /v1/messages`: mail that somebody waits for, ahead of job mails in the queue.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;

use super::charset;
use super::events::take;
use super::request::{json_object, read_json};
use super::response::Answer;
use super::state::ApiState;
use crate::domain::{MessageRequest, Source};
use crate::http::auth::Post;
use crate::http::problem::ProblemBody;
use crate::http::{Allowed, Problem, Sender};

/// The route.
pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/v1/messages", post(post_message))
}

/// What describes it.
#[derive(utoipa::OpenApi)]
#[openapi(paths(post_message))]
pub(super) struct ApiDoc;

/// Sends a code, a link, a notice or a plain mail.
///
/// The parameters are checked before anything is taken. Messages go ahead of job mails in the
/// queue; one that could not be sent within `expires_in` (30 minutes for codes and 24 hours for
/// links without it) is never sent. The answers are those of `POST /v1/events`.
#[utoipa::path(
    post,
    path = "/v1/messages",
    tag = "messages",
    params(("Idempotency-Key" = Option<String>, Header, max_length = 190), ("webhook-id" = Option<String>, Header, max_length = 190)),
    request_body(content((MessageSchema = "application/json"))),
    responses(
        (status = 202, description = "On disk", body = Answer, headers(("Location" = String, description = "Where to read it"))),
        (status = 200, description = "Taken before with the same content", body = Answer, headers(("Location" = String))),
        (status = 400, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No token, or a wrong one", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not allowed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "The body came too slowly", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The id was taken before with other content, or the key with another request", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Larger than server.max_body", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON, or with a content coding other than gzip", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Fields or parameters are wrong; each is listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The queue is full, the disk refuses, or other bodies leave no room for this one; nothing was taken", body = ProblemBody,
         content_type = "application/problem+json", headers(("Retry-After" = u16, description = "Seconds"))),
    )
)]
async fn post_message(
    State(state): State<ApiState>,
    allowed: Allowed<Post>,
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
    take(intake, &allowed.caller, parsed, key, Source::MESSAGES).await
}

/// A message as `POST /v1/messages` takes it, for the description of the interface.
struct MessageSchema;

impl utoipa::PartialSchema for MessageSchema {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        crate::http::app::schema(include_str!("message.schema.json"))
    }
}

impl utoipa::ToSchema for MessageSchema {
    fn name() -> std::borrow::Cow<'static, str> {
        "Message".into()
    }
}
