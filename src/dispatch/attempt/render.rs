//! Renders the mail of an attempt.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;
use tracing::warn;

use super::AttemptContext;
use crate::dispatch::retry::AttemptInfo;
use crate::domain::{
    Attempt, AttemptResult, DeadReason, Email, Failure, FailureKind, Outcome, Stage,
    ThumbnailResult,
};
use crate::queue::Lease;
use crate::render::MailContext;

impl AttemptContext {
    /// The thumbnails of the event. If they cannot be read, the mail is sent without them.
    pub(super) async fn thumbnails(&self, lease: &Lease) -> Option<Vec<ThumbnailResult>> {
        self.queue.thumbnails(lease).await.unwrap_or_else(|error| {
            warn!(delivery = %lease.id, event = %lease.event_id, "could not read the thumbnails; sending the mail without them: {error}");
            Some(Vec::new())
        })
    }

    /// Renders the mail. A panic of the renderer is caught: it costs this mail one attempt and does
    /// not affect others.
    pub(super) fn render(
        &self,
        lease: &Lease,
        thumbnails: Option<&[ThumbnailResult]>,
    ) -> Result<Email, Box<Failure>> {
        let context = MailContext {
            delivery: lease.id,
            message_id: &lease.message_id,
            recipient: &lease.recipient,
            kind: lease.kind,
            created_at: self.clock.to_wall(lease.created_at),
            pictures: thumbnails,
        };
        let renderer = &self.pipeline.renderer;
        let _mark = self.queue.rendering(lease.id);
        let result = catch_unwind(AssertUnwindSafe(|| {
            let event = lease.event().map_err(|error| error.to_string())?;
            let render = || renderer.render(event, &context);
            if renderer.may_block() {
                blocking(render)
            } else {
                render()
            }
            .map_err(|error| error.to_string())
        }));
        let (kind, reason) = match result {
            Ok(Ok(email)) => return Ok(email),
            Ok(Err(reason)) => (FailureKind::Rejected, reason),
            Err(_) => (
                FailureKind::Unavailable {
                    retry_after: None,
                    server_wide: false,
                },
                "the renderer panicked".to_owned(),
            ),
        };
        Err(Box::new(Failure {
            kind,
            stage: Stage::Compose,
            reply: None,
            detail: format!("the mail cannot be rendered: {reason}"),
            explanation: None,
        }))
    }

    /// The outcome of an attempt whose mail could not be rendered.
    pub(super) fn unrendered(
        &self,
        info: AttemptInfo<'_>,
        lease: &Lease,
        failure: Failure,
    ) -> (Vec<Attempt>, Outcome) {
        let now = self.clock.now();
        let attempts = vec![self.record(
            lease,
            "jobbell".into(),
            now,
            Instant::now(),
            AttemptResult::Failed(failure),
        )];
        let outcome = match self.pipeline.policy.decide(info, &attempts, None, now) {
            Outcome::Dead(_) => Outcome::Dead(DeadReason::Unrenderable),
            retry => retry,
        };
        (attempts, outcome)
    }

    /// A smaller version of the mail: without inline images, or else as plain text. `None` if it is
    /// plain text already.
    pub(super) fn smaller(&self, lease: &Lease, email: &Email) -> Option<Email> {
        if !email.inline.is_empty() {
            return self.render(lease, Some(&[])).ok();
        }
        (!email.html.is_empty()).then(|| Email {
            html: String::new(),
            ..email.clone()
        })
    }
}

/// Runs work that may block. On a runtime with several threads, the other tasks of this thread
/// continue on another one.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    if Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread {
        block_in_place(work)
    } else {
        work()
    }
}
