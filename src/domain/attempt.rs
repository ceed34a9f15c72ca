//! Attempts: one try on one server, its result, and the outcome for the delivery.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::named::named;
use super::{DeadReason, SuppressReason, Timestamp};

/// The name of a mail server in logs and on the status page: `smtp.name`, or its host.
pub type ServerName = std::sync::Arc<str>;

named! {
    /// The step of a transmission.
    Stage {
        /// Resolving the host name.
        Dns = "dns",
        /// Opening the TCP connection.
        Connect = "connect",
        /// The TLS handshake, implicit or after STARTTLS.
        Tls = "tls",
        /// Waiting for the 220 greeting.
        Greeting = "greeting",
        /// EHLO or HELO.
        Ehlo = "ehlo",
        /// STARTTLS.
        Starttls = "starttls",
        /// Authentication.
        Auth = "auth",
        /// MAIL FROM.
        Mail = "mail",
        /// RCPT TO.
        Rcpt = "rcpt",
        /// DATA, before the final dot.
        Data = "data",
        /// Waiting for the reply to the final dot.
        Dot = "dot",
        /// RSET between two mails.
        Rset = "rset",
        /// QUIT.
        Quit = "quit",
        /// An HTTP request to a mail service.
        Api = "api",
        /// Composing the mail, before any server is contacted.
        Compose = "compose",
    }
}

/// A server's reply: code, enhanced code (RFC 3463) and text, with lines joined by `\n`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The three-digit code (RFC 5321 §4.2), or the HTTP status of an API.
    pub code: u16,
    /// The enhanced code, such as `5.7.1`, if there is one.
    pub enhanced: Option<String>,
    /// The text, at most 1,000 characters, without control characters.
    pub text: String,
}

/// Minimum length of a secret that is masked in a server's reply, in bytes.
const SHORTEST_SECRET: usize = 4;

/// Confirmation that a server accepted a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The server's reply to the final dot.
    pub reply: Reply,
}

/// What a failed attempt means for the mail, for other servers and for the circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The mail or its recipient was permanently rejected: the delivery is dead, no other server is
    /// tried.
    Rejected,
    /// This server permanently rejects the mail, another one may accept it: the next server is tried
    /// now, and the delivery is dead if none is left. The circuit breaker is unaffected.
    RejectedHere,
    /// The mail exceeds the size limit of this server: a smaller version can be sent at once, or
    /// another server may accept it. The circuit breaker is unaffected.
    TooLarge,
    /// The server cannot accept the mail now: another server is tried now, this one again later.
    Unavailable {
        /// The delay that the server asked for.
        retry_after: Option<Duration>,
        /// Whether the whole server is affected (421, quota, no connection), not only this mail. Then
        /// the mail's attempts are not used up.
        server_wide: bool,
    },
    /// The server defers this mail, and another one would do the same (greylisting): the same server
    /// is tried again later, no other one now.
    Deferred {
        /// The delay that the server asked for.
        retry_after: Option<Duration>,
    },
    /// Login, sender or TLS is misconfigured: another server is tried now, this one after a long
    /// pause.
    Misconfigured,
    /// The connection was lost after the final dot. The mail may have been accepted, so no other
    /// server is tried at once.
    Uncertain,
    /// The lease of the mail ended before the server had all of it, and another node may send it: the
    /// mail returns to the queue. The attempt does not count, and the circuit breaker is unaffected.
    LeaseOver,
}

impl FailureKind {
    /// The name used in the `result` of an attempt, in metrics and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::RejectedHere => "rejected_here",
            Self::TooLarge => "too_large",
            Self::Unavailable { .. } => "unavailable",
            Self::Deferred { .. } => "deferred",
            Self::Misconfigured => "misconfigured",
            Self::Uncertain => "uncertain",
            Self::LeaseOver => "lease_over",
        }
    }
}

/// The cause of a failure and what to do about it, in the operator's language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The cause.
    pub cause: String,
    /// Advice for the operator.
    pub advice: String,
}

/// A failed attempt on one server. Data, not a program error.
///
/// Displayed in logs as the step, the detail, and cause and advice if they are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What it means for the mail and the server.
    pub kind: FailureKind,
    /// The step that failed.
    pub stage: Stage,
    /// The server's reply, if there was one.
    pub reply: Option<Reply>,
    /// A sentence for the operator, without secrets and full addresses.
    pub detail: String,
    /// Cause and advice, if the table of replies has them.
    pub explanation: Option<Explanation>,
}

impl Failure {
    /// The failure of a mail whose lease ended before the server had all of it.
    pub fn lease_over(stage: Stage) -> Self {
        Self {
            kind: FailureKind::LeaseOver,
            stage,
            reply: None,
            detail: "not sent, because this node no longer holds the mail: it has not reached the database in time, or was stopped; a node that does sends it".to_owned(),
            explanation: None,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.stage, self.detail)?;
        match &self.explanation {
            Some(Explanation { cause, advice }) => write!(f, " — {cause} {advice}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// The result of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptResult {
    /// The server accepted the mail.
    Sent(Receipt),
    /// It did not, or the result is unknown.
    Failed(Failure),
}

impl AttemptResult {
    /// Replaces these secrets with `***`: a server may repeat the subject in its reply, which is
    /// stored and logged. Secrets of fewer than four bytes are not masked, because they occur in
    /// ordinary numbers.
    pub fn hide(&mut self, secrets: &[String]) {
        let (reply, detail) = match self {
            Self::Sent(receipt) => (Some(&mut receipt.reply), None),
            Self::Failed(failure) => (failure.reply.as_mut(), Some(&mut failure.detail)),
        };
        let texts = reply.map(|reply| &mut reply.text).into_iter().chain(detail);
        for text in texts {
            for secret in secrets
                .iter()
                .filter(|secret| secret.len() >= SHORTEST_SECRET)
            {
                if text.contains(secret.as_str()) {
                    *text = text.replace(secret.as_str(), "***");
                }
            }
        }
    }
}

/// One attempt to send a delivery through one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The attempt number of the delivery, from 1. Tries on several servers within one attempt share
    /// it.
    pub number: u32,
    /// The server.
    pub server: ServerName,
    /// When it started.
    pub at: Timestamp,
    /// Its duration.
    pub took: Duration,
    /// Its result.
    pub result: AttemptResult,
}

impl Attempt {
    /// Whether the server counts it against its sending limits: the mail was accepted, or failed at
    /// MAIL FROM or later. An earlier failure, such as a refused login, does not count, nor does a
    /// mail that was broken off because its lease was over.
    pub const fn is_counted_by_the_server(&self) -> bool {
        match &self.result {
            AttemptResult::Sent(_) => true,
            AttemptResult::Failed(failure) => {
                !matches!(failure.kind, FailureKind::LeaseOver)
                    && matches!(
                        failure.stage,
                        Stage::Mail | Stage::Rcpt | Stage::Data | Stage::Dot | Stage::Api
                    )
            }
        }
    }
}

/// What happens to a delivery after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A server accepted it.
    Sent,
    /// It is retried.
    RetryAt {
        /// The earliest time.
        at: Timestamp,
        /// Whether this attempt counts against `retry.max_attempts`; server-wide failures do not.
        counted: bool,
        /// The server that may already have the mail and must be tried first (after `Uncertain`).
        preferred_server: Option<ServerName>,
    },
    /// It is given up.
    Dead(DeadReason),
    /// It is no longer to be sent, because rules have changed since it was accepted.
    Suppressed(SuppressReason),
    /// It was claimed, but sending did not start, or was broken off when the lease ended: it returns
    /// to the queue, and the attempt does not count.
    Released,
}
