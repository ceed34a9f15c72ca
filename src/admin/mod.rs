//! What operators and the command line read and do: the record of events and deliveries, health,
//! metrics.

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

use crate::domain::{Clock, Recipient};
use crate::http::{Access, Problem, Why};
use crate::queue::{Queue, StoreError};
use crate::telemetry::Metrics;
use crate::telemetry::log_limit::{LogLimit, Verdict};

/// Seconds until a store that does not answer is worth another try.
const RETRY_STORE: u16 = 5;

/// What the routes work with. Clones share it.
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
    /// The routes' view of the daemon; `expire_after` says how long a mail that is retried by hand
    /// may live, asked each time because a reload may change it. The uptime counts from here.
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

    /// The same, retrying only mails to recipients whom `allows` lets through; asked each time.
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

/// The reading routes, the two verbs, health and metrics. `/livez`, `/readyz` and `/health` are
/// open to all, the rest asks for a token with the right scope where tokens are configured.
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

/// What describes these routes in `/openapi.json`.
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

/// The answer where the store could not be read.
fn store_trouble(error: &StoreError) -> Problem {
    static LIMIT: LogLimit = LogLimit::new();
    match error {
        StoreError::TooSlow => Problem::unavailable(
            "the list takes too long; ask for less, by state or by since",
            RETRY_STORE,
        )
        .because(Why::Busy),
        StoreError::Busy => {
            Problem::unavailable("too many requests wait for the store", RETRY_STORE)
                .because(Why::Busy)
        }
        error => {
            if let Verdict::Log(refused) = LIMIT.count() {
                tracing::error!(%error, refused, "the store could not be read");
            }
            Problem::unavailable(
                format!("the store does not answer: {}", error.reason()),
                RETRY_STORE,
            )
            .because(Why::Store)
        }
    }
}
