//! One try on one server, and what follows from it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::named::named;
use super::{DeadReason, SuppressReason, Timestamp};

/// What logs and the status page call a mail server: `smtp.name`, or its host.
pub type ServerName = std::sync::Arc<str>;

named! {
    /// The step of a transmission at which something happened.
    Stage {
        /// Looking the host up.
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
        /// Logging in.
        Auth = "auth",
        /// MAIL FROM.
        Mail = "mail",
        /// RCPT TO.
        Rcpt = "rcpt",
        /// DATA, up to and without the final dot.
        Data = "data",
        /// After the final dot, waiting for the answer.
        Dot = "dot",
        /// RSET between two mails.
        Rset = "rset",
        /// QUIT.
        Quit = "quit",
        /// An HTTP call to a mail service.
        Api = "api",
        /// Before any server was asked: composing the mail.
        Compose = "compose",
    }
}

/// A server's answer: code, enhanced code (RFC 3463) and text, the lines joined by `\n`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The three-digit code (RFC 5321 §4.2), or the HTTP status of an API.
    pub code: u16,
    /// The enhanced code as `5.7.1`, when the answer had one.
    pub enhanced: Option<String>,
    /// The words, at most 1,000 characters, control characters removed.
    pub text: String,
}

/// The fewest characters of a text that is hidden in a server's answer.
const SHORTEST_SECRET: usize = 4;

/// A mail that a server has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The server's words after the final dot.
    pub reply: Reply,
}

/// What a failed try means: the same mail again? another server now? whose fault?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The mail or its recipient is refused for good: dead, no other server.
    Rejected,
    /// This server will never take the mail, but another may: the next one now, and dead when none
    /// is left. The server itself is well.
    RejectedHere,
    /// The mail is larger than this server takes: less of it may go there at once, another server
    /// may take the whole. The server itself is well.
    TooLarge,
    /// The server cannot take it now: another server now, this one again later.
    Unavailable {
        /// How long the server asked us to wait.
        retry_after: Option<Duration>,
        /// Whether the whole server is meant (421, quota, no connection), not just this mail; then
        /// the mail's attempts are not used up.
        server_wide: bool,
    },
    /// The server puts this mail off and another would only do the same (greylisting): the same
    /// server again later, no other one now.
    Deferred {
        /// How long the server wants us to wait.
        retry_after: Option<Duration>,
    },
    /// Login, sender or TLS is set up wrongly: another server now, this one after a long pause.
    Misconfigured,
    /// The link broke after the final dot: it may have been taken, so never another server at once.
    Uncertain,
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
        }
    }
}

/// Why a server refused, and what to do about it, in the operator's language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// What went wrong.
    pub cause: String,
    /// What to do.
    pub advice: String,
}

/// What one try on one server came to when it did not succeed. Data, not a program error.
///
/// Its text is what logs say: the step, the sentence, then cause and advice where they are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What it means for the mail and the server.
    pub kind: FailureKind,
    /// The step at which it happened.
    pub stage: Stage,
    /// The server's answer, when there was one.
    pub reply: Option<Reply>,
    /// One sentence for the operator, without secrets and full addresses.
    pub detail: String,
    /// Cause and advice, where the table of replies knows them.
    pub explanation: Option<Explanation>,
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

/// What one try came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptResult {
    /// The server has taken the mail.
    Sent(Receipt),
    /// It has not, or nobody knows.
    Failed(Failure),
}

impl AttemptResult {
    /// Puts `***` in the place of these texts: a server may repeat the mail's subject in its
    /// answer, and an answer is stored and logged. Texts of fewer than four characters stay,
    /// because every number would have them.
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

/// One try of one delivery on one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The delivery's attempt number, from 1; tries on several servers within one attempt share it.
    pub number: u32,
    /// The server.
    pub server: ServerName,
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What it came to.
    pub result: AttemptResult,
}

impl Attempt {
    /// Whether the server counts it as a mail: it was taken, or refused or lost once its sender had
    /// been named. What failed earlier, at the login for example, counts against no limit of mails.
    pub const fn is_counted_by_the_server(&self) -> bool {
        match &self.result {
            AttemptResult::Sent(_) => true,
            AttemptResult::Failed(failure) => matches!(
                failure.stage,
                Stage::Mail | Stage::Rcpt | Stage::Data | Stage::Dot | Stage::Api
            ),
        }
    }
}

/// The verdict over a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A server has taken it.
    Sent,
    /// Try again.
    RetryAt {
        /// Not before this moment.
        at: Timestamp,
        /// Whether this attempt uses up one of `retry.max_attempts`; server-wide troubles do not.
        counted: bool,
        /// The server that may already have the mail and must be asked first (after `Uncertain`).
        preferred_server: Option<ServerName>,
    },
    /// Given up.
    Dead(DeadReason),
    /// Not to be sent any more, because of rules that have changed since it was accepted.
    Suppressed(SuppressReason),
    /// Claimed, but sending never began: back into the queue, the attempt not counted.
    Released,
}

impl Outcome {
    /// Moves what is planned along with a clock that was set by so many milliseconds.
    pub const fn move_along(&mut self, millis: i64) {
        if let Self::RetryAt { at, .. } = self {
            *at = at.moved(millis);
        }
    }
}
