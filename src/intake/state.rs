//! State shared by the intake routes.

use axum::extract::FromRef;

use super::Intake;
use super::hooks::Hooks;
use super::parsing::Parsing;
use crate::http::Access;

/// State of every intake route.
#[derive(Debug, Clone)]
pub(super) struct ApiState {
    pub(super) intake: Intake,
    pub(super) access: Access,
    pub(super) hooks: Hooks,
    pub(super) parsing: Parsing,
}

impl FromRef<ApiState> for Access {
    fn from_ref(state: &ApiState) -> Self {
        state.access.clone()
    }
}
