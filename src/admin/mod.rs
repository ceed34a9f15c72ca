//! What operators and the command line read and do: the record of events and deliveries, health, metrics.

mod failures;
mod health;
mod query;
mod record;
mod schema;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::domain::Clock;
use crate::http::{Access, Problem};
use crate::queue::{Queue, StoreError};
use crate::telemetry::Metrics;

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
    started: Instant,
}

impl Admin {
    /// The routes' view of the daemon; `expire_after` says how long a mail that is retried by hand may live, asked each time because a reload
    /// may change it. The uptime counts from here.
    pub fn new(queue: Queue, access: Access, clock: Clock, metrics: Arc<Metrics>, expire_after: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self { queue, access, clock, metrics, expire_after: Arc::new(expire_after), started: Instant::now() }
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("queue", &self.queue).field("started", &self.started).finish_non_exhaustive()
    }
}

impl FromRef<Admin> for Access {
    fn from_ref(admin: &Admin) -> Self {
        admin.access.clone()
    }
}

/// The reading routes, the two verbs, health and metrics. `/livez`, `/readyz` and `/health` are open to all, the rest asks for a token where
/// tokens are configured.
pub fn router(admin: Admin) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(record::find_event))
        .routes(routes!(record::list_deliveries))
        .routes(routes!(record::find_delivery))
        .routes(routes!(record::retry_delivery))
        .routes(routes!(record::cancel_delivery))
        .routes(routes!(record::stats))
        .routes(routes!(failures::list_failures))
        .routes(routes!(failures::find_failure))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(health::health))
        .routes(routes!(health::metrics))
        .with_state(admin)
}

/// The answer where the store could not be read.
fn store_trouble(error: &StoreError) -> Problem {
    tracing::error!(%error, "the store could not be read");
    Problem::unavailable("the store does not answer", RETRY_STORE)
}
