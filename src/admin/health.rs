//! Liveness, readiness and metrics.

use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::{Admin, RETRY_STORE};
use crate::domain::{Lane, State as DeliveryState};
use crate::http::auth::Metrics;
use crate::http::openapi::TokenProblems;
use crate::http::problem::{self, ProblemBody};
use crate::http::{Authorized, Problem, Why};
use crate::queue::Health;

/// A status.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Status {
    /// `alive` or `ready`.
    status: &'static str,
}

/// The state of the daemon, for people and dashboards.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Health)]
pub(super) struct HealthBody {
    /// Always `ok`.
    status: &'static str,
    /// The running version.
    version: &'static str,
    /// Seconds since the start.
    uptime_s: u64,
    /// Whether emails are sent (`smtp.enable`).
    smtp_enabled: bool,
    /// Whether this node of a shared queue accepts no events and only ends what it has begun
    /// (`jobbell nodes drain`).
    draining: bool,
}

/// Liveness probe.
#[utoipa::path(get, path = "/livez", tag = "health", security(()), responses((status = 200, description = "The daemon runs", body = Status)))]
pub(super) async fn livez() -> Response {
    problem::json(StatusCode::OK, &Status { status: "alive" })
}

/// Readiness probe: whether events can be stored. Ignores the mail servers.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    security(()),
    responses(
        (status = 200, description = "Events can be stored", body = Status),
        (status = 503, description = "Events cannot be stored, and why", body = ProblemBody, content_type = "application/problem+json"),
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

/// Version and uptime.
#[utoipa::path(get, path = "/health", tag = "health", security(()), responses((status = 200, description = "The daemon runs", body = HealthBody)))]
pub(super) async fn health(State(admin): State<Admin>) -> Response {
    let uptime_s = admin.started.elapsed().as_secs();
    let smtp_enabled = admin.metrics.smtp_enabled();
    let draining = admin.queue.node().is_some_and(|node| node.draining);
    problem::json(
        StatusCode::OK,
        &HealthBody {
            status: "ok",
            version: env!("CARGO_PKG_VERSION"),
            uptime_s,
            smtp_enabled,
            draining,
        },
    )
}

/// Metrics as `OpenMetrics` text.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "health",
    responses(
        (status = 200, description = "Every metric", body = String, content_type = "application/openmetrics-text"),
        TokenProblems,
        (status = 500, description = "The metrics could not be written", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn metrics(
    State(admin): State<Admin>,
    _: Authorized<Metrics>,
) -> Result<Response, Problem> {
    look_at_queue(&admin).await;
    look_at_node(&admin).await;
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

/// Updates the gauges of the queue. If it does not answer, they keep their last values.
async fn look_at_queue(admin: &Admin) {
    match admin.queue.counts().await {
        Ok(counts) => DeliveryState::ALL.iter().for_each(|state| {
            admin
                .metrics
                .set_deliveries(state.as_str(), counts.of(*state));
        }),
        Err(error) => tracing::warn!(%error, "could not count deliveries for the metrics"),
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
            tracing::warn!(%error, "could not read the oldest due delivery for the metrics");
        }
    }
}

/// Updates the gauges of this node, if it shares its queue.
async fn look_at_node(admin: &Admin) {
    let Some(node) = admin.queue.node() else {
        return;
    };
    let metrics = admin.metrics.node();
    metrics.set_name(&node.name, &node.id.to_string());
    metrics.set_work(&node.name, node.in_flight, node.draining);
    metrics.set_lease(&node.name, node.lease_left);
    match admin.queue.horizon().await {
        Ok(age) => metrics.set_horizon(&node.name, age.unwrap_or_default()),
        Err(error) => {
            tracing::warn!(%error, "could not read the database's horizon for the metrics");
        }
    }
}
