//! From an answer, a lost link or a trouble of our own to a [`Failure`]: the table of replies says
//! what it means, in the operator's language.

use std::sync::Arc;

use super::Settings;
use super::link::Loss;
use crate::domain::{Failure, Locale, Reply, Stage};
use crate::transport::explain::{LocalTrouble, Table, Verdict};
use crate::transport::providers;

/// What a server's refusals are read by. Clones share the table.
#[derive(Debug, Clone)]
pub struct Judge {
    table: Arc<Table>,
    /// The table's key of the mail service, when it is a known one.
    service: Option<&'static str>,
    locale: Locale,
}

impl Judge {
    /// The judge of one server: a known mail service, by its name, its host or else the domain of
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

    /// The failure that a refusal stands for.
    pub(super) fn refusal(&self, stage: Stage, reply: Reply, detail: String) -> Failure {
        let verdict = self.table.explain(self.service, stage, &reply);
        self.failure(&verdict, stage, Some(reply), detail)
    }

    /// The failure that a trouble without an answer stands for.
    pub(super) fn trouble(
        &self,
        stage: Stage,
        trouble: LocalTrouble,
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
    pub(super) fn trouble_with(
        &self,
        stage: Stage,
        trouble: LocalTrouble,
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

    /// The failure of a link that was lost, or fell silent. Before the payload it is the server's
    /// trouble; during the payload the mail itself may have caused it, so the attempt counts; after
    /// the final dot nobody knows.
    pub(super) fn loss(&self, stage: Stage, loss: &Loss, payload_begun: bool) -> Failure {
        let trouble = match (stage, loss) {
            (Stage::Dot, _) => LocalTrouble::LostAfterFinalDot,
            (Stage::Data, _) if payload_begun => LocalTrouble::ClosedBeforeDataEnd,
            (Stage::Greeting, Loss::TimedOut(_)) => LocalTrouble::GreetingTimeout,
            (_, Loss::TimedOut(_)) => LocalTrouble::ReplyTimeout,
            (_, Loss::OutOfStep) => LocalTrouble::OutOfStep,
            (_, Loss::Closed | Loss::Broken(_)) => LocalTrouble::ClosedWithoutReply,
            (Stage::Starttls, Loss::Residue) => LocalTrouble::StarttlsResidue,
            (_, Loss::NotSmtp(_) | Loss::Residue) => LocalTrouble::NotSmtp,
        };
        self.trouble(stage, trouble, loss.to_string())
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
