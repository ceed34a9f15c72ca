//! Turns replies, read errors and local errors into a [`Failure`], by the table of replies.

use std::sync::Arc;

use super::Settings;
use super::framing::ReadError;
use crate::domain::{Failure, Locale, Reply, ServerName, Stage};
use crate::transport::Common;
use crate::transport::explain::{LocalError, Table, Verdict};
use crate::transport::oauth::TokenError;
use crate::transport::providers;

/// Classifies the failures of one server. Clones share the table.
#[derive(Debug, Clone)]
pub struct Classifier {
    table: Arc<Table>,
    /// The table's key of the mail service, if it is known.
    service: Option<&'static str>,
    server: ServerName,
    locale: Locale,
}

impl Classifier {
    /// The classifier of one server. A known mail service, by its name, its host or the domain of the
    /// login, is classified by its own rows first. The domain matters for a server behind a relay or
    /// with a custom host name; rows that do not match its replies do no harm.
    pub fn new(common: &Common, settings: &Settings, table: Arc<Table>) -> Self {
        let by_login = || {
            let login = settings
                .login
                .as_ref()
                .map(super::Login::username)
                .unwrap_or_default();
            let (_, domain) = login.rsplit_once('@')?;
            providers::by_domain(domain)?.replies
        };
        let service = providers::replies_of(settings.provider, &settings.host).or_else(by_login);
        Self {
            table,
            service,
            server: Arc::clone(&common.name),
            locale: common.locale,
        }
    }

    /// The failure for a refusal.
    pub(super) fn refusal(&self, stage: Stage, reply: Reply, detail: String) -> Failure {
        let verdict = self.table.explain(self.service, stage, &reply);
        self.failure(&verdict, stage, Some(reply), detail)
    }

    /// The failure of a login for which there is no access token.
    pub(super) fn token_failure(&self, error: TokenError) -> Failure {
        error.into_failure(&self.table, &self.server, self.locale)
    }

    /// The failure for a local error without a reply.
    pub(super) fn local_failure(
        &self,
        stage: Stage,
        error: LocalError,
        detail: impl Into<String>,
    ) -> Failure {
        self.failure(&self.table.explain_local(error), stage, None, detail.into())
    }

    /// The failure for a local error with the reply that revealed it.
    pub(super) fn local_failure_with_reply(
        &self,
        stage: Stage,
        error: LocalError,
        reply: Reply,
        detail: String,
    ) -> Failure {
        self.failure(&self.table.explain_local(error), stage, Some(reply), detail)
    }

    /// The failure of a connection that was lost or timed out, or whose mail has no lease any more. Before the payload it concerns the
    /// server; during the payload the mail may be the cause, so the attempt counts; after the final
    /// dot it is uncertain.
    pub(super) fn read_failure(
        &self,
        stage: Stage,
        loss: &ReadError,
        payload_begun: bool,
    ) -> Failure {
        let error = match (stage, loss) {
            (_, ReadError::LeaseOver) => return Failure::lease_over(stage),
            (Stage::Dot, _) => LocalError::LostAfterFinalDot,
            (Stage::Data, _) if payload_begun => LocalError::ClosedBeforeDataEnd,
            (Stage::Greeting, ReadError::TimedOut(_)) => LocalError::GreetingTimeout,
            (_, ReadError::TimedOut(_)) => LocalError::ReplyTimeout,
            (_, ReadError::OutOfStep) => LocalError::OutOfStep,
            (_, ReadError::Closed | ReadError::Broken(_)) => LocalError::ClosedWithoutReply,
            (Stage::Starttls, ReadError::UnexpectedBytes) => LocalError::StarttlsResidue,
            (_, ReadError::NotSmtp(_) | ReadError::UnexpectedBytes) => LocalError::NotSmtp,
        };
        self.local_failure(stage, error, loss.to_string())
    }

    fn failure(
        &self,
        verdict: &Verdict,
        stage: Stage,
        reply: Option<Reply>,
        detail: String,
    ) -> Failure {
        Failure {
            kind: verdict.kind(stage),
            stage,
            reply,
            detail,
            explanation: verdict.explanation(self.locale),
        }
    }
}
