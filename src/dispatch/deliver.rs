//! One lease, one attempt: render the mail, walk the servers, give the verdict.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::line::{Line, Server};
use super::retry::Facts;
use crate::domain::{Attempt, AttemptResult, Clock, DeadReason, Email, Failure, FailureKind, Outcome, Stage, Timestamp};
use crate::queue::{Lease, Settlement};
use crate::render::Addressed;
use crate::telemetry::Metrics;

/// What an attempt needs besides its lease.
#[derive(Debug, Clone)]
pub struct Bench {
    /// Servers, renderer, policy.
    pub line: Arc<Line>,
    /// The time.
    pub clock: Clock,
    /// Where attempts are counted.
    pub metrics: Arc<Metrics>,
    /// Cuts off what is under way: the time to stop is over.
    pub cut: CancellationToken,
}

impl Bench {
    /// Takes one lease through one attempt. Never fails: whatever happens is the settlement.
    pub async fn deliver(self, lease: Lease) -> Settlement {
        let facts = Facts { id: lease.id, attempt: lease.attempt, expires_at: lease.expires_at };
        let (attempts, outcome) = match self.line.policy.forbids(facts, self.clock.now()) {
            Some(outcome) => (Vec::new(), outcome),
            None => match self.render(&lease) {
                Ok(email) => {
                    let (attempts, open_at) = self.walk(&lease, &email).await;
                    let outcome = if attempts.is_empty() && self.line.is_retired() {
                        Outcome::Released
                    } else {
                        self.line.policy.decide(facts, &attempts, open_at, self.clock.now())
                    };
                    (attempts, outcome)
                }
                Err(failure) => self.unrendered(facts, &lease, *failure),
            },
        };
        self.report(&lease, &attempts, &outcome);
        Settlement { lease, attempts, outcome }
    }

    /// Renders the mail; a renderer that panics costs this mail one attempt and its neighbours nothing.
    fn render(&self, lease: &Lease) -> Result<Email, Box<Failure>> {
        let addressed =
            Addressed { delivery: lease.id, message_id: &lease.message_id, recipient: &lease.recipient, kind: lease.kind, created_at: lease.created_at };
        let rendered = lease.event().map_err(|error| (FailureKind::Rejected, error.to_string())).and_then(|event| {
            match catch_unwind(AssertUnwindSafe(|| self.line.renderer.render(&event, &addressed))) {
                Ok(rendered) => rendered.map_err(|error| (FailureKind::Rejected, error.to_string())),
                Err(_) => Err((FailureKind::Unavailable { retry_after: None, server_wide: false }, "the renderer broke down".to_owned())),
            }
        });
        let (kind, why) = match rendered {
            Ok(email) => return Ok(email),
            Err(trouble) => trouble,
        };
        let detail = format!("the mail cannot be rendered: {why}");
        Err(Box::new(Failure { kind, stage: Stage::Compose, reply: None, detail, explanation: None }))
    }

    /// The verdict over a mail that could not be rendered.
    fn unrendered(&self, facts: Facts, lease: &Lease, failure: Failure) -> (Vec<Attempt>, Outcome) {
        let at = self.clock.now();
        let attempts = vec![self.attempt(lease, "jobbell".into(), at, Instant::now(), AttemptResult::Failed(failure))];
        let outcome = match self.line.policy.decide(facts, &attempts, None, self.clock.now()) {
            Outcome::Dead(_) => Outcome::Dead(DeadReason::Unrenderable),
            again => again,
        };
        (attempts, outcome)
    }

    /// Tries the servers in order until one has taken the mail, or no other may be asked. Also returns when the first resting one opens.
    async fn walk(&self, lease: &Lease, email: &Email) -> (Vec<Attempt>, Option<Timestamp>) {
        let mut attempts: Vec<Attempt> = Vec::new();
        let mut open_at: Option<Timestamp> = None;
        for server in self.line.order(lease.same_server.as_ref()) {
            if self.line.is_retired() {
                break;
            }
            let at = self.clock.now();
            if !server.breaker().admit(at) {
                let until = server.breaker().closed_until(at);
                open_at = open_at.into_iter().chain(until).min();
                continue;
            }
            let name = server.transport.name();
            if let Some(Attempt { server: from, result: AttemptResult::Failed(why), .. }) = attempts.last() {
                warn!(delivery = %lease.id, %from, to = %name, "switching to the next mail server: {why}");
            }
            let started = Instant::now();
            let result = tokio::select! {
                biased;
                sent = server.transport.send(email) => sent.map_or_else(AttemptResult::Failed, AttemptResult::Sent),
                () = self.cut.cancelled() => AttemptResult::Failed(cut_off()),
            };
            if self.line.is_retired() && has_not_begun(&result) {
                break;
            }
            self.note_health(server, &result);
            let over = match &result {
                AttemptResult::Sent(_) => true,
                AttemptResult::Failed(failure) => matches!(failure.kind, FailureKind::Rejected | FailureKind::Uncertain),
            };
            attempts.push(self.attempt(lease, name.clone(), at, started, result));
            if over {
                break;
            }
        }
        (attempts, open_at)
    }

    fn attempt(&self, lease: &Lease, server: crate::domain::ServerName, at: Timestamp, started: Instant, result: AttemptResult) -> Attempt {
        let name = match &result {
            AttemptResult::Sent(_) => "sent",
            AttemptResult::Failed(failure) => failure.kind.as_str(),
        };
        self.metrics.attempt(&server, name);
        Attempt { number: lease.attempt, server, at, took: started.elapsed(), result }
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
        let why = why.unwrap_or_default();
        match outcome {
            Outcome::Sent => {
                self.metrics.delivered(lease.lane.as_str(), self.clock.now().since(lease.created_at));
                info!(delivery = %lease.id, event = %lease.event_id, attempt = lease.attempt, "Email sent to {to}");
            }
            Outcome::RetryAt { at, .. } => {
                warn!(delivery = %lease.id, event = %lease.event_id, attempt = lease.attempt, next = %at, "mail to {to} not sent, will try again: {why}");
            }
            Outcome::Dead(reason) => {
                warn!(delivery = %lease.id, event = %lease.event_id, attempt = lease.attempt, %reason, "mail to {to} given up: {why}");
            }
            Outcome::Released => {}
        }
    }
}

/// What a mail came to that was under way when the time to stop was over: whoever reads it must take it for possibly sent.
fn cut_off() -> Failure {
    let detail = "cut off because the daemon stopped; the server may have taken the mail".to_owned();
    Failure { kind: FailureKind::Uncertain, stage: Stage::Dot, reply: None, detail, explanation: None }
}

/// Whether nothing of the mail had been said to the server yet.
fn has_not_begun(result: &AttemptResult) -> bool {
    use Stage::{Auth, Connect, Dns, Ehlo, Greeting, Starttls, Tls};
    matches!(result, AttemptResult::Failed(Failure { stage: Dns | Connect | Tls | Greeting | Ehlo | Starttls | Auth, .. }))
}
