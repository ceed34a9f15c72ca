//! One attempt to deliver a mail: renders it, tries the servers in order, decides the outcome.

mod render;
mod report;
mod servers;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::pipeline::Pipeline;
use super::rate_limiter::RatePermit;
use super::retry::AttemptInfo;
use crate::clock::Clock;
use crate::domain::{Attempt, Outcome, SuppressReason};
use crate::queue::{Lease, Queue, Settlement};
use crate::telemetry::Metrics;

/// Everything that an attempt needs besides its lease.
#[derive(Debug, Clone)]
pub struct AttemptContext {
    /// Reads the thumbnails.
    pub queue: Queue,
    /// Servers, renderer and retry policy.
    pub pipeline: Arc<Pipeline>,
    /// The time.
    pub clock: Clock,
    /// Counts the tries and sent mails.
    pub metrics: Arc<Metrics>,
    /// Aborts sends in progress, because the daemon has to stop now.
    pub abort: CancellationToken,
}

impl AttemptContext {
    /// Makes one attempt. It never fails: errors become part of the settlement.
    ///
    /// `reserved` is a rate permit for the server that is tried first.
    pub async fn deliver(self, lease: Lease, reserved: Option<RatePermit>) -> Settlement {
        let (attempts, outcome) = self.attempt(&lease, reserved).await;
        self.log_outcome(&lease, &attempts, &outcome);
        Settlement {
            lease,
            attempts,
            outcome,
        }
    }

    async fn attempt(
        &self,
        lease: &Lease,
        reserved: Option<RatePermit>,
    ) -> (Vec<Attempt>, Outcome) {
        let info = AttemptInfo {
            id: lease.id,
            attempt: lease.attempt,
            expires_at: lease.expires_at,
            preferred_server: lease.preferred_server.as_ref(),
        };
        if lease.fence().is_over() {
            return (Vec::new(), Outcome::Released);
        }
        let policy = &self.pipeline.policy;
        if !self.pipeline.permitted.allows(&lease.recipient) {
            let outcome = Outcome::Suppressed(SuppressReason::NotAllowed);
            return (Vec::new(), outcome);
        }
        if let Some(outcome) = policy.check_before_attempt(info, self.clock.now()) {
            return (Vec::new(), outcome);
        }
        let thumbnails = self.thumbnails(lease).await;
        let email = match self.render(lease, thumbnails.as_deref()) {
            Ok(email) => email,
            Err(failure) => return self.unrendered(info, lease, *failure),
        };
        let (attempts, skipped) = self.try_servers(lease, &email, reserved).await;
        let is_released = self.pipeline.is_draining() || lease.fence().is_over();
        let outcome = if attempts.is_empty() && is_released {
            Outcome::Released
        } else {
            policy.decide(info, &attempts, skipped.as_ref(), self.clock.now())
        };
        (attempts, outcome)
    }
}
