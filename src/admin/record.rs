//! Events, deliveries, and the operations on deliveries.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::Response;
use serde::Serialize;

use super::query::Query;
use super::schema::{DeliverySchema, EventRecordSchema, PageSchema, StatsSchema};
use super::{Admin, short, store_trouble};
use crate::domain::{DeliveryId, EventId, SuppressReason};
use crate::http::auth::{Operate, Read};
use crate::http::openapi::{StoreProblems, TokenProblems};
use crate::http::problem::{self, ProblemBody};
use crate::http::{Authorized, Caller, Fault, Problem};
use crate::queue::{Counts, DeliveryRecord, ListError, OperatorError};

/// A path parameter; `Err` if it is not UTF-8.
type Name = Result<Path<String>, PathRejection>;

/// Shows an event with its deliveries and attempts.
#[utoipa::path(
    get,
    path = "/v1/events/{id}",
    tag = "record",
    params(("id" = String, Path, description = "The event's id, percent-encoded")),
    responses(
        (status = 200, description = "The event", body = EventRecordSchema),
        TokenProblems,
        (status = 404, description = "No such event", body = ProblemBody, content_type = "application/problem+json"),
        StoreProblems,
    )
)]
pub(super) async fn find_event(
    State(admin): State<Admin>,
    authorized: Authorized<Read>,
    name: Name,
) -> Result<Response, Problem> {
    let missing = || Problem::not_found("unknown event");
    let id = name
        .ok()
        .and_then(|Path(name)| EventId::parse(&name).ok())
        .ok_or_else(missing)?;
    let record = admin
        .queue
        .find(&id)
        .await
        .map_err(|error| store_trouble(&error))?
        .ok_or_else(missing)?;
    Ok(if authorized.caller.sees_all() {
        problem::json(StatusCode::OK, &record)
    } else {
        problem::json(StatusCode::OK, &short::event(&record))
    })
}

/// Lists deliveries, newest first, in pages.
#[utoipa::path(
    get,
    path = "/v1/deliveries",
    tag = "record",
    params(
        ("state" = Option<String>, Query, description = "queued, sending, sent, dead, suppressed or cancelled"),
        ("to" = Option<String>, Query, description = "One address"),
        ("since" = Option<String>, Query, description = "Accepted at this RFC 3339 time or later"),
        ("cursor" = Option<String>, Query, description = "next_cursor of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "Page size; 50 by default"),
    ),
    responses(
        (status = 200, description = "A page", body = PageSchema),
        TokenProblems,
        (status = 422, description = "Invalid parameter", body = ProblemBody, content_type = "application/problem+json"),
        StoreProblems,
    )
)]
pub(super) async fn list_deliveries(
    State(admin): State<Admin>,
    authorized: Authorized<Read>,
    RawQuery(text): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::parse(text.as_deref().unwrap_or_default())?;
    let page = admin
        .queue
        .list(&query.filter, query.cursor.as_deref(), query.limit())
        .await
        .map_err(|error| match error {
            ListError::Cursor => Problem::invalid(vec![Fault {
                pointer: "?cursor".to_owned(),
                detail: error.to_string(),
            }]),
            ListError::Store(error) => store_trouble(&error),
        })?;
    Ok(if authorized.caller.sees_all() {
        problem::json(StatusCode::OK, &page)
    } else {
        problem::json(StatusCode::OK, &short::page(&page))
    })
}

/// Shows a delivery with its attempts.
#[utoipa::path(
    get,
    path = "/v1/deliveries/{id}",
    tag = "record",
    params(("id" = String, Path, description = "The delivery's id, a UUID")),
    responses(
        (status = 200, description = "The delivery", body = DeliverySchema),
        TokenProblems,
        (status = 404, description = "No such delivery", body = ProblemBody, content_type = "application/problem+json"),
        StoreProblems,
    )
)]
pub(super) async fn find_delivery(
    State(admin): State<Admin>,
    authorized: Authorized<Read>,
    name: Name,
) -> Result<Response, Problem> {
    let record = admin
        .queue
        .find_delivery(delivery(name)?)
        .await
        .map_err(|error| store_trouble(&error))?;
    let record = record.ok_or_else(no_delivery)?;
    Ok(if authorized.caller.sees_all() {
        problem::json(StatusCode::OK, &record)
    } else {
        problem::json(StatusCode::OK, &short::delivery(&record))
    })
}

/// Rule for retries.
const RETRIABLE: &str = "only dead, cancelled and queued deliveries can be retried";

/// Sends a dead or cancelled delivery again, starting with its first attempt, and a queued one at
/// once. Each at most once a minute.
#[utoipa::path(
    post,
    path = "/v1/deliveries/{id}/retry",
    tag = "record",
    params(("id" = String, Path, description = "The delivery's id, a UUID")),
    responses(
        (status = 200, description = "The delivery, queued again", body = DeliverySchema),
        TokenProblems,
        (status = 404, description = "No such delivery", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The delivery is sent, sending or suppressed, its content was removed, its message has expired, or its recipient is no longer allowed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "Already retried within the last minute", body = ProblemBody, content_type = "application/problem+json",
         headers(("Retry-After" = u16, description = "Seconds"))),
        StoreProblems,
    )
)]
pub(super) async fn retry_delivery(
    State(admin): State<Admin>,
    authorized: Authorized<Operate>,
    name: Name,
) -> Result<Response, Problem> {
    let id = delivery(name)?;
    let now = admin.clock.now();
    let record = admin
        .queue
        .find_delivery(id)
        .await
        .map_err(|error| store_trouble(&error))?
        .ok_or_else(no_delivery)?;
    if !(admin.allows)(&record.to) {
        shown(
            admin
                .queue
                .suppress(id, SuppressReason::NotAllowed, now)
                .await,
            RETRIABLE,
        )?;
        let detail = "email.allowed_recipients no longer covers the recipient; the delivery was suppressed (not_allowed)";
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    let expires_at = now.after((admin.expire_after)());
    let done = admin.queue.retry(id, expires_at, now).await;
    log(&authorized.caller, id, "retry", done.is_ok());
    shown(done, RETRIABLE)
}

/// Cancels a queued delivery.
#[utoipa::path(
    post,
    path = "/v1/deliveries/{id}/cancel",
    tag = "record",
    params(("id" = String, Path, description = "The delivery's id, a UUID")),
    responses(
        (status = 200, description = "The delivery, cancelled", body = DeliverySchema),
        TokenProblems,
        (status = 404, description = "No such delivery", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The delivery is not queued", body = ProblemBody, content_type = "application/problem+json"),
        StoreProblems,
    )
)]
pub(super) async fn cancel_delivery(
    State(admin): State<Admin>,
    authorized: Authorized<Operate>,
    name: Name,
) -> Result<Response, Problem> {
    let id = delivery(name)?;
    let done = admin.queue.cancel(id, admin.clock.now()).await;
    log(&authorized.caller, id, "cancel", done.is_ok());
    shown(done, "only queued deliveries can be cancelled")
}

#[derive(Serialize)]
struct Stats {
    #[serde(flatten)]
    counts: Counts,
    balanced: bool,
}

/// Counts deliveries by state.
#[utoipa::path(
    get,
    path = "/v1/stats",
    tag = "record",
    responses(
        (status = 200, description = "The numbers", body = StatsSchema),
        TokenProblems,
        StoreProblems,
    )
)]
pub(super) async fn stats(
    State(admin): State<Admin>,
    _: Authorized<Read>,
) -> Result<Response, Problem> {
    let counts = admin
        .queue
        .counts()
        .await
        .map_err(|error| store_trouble(&error))?;
    Ok(problem::json(
        StatusCode::OK,
        &Stats {
            counts,
            balanced: counts.balanced(),
        },
    ))
}

fn no_delivery() -> Problem {
    Problem::not_found("unknown delivery")
}

fn delivery(name: Name) -> Result<DeliveryId, Problem> {
    name.ok()
        .and_then(|Path(name)| name.parse().ok())
        .ok_or_else(no_delivery)
}

/// Logs an operation of a named token.
fn log(caller: &Caller, id: DeliveryId, verb: &'static str, done: bool) {
    if let Some(token) = caller.name() {
        tracing::info!(token, delivery = %id, verb, done, "delivery changed by an operator");
    }
}

fn shown(
    done: Result<DeliveryRecord, OperatorError>,
    rule: &'static str,
) -> Result<Response, Problem> {
    let record = done.map_err(|error| match error {
        OperatorError::NotFound => no_delivery(),
        OperatorError::Conflict { state } => Problem::new(
            StatusCode::CONFLICT,
            format!("the delivery is {state}; {rule}"),
        ),
        OperatorError::PayloadRemoved => Problem::new(
            StatusCode::CONFLICT,
            format!("{error}; post the event again with a new id"),
        ),
        OperatorError::TooSoon { wait } => {
            let seconds = u16::try_from(wait.as_millis().div_ceil(1_000))
                .unwrap_or(u16::MAX)
                .max(1);
            Problem::new(StatusCode::TOO_MANY_REQUESTS, error.to_string())
                .with_header(RETRY_AFTER, seconds.into())
        }
        OperatorError::Expired => Problem::new(
            StatusCode::CONFLICT,
            "the message has expired; post a new one",
        ),
        OperatorError::Store(error) => store_trouble(&error),
    })?;
    Ok(problem::json(StatusCode::OK, &record))
}
