//! One lease, one attempt: render the mail, walk the servers, give the verdict.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::failover::{Skipped, is_over};
use super::pipeline::Pipeline;
use super::rate_limiter::RatePermit;
use super::retry::AttemptInfo;
use super::server::Server;
use super::tries::{NotAvailable, Tries};
use crate::clock::Clock;
use crate::domain::{
    Attempt, AttemptResult, DeadReason, Email, Failure, FailureKind, Lane, Outcome, Stage,
    SuppressReason, ThumbnailResult, Timestamp,
};
use crate::queue::{Lease, Queue, Settlement};
use crate::render::MailContext;
use crate::telemetry::Metrics;
use crate::transport::ConnectionPermit;

/// What an attempt needs besides its lease.
#[derive(Debug, Clone)]
pub struct AttemptContext {
    /// Where the pictures of the mails are.
    pub queue: Queue,
    /// Servers, renderer, policy.
    pub pipeline: Arc<Pipeline>,
    /// The time.
    pub clock: Clock,
    /// Where attempts are counted.
    pub metrics: Arc<Metrics>,
    /// Cuts off what is under way: the time to stop is over.
    pub abort: CancellationToken,
}

impl AttemptContext {
    /// Takes one lease through one attempt. Never fails: whatever happens is the settlement.
    ///
    /// `reserved` is a permit for the server that it will try first, when that server has a rate.
    pub async fn deliver(self, lease: Lease, reserved: Option<RatePermit>) -> Settlement {
        let now = || self.clock.now();
        let info = AttemptInfo {
            id: lease.id,
            attempt: lease.attempt,
            expires_at: lease.expires_at,
            preferred_server: lease.preferred_server.as_ref(),
        };
        let not_allowed = (!self.pipeline.permitted.allows(&lease.recipient))
            .then_some(Outcome::Suppressed(SuppressReason::NotAllowed));
        let (attempts, outcome) =
            match not_allowed.or_else(|| self.pipeline.policy.check_before_attempt(info, now())) {
                Some(outcome) => (Vec::new(), outcome),
                None => match self.render(&lease, self.pictures(&lease).await.as_deref()) {
                    Ok(email) => {
                        let (attempts, skipped) = self.try_servers(&lease, &email, reserved).await;
                        let outcome = if attempts.is_empty() && self.pipeline.is_draining() {
                            Outcome::Released
                        } else {
                            self.pipeline
                                .policy
                                .decide(info, &attempts, skipped.as_ref(), now())
                        };
                        (attempts, outcome)
                    }
                    Err(failure) => self.unrendered(info, &lease, *failure),
                },
            };
        self.report(&lease, &attempts, &outcome);
        Settlement {
            lease,
            attempts,
            outcome,
        }
    }

    /// What became of the event's pictures. The mail matters more than they do: where they cannot
    /// be read, it goes without.
    async fn pictures(&self, lease: &Lease) -> Option<Vec<ThumbnailResult>> {
        self.queue.thumbnails(lease).await.unwrap_or_else(|error| {
            warn!(delivery = %lease.id, event = %lease.event_id, "the copies of its pictures cannot be read, so the mail goes without them: {error}");
            Some(Vec::new())
        })
    }

    /// Renders the mail; a renderer that panics costs this mail one attempt and its neighbours
    /// nothing.
    fn render(
        &self,
        lease: &Lease,
        pictures: Option<&[ThumbnailResult]>,
    ) -> Result<Email, Box<Failure>> {
        let addressed = MailContext {
            delivery: lease.id,
            message_id: &lease.message_id,
            recipient: &lease.recipient,
            kind: lease.kind,
            created_at: self.clock.to_wall(lease.created_at),
            pictures,
        };
        let _mark = self.queue.rendering(lease.id);
        let rendered = lease
            .event()
            .map_err(|error| (FailureKind::Rejected, error.to_string()))
            .and_then(|event| {
                match catch_unwind(AssertUnwindSafe(|| {
                    without_holding_up_others(self.pipeline.renderer.may_block(), || {
                        self.pipeline.renderer.render(event, &addressed)
                    })
                })) {
                    Ok(rendered) => {
                        rendered.map_err(|error| (FailureKind::Rejected, error.to_string()))
                    }
                    Err(_) => Err((
                        FailureKind::Unavailable {
                            retry_after: None,
                            server_wide: false,
                        },
                        "the renderer broke down".to_owned(),
                    )),
                }
            });
        let (kind, why) = match rendered {
            Ok(email) => return Ok(email),
            Err(trouble) => trouble,
        };
        let detail = format!("the mail cannot be rendered: {why}");
        Err(Box::new(Failure {
            kind,
            stage: Stage::Compose,
            reply: None,
            detail,
            explanation: None,
        }))
    }

    /// The verdict over a mail that could not be rendered.
    fn unrendered(
        &self,
        info: AttemptInfo<'_>,
        lease: &Lease,
        failure: Failure,
    ) -> (Vec<Attempt>, Outcome) {
        let at = self.clock.now();
        let attempts = vec![self.attempt(
            lease,
            "jobbell".into(),
            at,
            Instant::now(),
            AttemptResult::Failed(failure),
        )];
        let outcome = match self
            .pipeline
            .policy
            .decide(info, &attempts, None, self.clock.now())
        {
            Outcome::Dead(_) => Outcome::Dead(DeadReason::Unrenderable),
            again => again,
        };
        (attempts, outcome)
    }

    /// Tries the servers in order until one has taken the mail, or no other may be asked. Also
    /// returns the one of those not asked that can be asked first.
    async fn try_servers(
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
            if self.pipeline.is_draining()
                || self
                    .try_server(server, lease, email, &mut tries)
                    .await
                    .is_break()
            {
                break;
            }
        }
        (tries.attempts, tries.skipped)
    }

    /// Tries one server: with the whole mail, then with less and less of it while the server calls
    /// it too large. Breaks when no other server may be asked.
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
                .acquire_server(server, lease.lane, &mut tries.reserved)
                .await
            {
                Ok(admitted) => admitted,
                Err(closed) => return tries.pass(server, &closed),
            };
            tries.log_switch(lease, server);
            let (at, started) = (self.clock.now(), Instant::now());
            let mut result = tokio::select! {
                biased;
                sent = server.transport.send_on(connection, &email) => sent.map_or_else(AttemptResult::Failed, AttemptResult::Sent),
                () = self.abort.cancelled() => AttemptResult::Failed(aborted()),
            };
            result.hide(&lease.secrets());
            if self.pipeline.is_draining() && has_not_begun(&result) {
                return ControlFlow::Break(());
            }
            self.note_health(server, &result);
            let too_large = matches!(&result, AttemptResult::Failed(failure) if failure.kind == FailureKind::TooLarge);
            let attempt = self.attempt(lease, server.transport.name().clone(), at, started, result);
            if let Some(permit) = permit.filter(|_| attempt.is_counted_by_the_server()) {
                permit.commit(self.clock.now());
            }
            tries.attempts.push(attempt);
            match if too_large {
                self.smaller(lease, &email)
            } else {
                None
            } {
                Some(smaller) => email = Cow::Owned(smaller),
                None if is_over(&tries.attempts) => return ControlFlow::Break(()),
                None => return ControlFlow::Continue(()),
            }
        }
    }

    /// The mail without the pictures that it carries; one that carries none, as text alone. `None`
    /// when there is nothing left to leave out.
    fn smaller(&self, lease: &Lease, email: &Email) -> Option<Email> {
        if !email.inline.is_empty() {
            return self.render(lease, Some(&[])).ok();
        }
        (!email.html.is_empty()).then(|| Email {
            html: String::new(),
            ..email.clone()
        })
    }

    /// Leave to try a server now: a connection, a mail of its rate, and its health.
    async fn acquire_server<'a>(
        &self,
        server: &'a Server,
        lane: Lane,
        reserved: &mut Option<RatePermit>,
    ) -> Result<(Option<RatePermit>, ConnectionPermit<'a>), NotAvailable> {
        let rests = |now| {
            server
                .breaker()
                .closed_until(now)
                .map(|until| NotAvailable {
                    until,
                    is_waited_for: false,
                })
        };
        rests(self.clock.now()).map_or(Ok(()), Err)?;
        let busy = |until| NotAvailable {
            until,
            is_waited_for: server.is_waited_for(),
        };
        let connection = server.transport.acquire(lane).await;
        // It may have been found out of order while this mail waited.
        let now = self.clock.now();
        rests(now).map_or(Ok(()), Err)?;
        let connection = connection.map_err(|why| {
            debug!(server = %server.transport.name(), "mail goes back to the queue: {why}");
            NotAvailable {
                until: now,
                is_waited_for: true,
            }
        })?;
        let permit = server.rate_permit(reserved, lane, now).map_err(busy)?;
        // Last of all, for leave to be the probe must not be given to a mail that then does not go.
        if server.breaker().admit(now) {
            Ok((permit, connection))
        } else {
            Err(rests(now).unwrap_or_else(|| busy(now)))
        }
    }

    fn attempt(
        &self,
        lease: &Lease,
        server: crate::domain::ServerName,
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

    fn note_health(&self, server: &Server, result: &AttemptResult) {
        let name = server.transport.name();
        match result {
            AttemptResult::Sent(_) => server.breaker().succeeded(),
            AttemptResult::Failed(failure) => {
                let pause = server.breaker().failed(failure.kind, self.clock.now());
                if let Some(pause) = pause {
                    warn!(server = %name, rest_s = pause.as_secs(), "mail server rests: {failure}");
                }
            }
        }
        self.metrics.server_up(name, server.breaker().is_closed());
    }

    /// The one place where the end of an attempt is logged.
    fn report(&self, lease: &Lease, attempts: &[Attempt], outcome: &Outcome) {
        let to = lease.recipient.masked();
        let why = attempts.last().map(|attempt| match &attempt.result {
            AttemptResult::Failed(failure) => failure.to_string(),
            AttemptResult::Sent(receipt) => receipt.reply.text.clone(),
        });
        let why = why.unwrap_or_else(|| match outcome {
            Outcome::Dead(DeadReason::Expired) => {
                "its time was over before a mail server could be given it".to_owned()
            }
            Outcome::Dead(DeadReason::Attempts) => {
                "it has been tried as often as may be".to_owned()
            }
            _ => String::new(),
        });
        match outcome {
            Outcome::Sent => {
                self.metrics.delivered(
                    lease.lane.as_str(),
                    self.clock.now().since(lease.created_at),
                );
                info!(delivery = %lease.id, event = %lease.event_id, attempt = lease.attempt, "Email sent to {to}");
            }
            Outcome::RetryAt { at, .. } if attempts.is_empty() => {
                debug!(delivery = %lease.id, event = %lease.event_id, next = %self.clock.to_wall(*at), "mail to {to} waits: no mail server may be given it now");
            }
            Outcome::RetryAt { at, .. } => {
                warn!(delivery = %lease.id, event = %lease.event_id, attempt = lease.attempt, next = %self.clock.to_wall(*at), "mail to {to} not sent, will try again: {why}");
            }
            Outcome::Dead(reason) => {
                warn!(delivery = %lease.id, event = %lease.event_id, attempt = lease.attempt, %reason, "mail to {to} given up: {why}");
            }
            Outcome::Suppressed(reason) => {
                info!(delivery = %lease.id, event = %lease.event_id, %reason, "mail to {to} not sent: the recipient is not allowed any more");
            }
            Outcome::Released => {}
        }
    }
}

/// Does work that may block for a while, with the other tasks of this thread moved to another one
/// where the runtime has several.
fn without_holding_up_others<T>(may_block: bool, work: impl FnOnce() -> T) -> T {
    if may_block && Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread {
        block_in_place(work)
    } else {
        work()
    }
}

/// What a mail came to that was under way when the time to stop was over: whoever reads it must
/// take it for possibly sent.
fn aborted() -> Failure {
    let detail =
        "cut off because the daemon stopped; the server may have taken the mail".to_owned();
    Failure {
        kind: FailureKind::Uncertain,
        stage: Stage::Dot,
        reply: None,
        detail,
        explanation: None,
    }
}

/// Whether nothing of the mail had been said to the server yet.
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
