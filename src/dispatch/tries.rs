//! What one attempt has tried so far.

use std::ops::ControlFlow;
use std::sync::Arc;

use tracing::warn;

use super::failover::Passed;
use super::meter::Ticket;
use super::server::Server;
use crate::domain::{Attempt, AttemptResult, Timestamp};
use crate::queue::Lease;

/// What has been tried in one attempt so far.
pub(super) struct Tries {
    pub(super) attempts: Vec<Attempt>,
    /// The server that can be asked first of those that were not asked.
    pub(super) passed: Option<Passed>,
    /// A ticket for the first server, not used yet.
    pub(super) reserved: Option<Ticket>,
}

impl Tries {
    /// Notes a server that cannot be tried now. Breaks when the mail waits for it.
    pub(super) fn pass(&mut self, server: &Server, closed: &ClosedServer) -> ControlFlow<()> {
        if self
            .passed
            .as_ref()
            .is_none_or(|passed| closed.until < passed.until)
        {
            self.passed = Some(Passed {
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
pub(super) struct ClosedServer {
    /// When it can, as of the claim.
    pub(super) until: Timestamp,
    /// Whether the mail waits for it rather than go to the next one.
    pub(super) is_waited_for: bool,
}
