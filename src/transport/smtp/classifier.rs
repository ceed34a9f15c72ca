//! From an answer, a lost connection or a trouble of our own to a [`Failure`]: the table of replies says
//! what it means, in the operator's language.

use std::sync::Arc;

use super::Settings;
use super::framing::ReadError;
use crate::domain::{Failure, Locale, Reply, Stage};
use crate::transport::explain::{LocalError, Table, Verdict};
use crate::transport::providers;

/// What a server's refusals are read by. Clones share the table.
#[derive(Debug, Clone)]
pub struct Classifier {
    table: Arc<Table>,
    /// The table's key of the mail service, when it is a known one.
    service: Option<&'static str>,
    locale: Locale,
}

impl Classifier {
    /// The classifier of one server: a known mail service, by its name, its host or else the domain of
    /// the login, is read by its own rows first. The domain is for servers behind a forwarder or
    /// under a name of one's own; rows that do not fit their words are passed over anyway.
    pub fn new(settings: &Settings, table: Arc<Table>) -> Self {
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
            locale: settings.locale,
        }
    }

    /// The failure for a refusal.
    pub(super) fn refusal(&self, stage: Stage, reply: Reply, detail: String) -> Failure {
        let verdict = self.table.explain(self.service, stage, &reply);
        self.failure(&verdict, stage, Some(reply), detail)
    }

    /// The failure for a local error without a reply.
    pub(super) fn local_failure(
        &self,
        stage: Stage,
        trouble: LocalError,
        detail: impl Into<String>,
    ) -> Failure {
        self.failure(
            &self.table.explain_local(trouble),
            stage,
            None,
            detail.into(),
        )
    }

    /// The failure of an answer whose words count less than the trouble that it shows.
    pub(super) fn local_failure_with_reply(
        &self,
        stage: Stage,
        trouble: LocalError,
        reply: Reply,
        detail: String,
    ) -> Failure {
        self.failure(
            &self.table.explain_local(trouble),
            stage,
            Some(reply),
            detail,
        )
    }

    /// The failure of a connection that was lost, or fell silent. Before the payload it is the server's
    /// trouble; during the payload the mail itself may have caused it, so the attempt counts; after
    /// the final dot nobody knows.
    pub(super) fn read_failure(
        &self,
        stage: Stage,
        loss: &ReadError,
        payload_begun: bool,
    ) -> Failure {
        let trouble = match (stage, loss) {
            (Stage::Dot, _) => LocalError::LostAfterFinalDot,
            (Stage::Data, _) if payload_begun => LocalError::ClosedBeforeDataEnd,
            (Stage::Greeting, ReadError::TimedOut(_)) => LocalError::GreetingTimeout,
            (_, ReadError::TimedOut(_)) => LocalError::ReplyTimeout,
            (_, ReadError::OutOfStep) => LocalError::OutOfStep,
            (_, ReadError::Closed | ReadError::Broken(_)) => LocalError::ClosedWithoutReply,
            (Stage::Starttls, ReadError::UnexpectedBytes) => LocalError::StarttlsResidue,
            (_, ReadError::NotSmtp(_) | ReadError::UnexpectedBytes) => LocalError::NotSmtp,
        };
        self.local_failure(stage, trouble, loss.to_string())
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
