//! Webhook payloads that were not understood.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::{Admin, store_trouble};
use crate::http::auth::Operate;
use crate::http::openapi::{StoreProblems, TokenProblems};
use crate::http::problem::{self, ProblemBody};
use crate::http::{Authorized, Problem};
use crate::queue::UnmappedRecord;

/// Maximum number of payloads in a list.
const MAX_LISTED: u32 = 500;

#[derive(Serialize)]
struct Listed {
    failures: Vec<UnmappedRecord>,
}

/// Lists webhook payloads that were not understood, newest first, at most 500, without their
/// content.
#[utoipa::path(
    get,
    path = "/v1/hook-failures",
    tag = "hooks",
    responses(
        (status = 200, description = "The payloads", body = serde_json::Value),
        TokenProblems,
        StoreProblems,
    )
)]
pub(super) async fn list_failures(
    State(admin): State<Admin>,
    _: Authorized<Operate>,
) -> Result<Response, Problem> {
    let failures = admin
        .queue
        .unmapped(MAX_LISTED)
        .await
        .map_err(|error| store_trouble(&error))?;
    Ok(problem::json(StatusCode::OK, &Listed { failures }))
}

/// Shows a webhook payload that was not understood: without secrets and files, truncated to 16 KiB.
#[utoipa::path(
    get,
    path = "/v1/hook-failures/{id}",
    tag = "hooks",
    params(("id" = i64, Path, description = "The id")),
    responses(
        (status = 200, description = "The payload", body = serde_json::Value),
        TokenProblems,
        (status = 404, description = "No such payload", body = ProblemBody, content_type = "application/problem+json"),
        StoreProblems,
    )
)]
pub(super) async fn find_failure(
    State(admin): State<Admin>,
    _: Authorized<Operate>,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Response, Problem> {
    let missing = || Problem::not_found("unknown payload id");
    let Path(id) = id.map_err(|_| missing())?;
    let record = admin
        .queue
        .find_unmapped(id)
        .await
        .map_err(|error| store_trouble(&error))?
        .ok_or_else(missing)?;
    Ok(problem::json(StatusCode::OK, &record))
}
