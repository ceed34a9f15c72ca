//! Metrics and log lines of an attempt.

use std::time::Instant;

use tracing::{debug, info, warn};

use super::AttemptContext;
use crate::dispatch::server::Server;
use crate::domain::{Attempt, AttemptResult, DeadReason, Outcome, ServerName, Timestamp};
use crate::queue::Lease;

impl AttemptContext {
    /// Counts a try and returns its record.
    pub(super) fn record(
        &self,
        lease: &Lease,
        server: ServerName,
        at: Timestamp,
        started: Instant,
        result: AttemptResult,
    ) -> Attempt {
        let name = match &result {
            AttemptResult::Sent(_) => "sent",
            AttemptResult::Failed(failure) => failure.kind.as_str(),
        };
        self.metrics.attempt(&server, name);
        Attempt {
            number: lease.attempt,
            server,
            at,
            took: started.elapsed(),
            result,
        }
    }

    /// Tells the server's circuit breaker how a try ended.
    pub(super) fn update_breaker(&self, server: &Server, result: &AttemptResult) {
        let name = server.transport.name();
        match result {
            AttemptResult::Sent(_) => server.succeeded(),
            AttemptResult::Failed(failure) => {
                if let Some(cooldown) = server.failed(failure, self.clock.now()) {
                    warn!(server = %name, "mail server paused for {} s: {failure}", cooldown.as_secs());
                }
            }
        }
        self.metrics.server_up(name, server.breaker().is_closed());
    }

    /// Logs the end of an attempt. Nothing else does.
    pub(super) fn log_outcome(&self, lease: &Lease, attempts: &[Attempt], outcome: &Outcome) {
        let to = lease.recipient.masked();
        let reason = reason(attempts, outcome);
        let (id, event, attempt) = (lease.id, &lease.event_id, lease.attempt);
        match outcome {
            Outcome::Sent => {
                let age = self.clock.now().since(lease.created_at);
                self.metrics.delivered(lease.lane.as_str(), age);
                info!(delivery = %id, %event, attempt, "Email sent to {to}");
            }
            Outcome::RetryAt { at, .. } => {
                let next = self.clock.to_wall(*at);
                if attempts.is_empty() {
                    debug!(delivery = %id, %event, %next, "mail to {to} waits: no mail server is available");
                } else {
                    warn!(delivery = %id, %event, attempt, %next, "mail to {to} not sent, will try again: {reason}");
                }
            }
            Outcome::Dead(dead) => {
                warn!(delivery = %id, %event, attempt, reason = %dead, "mail to {to} given up: {reason}");
            }
            Outcome::Suppressed(suppressed) => {
                info!(delivery = %id, %event, reason = %suppressed, "mail to {to} not sent: the recipient is no longer allowed");
            }
            Outcome::Released if attempts.is_empty() => {}
            Outcome::Released => {
                warn!(delivery = %id, %event, attempt, "mail to {to} returns to the queue: {reason}");
            }
        }
    }
}

fn reason(attempts: &[Attempt], outcome: &Outcome) -> String {
    match (attempts.last().map(|attempt| &attempt.result), outcome) {
        (Some(AttemptResult::Failed(failure)), _) => failure.to_string(),
        (Some(AttemptResult::Sent(receipt)), _) => receipt.reply.text.clone(),
        (None, Outcome::Dead(DeadReason::Expired)) => {
            "it expired before a mail server was available".to_owned()
        }
        (None, Outcome::Dead(DeadReason::Attempts)) => "all attempts are used up".to_owned(),
        (None, _) => String::new(),
    }
}
