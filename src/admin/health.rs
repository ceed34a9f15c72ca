//! Whether the daemon lives and can take events, and its numbers.

use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::{Admin, RETRY_STORE};
use crate::domain::{Lane, State as DeliveryState};
use crate::http::auth::Metrics;
use crate::http::problem::{self, ProblemBody};
use crate::http::{Allowed, Problem, Why};
use crate::queue::Health;

/// One word on how things are.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Status {
    /// `alive` or `ready`.
    status: &'static str,
}

/// How things are, for people and dashboards.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Health)]
pub(super) struct HealthBody {
    /// Always `ok`: whoever answers lives.
    status: &'static str,
    /// The running version.
    version: &'static str,
    /// Whole seconds since the start.
    uptime_s: u64,
    /// Whether mails are sent; false while `smtp.enable` is.
    smtp_enabled: bool,
}

/// Says that the process answers.
#[utoipa::path(get, path = "/livez", tag = "health", security(()), responses((status = 200, description = "It lives", body = Status)))]
pub(super) async fn livez() -> Response {
    problem::json(StatusCode::OK, &Status { status: "alive" })
}

/// Says whether events can be taken: it speaks of the store and the queue, not of the mail servers.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    security(()),
    responses(
        (status = 200, description = "Events can be taken", body = Status),
        (status = 503, description = "They cannot, and why", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn readyz(State(admin): State<Admin>) -> Result<Response, Problem> {
    match admin.queue.health() {
        Health::Ready => Ok(problem::json(StatusCode::OK, &Status { status: "ready" })),
        Health::Failing(reason) => {
            Err(Problem::unavailable(reason, RETRY_STORE).because(Why::Store))
        }
    }
}

/// Says which version runs, and for how long.
#[utoipa::path(get, path = "/health", tag = "health", security(()), responses((status = 200, description = "It lives", body = HealthBody)))]
pub(super) async fn health(State(admin): State<Admin>) -> Response {
    let uptime_s = admin.started.elapsed().as_secs();
    let smtp_enabled = admin.metrics.smtp_enabled();
    problem::json(
        StatusCode::OK,
        &HealthBody {
            status: "ok",
            version: env!("CARGO_PKG_VERSION"),
            uptime_s,
            smtp_enabled,
        },
    )
}

/// The metrics as `OpenMetrics` text.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "health",
    responses(
        (status = 200, description = "Every metric", body = String, content_type = "application/openmetrics-text"),
        (status = 401, description = "No token, or a wrong one", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "The text could not be written", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn metrics(
    State(admin): State<Admin>,
    _: Allowed<Metrics>,
) -> Result<Response, Problem> {
    look_at_queue(&admin).await;
    admin.metrics.set_body_bytes(admin.access.budget().held());
    let text = admin.metrics.encode().map_err(|_| Problem::internal())?;
    Ok((
        [(
            header::CONTENT_TYPE,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        )],
        text,
    )
        .into_response())
}

/// Sets the gauges of the queue; where it does not answer they keep their last value, for the other
/// metrics matter then all the more.
async fn look_at_queue(admin: &Admin) {
    match admin.queue.counts().await {
        Ok(counts) => DeliveryState::ALL.iter().for_each(|state| {
            admin
                .metrics
                .set_deliveries(state.as_str(), counts.of(*state));
        }),
        Err(error) => tracing::warn!(%error, "the deliveries could not be counted for the metrics"),
    }
    match admin.queue.oldest_due(admin.clock.now()).await {
        Ok(oldest) => {
            for lane in Lane::ALL {
                let age = oldest
                    .iter()
                    .find(|(known, _)| known == lane)
                    .map_or(Duration::ZERO, |(_, age)| *age);
                admin.metrics.set_oldest(lane.as_str(), age);
            }
        }
        Err(error) => {
            tracing::warn!(%error, "the oldest due delivery could not be found for the metrics");
        }
    }
}
