//! Payloads of webhooks that could not be understood.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::{Admin, store_trouble};
use crate::http::auth::Operate;
use crate::http::problem::{self, ProblemBody};
use crate::http::{Allowed, Problem};
use crate::queue::UnmappedRecord;

/// The most that one answer lists.
const MAX_LISTED: u32 = 500;

#[derive(Serialize)]
struct Listed {
    failures: Vec<UnmappedRecord>,
}

/// Lists payloads of webhooks that were not understood, the latest first, at most 500, each without
/// the payload itself.
#[utoipa::path(
    get,
    path = "/v1/hook-failures",
    tag = "hooks",
    responses(
        (status = 200, description = "They", body = serde_json::Value),
        (status = 401, description = "No token, or a wrong one", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The store does not answer", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list_failures(
    State(admin): State<Admin>,
    _: Allowed<Operate>,
) -> Result<Response, Problem> {
    let failures = admin
        .queue
        .unmapped(MAX_LISTED)
        .await
        .map_err(|error| store_trouble(&error))?;
    Ok(problem::json(StatusCode::OK, &Listed { failures }))
}

/// Shows one of them, with the payload: without secrets and files, cut to 16 KiB.
#[utoipa::path(
    get,
    path = "/v1/hook-failures/{id}",
    tag = "hooks",
    params(("id" = i64, Path, description = "Its number")),
    responses(
        (status = 200, description = "It", body = serde_json::Value),
        (status = 401, description = "No token, or a wrong one", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such payload", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The store does not answer", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn find_failure(
    State(admin): State<Admin>,
    _: Allowed<Operate>,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Response, Problem> {
    let missing = || Problem::not_found("there is no payload of this number");
    let Path(id) = id.map_err(|_| missing())?;
    let record = admin
        .queue
        .find_unmapped(id)
        .await
        .map_err(|error| store_trouble(&error))?
        .ok_or_else(missing)?;
    Ok(problem::json(StatusCode::OK, &record))
}
