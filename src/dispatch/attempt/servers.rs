//! Tries the servers in order until one has accepted the mail.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use tracing::{debug, warn};

use super::AttemptContext;
use crate::dispatch::failover::{Skipped, is_over};
use crate::dispatch::rate_limiter::RatePermit;
use crate::dispatch::server::Server;
use crate::domain::{Attempt, AttemptResult, Email, Failure, FailureKind, Stage, Timestamp};
use crate::queue::Lease;
use crate::transport::ConnectionPermit;

/// The tries of one attempt so far.
struct Tries {
    attempts: Vec<Attempt>,
    /// Of the servers that were skipped, the one that is available first.
    skipped: Option<Skipped>,
    /// A permit for the server that is tried first, until it is used.
    reserved: Option<RatePermit>,
}

/// A server that cannot be tried now.
struct NotAvailable {
    until: Timestamp,
    /// Whether the mail waits for it rather than go to the next server.
    is_waited_for: bool,
}

impl AttemptContext {
    /// Tries the servers in order until one has accepted the mail or no other may be tried. Also
    /// returns, of the servers that were skipped, the one that is available first.
    pub(super) async fn try_servers(
        &self,
        lease: &Lease,
        email: &Email,
        reserved: Option<RatePermit>,
    ) -> (Vec<Attempt>, Option<Skipped>) {
        let mut tries = Tries {
            attempts: Vec::new(),
            skipped: None,
            reserved,
        };
        for server in self.pipeline.order(lease.preferred_server.as_ref()) {
            let next = if self.pipeline.is_draining() {
                tries.skip(server, &self.back_to_the_queue())
            } else {
                self.try_server(server, lease, email, &mut tries).await
            };
            if next.is_break() {
                break;
            }
        }
        (tries.attempts, tries.skipped)
    }

    /// Tries one server, with smaller and smaller versions of the mail while it is too large for
    /// the server. Breaks if no other server may be tried.
    async fn try_server(
        &self,
        server: &Server,
        lease: &Lease,
        email: &Email,
        tries: &mut Tries,
    ) -> ControlFlow<()> {
        let mut email = Cow::Borrowed(email);
        loop {
            let (permit, connection) = match self
                .acquire_server(server, lease, &mut tries.reserved)
                .await
            {
                Ok(acquired) => acquired,
                Err(not_available) => return tries.skip(server, &not_available),
            };
            tries.log_switch(lease, server);
            let (at, started) = (self.clock.now(), Instant::now());
            let mut result = tokio::select! {
                biased;
                sent = server.transport.send_on(connection, &email, lease.fence()) => sent.map_or_else(AttemptResult::Failed, AttemptResult::Sent),
                () = self.abort.cancelled() => AttemptResult::Failed(aborted()),
            };
            result.hide(&lease.secrets());
            if self.pipeline.is_draining() && has_not_begun(&result) {
                return tries.skip(server, &self.back_to_the_queue());
            }
            self.update_breaker(server, &result);
            let too_large = matches!(&result, AttemptResult::Failed(failure) if failure.kind == FailureKind::TooLarge);
            let attempt = self.record(lease, server.transport.name().clone(), at, started, result);
            if let Some(permit) = permit.filter(|_| attempt.is_counted_by_the_server()) {
                permit.commit(self.clock.now());
            }
            tries.attempts.push(attempt);
            match too_large.then(|| self.smaller(lease, &email)).flatten() {
                Some(smaller) => email = Cow::Owned(smaller),
                None if is_over(&tries.attempts) => return ControlFlow::Break(()),
                None => return ControlFlow::Continue(()),
            }
        }
    }

    /// A server that is not tried for a reason of our own. The mail may be sent to it as soon as it is
    /// claimed again.
    fn back_to_the_queue(&self) -> NotAvailable {
        NotAvailable {
            until: self.clock.now(),
            is_waited_for: true,
        }
    }

    /// A server that is not tried because another node may have the mail.
    fn check_lease(&self, lease: &Lease) -> Result<(), NotAvailable> {
        lease.fence().check().map_err(|over| {
            debug!(delivery = %lease.id, "mail returns to the queue: {over}");
            self.back_to_the_queue()
        })
    }

    /// Acquires what a try needs: a connection, a rate permit and the breaker's consent.
    async fn acquire_server<'a>(
        &self,
        server: &'a Server,
        lease: &Lease,
        reserved: &mut Option<RatePermit>,
    ) -> Result<(Option<RatePermit>, ConnectionPermit<'a>), NotAvailable> {
        let open = |until| NotAvailable {
            until,
            is_waited_for: false,
        };
        let check_breaker = |now| match server.breaker().open_until(now) {
            Some(until) => Err(open(until)),
            None => Ok(()),
        };
        check_breaker(self.clock.now())?;
        self.check_lease(lease)?;
        let connection = server.transport.acquire(lease.lane).await;
        // While the mail waited, the breaker may have opened and the mail may have expired. The queue
        // ends an expired one with the next claim.
        let now = self.clock.now();
        check_breaker(now)?;
        self.check_lease(lease)?;
        if now >= lease.expires_at {
            return Err(self.back_to_the_queue());
        }
        let connection = connection.map_err(|error| {
            debug!(server = %server.transport.name(), "mail returns to the queue: {error}");
            self.back_to_the_queue()
        })?;
        let no_permit = |until| NotAvailable {
            until,
            is_waited_for: server.is_waited_for(),
        };
        let mut permit = server
            .rate_permit(reserved, lease.lane, now)
            .map_err(no_permit)?;
        if let Some(permit) = &mut permit {
            permit.granted(now).await.map_err(no_permit)?;
        }
        // Last, because only one mail may be the probe: it must not be one that is then not sent.
        server.admit(now).await.map_err(open)?;
        Ok((permit, connection))
    }
}

impl Tries {
    /// Records that a server was skipped. Breaks if the mail waits for it.
    fn skip(&mut self, server: &Server, not_available: &NotAvailable) -> ControlFlow<()> {
        let until = not_available.until;
        if self
            .skipped
            .as_ref()
            .is_none_or(|skipped| until < skipped.until)
        {
            self.skipped = Some(Skipped {
                server: Arc::clone(server.transport.name()),
                until,
            });
        }
        if not_available.is_waited_for {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// Logs why another server, or the same one again, is tried.
    fn log_switch(&self, lease: &Lease, server: &Server) {
        let Some(Attempt {
            server: from,
            result: AttemptResult::Failed(failure),
            ..
        }) = self.attempts.last()
        else {
            return;
        };
        let to = server.transport.name();
        if from == to {
            warn!(delivery = %lease.id, server = %to, "mail is too large for the mail server; trying a smaller version: {failure}");
        } else {
            warn!(delivery = %lease.id, %from, %to, "switching to the next mail server: {failure}");
        }
    }
}

/// The result of a send that was aborted. It is uncertain, because the server may have accepted the
/// mail.
fn aborted() -> Failure {
    Failure {
        kind: FailureKind::Uncertain,
        stage: Stage::Dot,
        reply: None,
        detail: "aborted because the daemon stopped; the server may have accepted the mail"
            .to_owned(),
        explanation: None,
    }
}

/// Whether the try failed before the server heard of the mail.
fn has_not_begun(result: &AttemptResult) -> bool {
    use Stage::{Auth, Connect, Dns, Ehlo, Greeting, Starttls, Tls};
    matches!(
        result,
        AttemptResult::Failed(Failure {
            stage: Dns | Connect | Tls | Greeting | Ehlo | Starttls | Auth,
            ..
        })
    )
}
