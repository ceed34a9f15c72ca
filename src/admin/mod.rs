//! Routes for operators and the command line: records of events and deliveries, health, metrics.

mod failures;
mod health;
mod query;
mod record;
mod schema;
mod short;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::FromRef;
use axum::routing::{get, post};

use crate::clock::Clock;
use crate::domain::Recipient;
use crate::http::{Access, Problem, Why};
use crate::queue::{Queue, StoreError};
use crate::telemetry::Metrics;
use crate::telemetry::log_limit::{LogLimit, Verdict};

/// `Retry-After` if the store fails, in seconds.
const RETRY_STORE: u16 = 5;

/// State of the routes. Clones share it.
#[derive(Clone)]
pub struct Admin {
    queue: Queue,
    access: Access,
    clock: Clock,
    metrics: Arc<Metrics>,
    expire_after: Arc<dyn Fn() -> Duration + Send + Sync>,
    allows: Arc<dyn Fn(&Recipient) -> bool + Send + Sync>,
    started: Instant,
}

impl Admin {
    /// State of the routes. `expire_after` is the lifetime of emails retried by an operator, read
    /// for each request because a reload may change it. The uptime starts now.
    pub fn new(
        queue: Queue,
        access: Access,
        clock: Clock,
        metrics: Arc<Metrics>,
        expire_after: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Self {
        Self {
            queue,
            access,
            clock,
            metrics,
            expire_after: Arc::new(expire_after),
            allows: Arc::new(|_| true),
            started: Instant::now(),
        }
    }

    /// Limits retries to recipients that `allows` accepts, asked for each request.
    #[must_use]
    pub fn allowing(self, allows: impl Fn(&Recipient) -> bool + Send + Sync + 'static) -> Self {
        Self {
            allows: Arc::new(allows),
            ..self
        }
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("queue", &self.queue)
            .field("started", &self.started)
            .finish_non_exhaustive()
    }
}

impl FromRef<Admin> for Access {
    fn from_ref(admin: &Admin) -> Self {
        admin.access.clone()
    }
}

/// The routes. `/livez`, `/readyz` and `/health` are public; the others require a token with the
/// right scope if tokens are configured.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/v1/events/{id}", get(record::find_event))
        .route("/v1/deliveries", get(record::list_deliveries))
        .route("/v1/deliveries/{id}", get(record::find_delivery))
        .route("/v1/deliveries/{id}/retry", post(record::retry_delivery))
        .route("/v1/deliveries/{id}/cancel", post(record::cancel_delivery))
        .route("/v1/stats", get(record::stats))
        .route("/v1/hook-failures", get(failures::list_failures))
        .route("/v1/hook-failures/{id}", get(failures::find_failure))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/health", get(health::health))
        .route("/metrics", get(health::metrics))
        .with_state(admin)
}

/// Their part of `/openapi.json`.
#[derive(Debug, utoipa::OpenApi)]
#[openapi(paths(
    record::find_event,
    record::list_deliveries,
    record::find_delivery,
    record::retry_delivery,
    record::cancel_delivery,
    record::stats,
    failures::list_failures,
    failures::find_failure,
    health::livez,
    health::readyz,
    health::health,
    health::metrics
))]
pub struct Described;

/// The response if the store cannot be read.
fn store_trouble(error: &StoreError) -> Problem {
    static LIMIT: LogLimit = LogLimit::new();
    match error {
        StoreError::TooSlow => Problem::unavailable(
            "the query takes too long; restrict it by state or since",
            RETRY_STORE,
        )
        .because(Why::Busy),
        StoreError::Busy => {
            Problem::unavailable("too many requests are waiting for the store", RETRY_STORE)
                .because(Why::Busy)
        }
        error => {
            if let Verdict::Log(refused) = LIMIT.count() {
                tracing::error!(%error, refused, "could not read the store");
            }
            Problem::unavailable(
                format!("the store cannot be read: {}", error.reason()),
                RETRY_STORE,
            )
            .because(Why::Store)
        }
    }
}
