//! What is on record: events, deliveries, and the two things that a person may do to a delivery.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::Response;
use serde::Serialize;

use super::query::Query;
use super::schema::{DeliverySchema, EventRecordSchema, PageSchema};
use super::{Admin, short, store_trouble};
use crate::domain::{DeliveryId, Event, EventId, Source, SuppressReason, Timestamp};
use crate::http::auth::{Operate, Read};
use crate::http::problem::{self, ProblemBody};
use crate::http::{Allowed, Caller, Fault, Problem};
use crate::queue::{Counts, DeliveryRecord, ListError, OperatorError, PictureRecord};

/// A path's parameter; one that is no UTF-8 names nothing.
type Name = Result<Path<String>, PathRejection>;

#[derive(Serialize)]
struct EventView<'a> {
    id: &'a EventId,
    event: Option<&'a Event>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    payload_removed: bool,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    received_at: Timestamp,
    pictures: &'a [PictureRecord],
    deliveries: &'a [DeliveryRecord],
}

/// Shows an event, its deliveries and every attempt.
#[utoipa::path(
    get,
    path = "/v1/events/{id}",
    tag = "record",
    params(("id" = String, Path, description = "The event's id, percent-encoded")),
    responses(
        (status = 200, description = "The event", body = EventRecordSchema),
        (status = 401, description = "No token, or a wrong one", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such event", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The store does not answer", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn find_event(
    State(admin): State<Admin>,
    allowed: Allowed<Read>,
    name: Name,
) -> Result<Response, Problem> {
    let missing = || Problem::not_found("there is no event of this id");
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
    let (source, token) = Source::parts(&record.source);
    let view = EventView {
        id: &record.id,
        event: record.event.as_ref(),
        payload_removed: record.event.is_none(),
        source,
        token,
        received_at: record.received_at,
        pictures: &record.pictures,
        deliveries: &record.deliveries,
    };
    Ok(if allowed.caller.sees_all() {
        problem::json(StatusCode::OK, &view)
    } else {
        problem::json(StatusCode::OK, &short::event(&view))
    })
}

/// Lists deliveries, newest first, a page at a time.
#[utoipa::path(
    get,
    path = "/v1/deliveries",
    tag = "record",
    params(
        ("state" = Option<String>, Query, description = "queued, sending, sent, dead, suppressed or cancelled"),
        ("to" = Option<String>, Query, description = "One address"),
        ("since" = Option<String>, Query, description = "Accepted at this RFC 3339 time or later"),
        ("cursor" = Option<String>, Query, description = "next_cursor of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "How many; 50 without it"),
    ),
    responses(
        (status = 200, description = "A page", body = PageSchema),
        (status = 401, description = "No token, or a wrong one", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "A parameter is wrong", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The store does not answer", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list_deliveries(
    State(admin): State<Admin>,
    allowed: Allowed<Read>,
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
    Ok(if allowed.caller.sees_all() {
        problem::json(StatusCode::OK, &page)
    } else {
        problem::json(StatusCode::OK, &short::page(&page))
    })
}

/// Shows one delivery and every attempt.
#[utoipa::path(
    get,
    path = "/v1/deliveries/{id}",
    tag = "record",
    params(("id" = String, Path, description = "The delivery's id, a UUID")),
    responses(
        (status = 200, description = "The delivery", body = DeliverySchema),
        (status = 401, description = "No token, or a wrong one", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such delivery", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The store does not answer", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn find_delivery(
    State(admin): State<Admin>,
    allowed: Allowed<Read>,
    name: Name,
) -> Result<Response, Problem> {
    let record = admin
        .queue
        .find_delivery(delivery(name)?)
        .await
        .map_err(|error| store_trouble(&error))?;
    let record = record.ok_or_else(no_delivery)?;
    Ok(if allowed.caller.sees_all() {
        problem::json(StatusCode::OK, &record)
    } else {
        problem::json(StatusCode::OK, &short::delivery(&record))
    })
}

/// What may be retried.
const RETRIABLE: &str = "only a dead, cancelled or queued one can be retried";

/// Sends a dead or cancelled delivery again, from its first attempt; a queued one is tried at once.
/// Each at most once a minute.
#[utoipa::path(
    post,
    path = "/v1/deliveries/{id}/retry",
    tag = "record",
    params(("id" = String, Path, description = "The delivery's id, a UUID")),
    responses(
        (status = 200, description = "The delivery, queued again", body = DeliverySchema),
        (status = 401, description = "No token, or a wrong one", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not allowed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such delivery", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "It was sent, is under way or suppressed, its event's content was removed, the message's own time is over, or its recipient is not allowed any more", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "It was retried by hand less than a minute ago", body = ProblemBody, content_type = "application/problem+json",
         headers(("Retry-After" = u16, description = "Seconds"))),
        (status = 503, description = "The store does not answer", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn retry_delivery(
    State(admin): State<Admin>,
    allowed: Allowed<Operate>,
    name: Name,
) -> Result<Response, Problem> {
    let id = delivery(name)?;
    let _planning = admin.clock.planning().await;
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
        let detail = "email.allowed_recipients does not cover the recipient any more; the delivery is suppressed (not_allowed)";
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    let expires_at = now.after((admin.expire_after)());
    let done = admin.queue.retry(id, expires_at, now).await;
    log(&allowed.caller, id, "retry", done.is_ok());
    shown(done, RETRIABLE)
}

/// Takes back a delivery that has not ended.
#[utoipa::path(
    post,
    path = "/v1/deliveries/{id}/cancel",
    tag = "record",
    params(("id" = String, Path, description = "The delivery's id, a UUID")),
    responses(
        (status = 200, description = "The delivery, cancelled", body = DeliverySchema),
        (status = 401, description = "No token, or a wrong one", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not allowed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such delivery", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "It has ended, or is under way", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The store does not answer", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn cancel_delivery(
    State(admin): State<Admin>,
    allowed: Allowed<Operate>,
    name: Name,
) -> Result<Response, Problem> {
    let id = delivery(name)?;
    let done = admin.queue.cancel(id, admin.clock.now()).await;
    log(&allowed.caller, id, "cancel", done.is_ok());
    shown(done, "only a queued one can be cancelled")
}

/// How many deliveries are in each state, and whether they add up.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Stats {
    accepted: u64,
    queued: u64,
    sending: u64,
    sent: u64,
    dead: u64,
    suppressed: u64,
    cancelled: u64,
    /// Whether `accepted` is the sum of the six states.
    balanced: bool,
}

impl From<Counts> for Stats {
    fn from(counts: Counts) -> Self {
        let balanced = counts.balanced();
        let Counts {
            accepted,
            queued,
            sending,
            sent,
            dead,
            suppressed,
            cancelled,
        } = counts;
        Self {
            accepted,
            queued,
            sending,
            sent,
            dead,
            suppressed,
            cancelled,
            balanced,
        }
    }
}

/// Counts deliveries by state.
#[utoipa::path(
    get,
    path = "/v1/stats",
    tag = "record",
    responses(
        (status = 200, description = "The numbers", body = Stats),
        (status = 401, description = "No token, or a wrong one", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The store does not answer", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn stats(
    State(admin): State<Admin>,
    _: Allowed<Read>,
) -> Result<Response, Problem> {
    let counts = admin
        .queue
        .counts()
        .await
        .map_err(|error| store_trouble(&error))?;
    Ok(problem::json(StatusCode::OK, &Stats::from(counts)))
}

fn no_delivery() -> Problem {
    Problem::not_found("there is no delivery of this id")
}

fn delivery(name: Name) -> Result<DeliveryId, Problem> {
    name.ok()
        .and_then(|Path(name)| name.parse().ok())
        .ok_or_else(no_delivery)
}

/// Logs what the holder of a named token did to a delivery.
fn log(caller: &Caller, id: DeliveryId, verb: &'static str, done: bool) {
    if let Some(token) = caller.name() {
        tracing::info!(token, delivery = %id, verb, done, "a delivery was changed by hand");
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
            format!("{error}; post the event again under another id"),
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
            "the time that its message may be sent in is over; post a new message",
        ),
        OperatorError::Store(error) => store_trouble(&error),
    })?;
    Ok(problem::json(StatusCode::OK, &record))
}
