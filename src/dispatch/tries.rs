//! What one attempt has tried so far.

use std::ops::ControlFlow;
use std::sync::Arc;

use tracing::warn;

use super::failover::Skipped;
use super::rate_limiter::RatePermit;
use super::server::Server;
use crate::domain::{Attempt, AttemptResult, Timestamp};
use crate::queue::Lease;

/// What has been tried in one attempt so far.
pub(super) struct Tries {
    pub(super) attempts: Vec<Attempt>,
    /// The server that can be asked first of those that were not asked.
    pub(super) skipped: Option<Skipped>,
    /// A permit for the first server, not used yet.
    pub(super) reserved: Option<RatePermit>,
}

impl Tries {
    /// Notes a server that cannot be tried now. Breaks when the mail waits for it.
    pub(super) fn pass(&mut self, server: &Server, closed: &NotAvailable) -> ControlFlow<()> {
        if self
            .skipped
            .as_ref()
            .is_none_or(|skipped| closed.until < skipped.until)
        {
            self.skipped = Some(Skipped {
                server: Arc::clone(server.transport.name()),
                until: closed.until,
            });
        }
        if closed.is_waited_for {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// Logs why another server is tried, or the same one again.
    pub(super) fn log_switch(&self, lease: &Lease, server: &Server) {
        let to = server.transport.name();
        match self.attempts.last() {
            Some(Attempt {
                server: from,
                result: AttemptResult::Failed(why),
                ..
            }) if from == to => {
                warn!(delivery = %lease.id, server = %to, "the mail is too large for the mail server; trying again with less of it: {why}");
            }
            Some(Attempt {
                server: from,
                result: AttemptResult::Failed(why),
                ..
            }) => {
                warn!(delivery = %lease.id, %from, %to, "switching to the next mail server: {why}");
            }
            _ => {}
        }
    }
}

/// A server that cannot be tried now.
pub(super) struct NotAvailable {
    /// When it can.
    pub(super) until: Timestamp,
    /// Whether the mail waits for it rather than go to the next one.
    pub(super) is_waited_for: bool,
}
