//! The intake routes: `POST /v1/events`, `POST /v1/messages` and `POST /v1/hooks/{name}`.

use axum::Router;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;

use super::ApiState;
use super::Intake;
use super::hooks::{self, Hooks};
use super::parsing::Parsing;
use super::{events, messages};
use crate::http::Access;

/// The intake routes.
pub fn router(intake: Intake, access: Access, hooks: Hooks) -> Router {
    let state = ApiState {
        intake,
        access,
        hooks,
        parsing: Parsing::default(),
    };
    Router::new()
        .merge(events::routes())
        .merge(messages::routes())
        .merge(hooks::routes())
        .with_state(state)
}

/// Their part of `/openapi.json`.
pub fn openapi() -> OpenApi {
    events::ApiDoc::openapi()
        .merge_from(messages::ApiDoc::openapi())
        .merge_from(hooks::ApiDoc::openapi())
}
