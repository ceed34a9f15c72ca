//! Counts refusals by their reason (`jobbell_refused_total{why}`) and logs each reason at most once
//! a minute.
//!
//! A handler says why with [`Problem::because`](super::Problem::because), and the answer is counted
//! on its way out. What is refused before there is a request is counted with [`Refusals::count`].

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use tracing::warn;

use super::Peer;
use crate::telemetry::Metrics;
use crate::telemetry::log_limit::{LogLimit, Verdict};

/// Why a request or a connection was refused: the values of the label `why`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// No `Host`, several, or one that is not ours.
    Host,
    /// A web page of another origin.
    Origin,
    /// No token where one is needed.
    NoToken,
    /// A token that is not known.
    WrongToken,
    /// Too many wrong tokens or hook secrets from one address.
    Guessing,
    /// The token's scope does not include it.
    Scope,
    /// The token's rate is used up.
    Rate,
    /// A hook's address that does not exist.
    HookAddress,
    /// A wrong secret of a hook.
    HookSecret,
    /// A hook's request that is not proven to come from its service.
    HookProof,
    /// The keys that a hook's service publishes cannot be fetched.
    HookKeys,
    /// The body is too large.
    BodySize,
    /// The body arrives too slowly.
    BodyTime,
    /// The bodies under way use up the budget.
    BodyBudget,
    /// Not HTTP, or not what was announced: a head or a body that cannot be read.
    Malformed,
    /// There is nothing at the path.
    Path,
    /// The path does not know the method.
    Method,
    /// The content type or coding is not taken.
    ContentType,
    /// Fields are wrong.
    Invalid,
    /// It conflicts with what is on record.
    Conflict,
    /// Too many connections.
    Connections,
    /// The process has no file descriptors left.
    Descriptors,
    /// The queue is full.
    QueueFull,
    /// Too many writes wait for the disk.
    Busy,
    /// The store refuses.
    Store,
}

impl Why {
    /// Every reason, in the order of the declaration.
    pub const ALL: [Self; 25] = [
        Self::Host,
        Self::Origin,
        Self::NoToken,
        Self::WrongToken,
        Self::Guessing,
        Self::Scope,
        Self::Rate,
        Self::HookAddress,
        Self::HookSecret,
        Self::HookProof,
        Self::HookKeys,
        Self::BodySize,
        Self::BodyTime,
        Self::BodyBudget,
        Self::Malformed,
        Self::Path,
        Self::Method,
        Self::ContentType,
        Self::Invalid,
        Self::Conflict,
        Self::Connections,
        Self::Descriptors,
        Self::QueueFull,
        Self::Busy,
        Self::Store,
    ];

    /// The label's value, and what the log says.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Host => (
                "host",
                "the Host is missing, repeated or not one of ours (server.hosts)",
            ),
            Self::Origin => ("origin", "they come from a web page of another origin"),
            Self::NoToken => ("no_token", "no token was sent"),
            Self::WrongToken => ("wrong_token", "the token is not known"),
            Self::Guessing => (
                "guessing",
                "too many wrong tokens or hook secrets came from one address",
            ),
            Self::Scope => ("scope", "the token may not do this"),
            Self::Rate => ("rate", "the token's rate is used up"),
            Self::HookAddress => ("hook_address", "there is no hook at the address"),
            Self::HookSecret => (
                "hook_secret",
                "the hook's secret is wrong, or there is no such hook",
            ),
            Self::HookProof => (
                "hook_proof",
                "they are not proven to come from the hook's service",
            ),
            Self::HookKeys => (
                "hook_keys",
                "the keys of the hook's service cannot be fetched",
            ),
            Self::BodySize => ("body_size", "the body is too large"),
            Self::BodyTime => ("body_time", "the body arrives too slowly"),
            Self::BodyBudget => (
                "body_budget",
                "the request bodies under way use up server.body_budget",
            ),
            Self::Malformed => ("malformed", "the request cannot be read"),
            Self::Path => ("path", "there is nothing at the path"),
            Self::Method => ("method", "the path does not know the method"),
            Self::ContentType => (
                "content_type",
                "the content type or coding is not supported",
            ),
            Self::Invalid => ("invalid", "fields are wrong"),
            Self::Conflict => ("conflict", "they conflict with what is on record"),
            Self::Connections => ("connections", "there are too many connections"),
            Self::Descriptors => (
                "descriptors",
                "the process has no file descriptors left; raise LimitNOFILE",
            ),
            Self::QueueFull => ("queue_full", "the queue is full (queue.max_pending)"),
            Self::Busy => ("busy", "too many writes wait for the disk"),
            Self::Store => ("store", "the store refuses"),
        }
    }

    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        self.words().0
    }

    /// The reason that a status implies where the handler gave none.
    fn of(status: StatusCode) -> Option<Self> {
        match status {
            StatusCode::BAD_REQUEST => Some(Self::Malformed),
            StatusCode::METHOD_NOT_ALLOWED => Some(Self::Method),
            StatusCode::CONFLICT => Some(Self::Conflict),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Some(Self::ContentType),
            StatusCode::UNPROCESSABLE_ENTITY => Some(Self::Invalid),
            StatusCode::PAYLOAD_TOO_LARGE => Some(Self::BodySize),
            StatusCode::REQUEST_TIMEOUT => Some(Self::BodyTime),
            StatusCode::MISDIRECTED_REQUEST => Some(Self::Host),
            StatusCode::TOO_MANY_REQUESTS => Some(Self::Rate),
            StatusCode::SERVICE_UNAVAILABLE => Some(Self::Store),
            _ => None,
        }
    }
}

/// The name of the token that was refused, beside a [`Why`] in an answer's extensions.
#[derive(Debug, Clone)]
pub(super) struct TokenName(pub(super) String);

/// Counts and logs refusals. Clones share the counts.
#[derive(Debug, Clone)]
pub struct Refusals(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    metrics: Arc<Metrics>,
    logs: [LogLimit; Why::ALL.len()],
}

impl Refusals {
    /// Counts into these metrics.
    pub fn new(metrics: &Arc<Metrics>) -> Self {
        for why in Why::ALL {
            metrics.refused(why.as_str(), 0);
        }
        Self(Arc::new(Shared {
            metrics: Arc::clone(metrics),
            logs: [const { LogLimit::new() }; Why::ALL.len()],
        }))
    }

    /// Counts one refusal, and logs it unless this reason was logged within the last minute; then
    /// the number is logged at the end of that minute.
    pub fn count(&self, why: Why, peer: Option<Peer>) {
        self.count_by(why, peer, None);
    }

    fn count_by(&self, why: Why, peer: Option<Peer>, token: Option<&str>) {
        self.0.metrics.refused(why.as_str(), 1);
        let Some(limit) = self.0.logs.get(why as usize) else {
            return;
        };
        match limit.count() {
            Verdict::Log(number) => log(why, number, peer, token),
            Verdict::FlushIn(pause) => {
                let (this, token) = (self.clone(), token.map(str::to_owned));
                drop(tokio::spawn(async move {
                    tokio::time::sleep(pause).await;
                    if let Some(number) = this.0.logs.get(why as usize).and_then(LogLimit::flush) {
                        log(why, number, peer, token.as_deref());
                    }
                }));
            }
            Verdict::Skip => {}
        }
    }

    /// Counts an answer, if it is a refusal with a reason.
    pub(super) fn count_response(&self, response: &Response, peer: Peer) {
        let why = response
            .extensions()
            .get::<Why>()
            .copied()
            .or_else(|| Why::of(response.status()));
        if let Some(why) = why {
            let token = response
                .extensions()
                .get::<TokenName>()
                .map(|TokenName(name)| name.as_str());
            self.count_by(why, Some(peer), token);
        }
    }
}

fn log(why: Why, refused: u64, peer: Option<Peer>, token: Option<&str>) {
    let (name, reason) = why.words();
    let peer = peer.map(tracing::field::display);
    warn!(
        why = name,
        refused, peer, token, "requests refused: {reason}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Problem;
    use axum::response::IntoResponse as _;

    #[test]
    fn each_reason_has_a_place_of_its_own_and_a_unique_label() {
        for (place, why) in Why::ALL.iter().enumerate() {
            assert_eq!(*why as usize, place);
            assert_eq!(
                Why::ALL
                    .iter()
                    .filter(|other| other.as_str() == why.as_str())
                    .count(),
                1
            );
        }
    }

    #[tokio::test]
    async fn refusals_are_counted_by_the_reason_of_the_answer() {
        let metrics = Arc::new(Metrics::new());
        let refusals = Refusals::new(&metrics);
        let answer =
            |problem: Problem| refusals.count_response(&problem.into_response(), Peer::Unix);
        answer(Problem::new(StatusCode::FORBIDDEN, "no").because(Why::Origin));
        answer(Problem::new(StatusCode::FORBIDDEN, "no"));
        answer(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "no"));
        refusals.count(Why::Descriptors, None);
        let text = metrics.encode().unwrap();
        for (why, number) in [
            ("origin", 1),
            ("body_size", 1),
            ("descriptors", 1),
            ("host", 0),
        ] {
            assert!(
                text.contains(&format!(
                    "jobbell_refused_total{{why=\"{why}\"}} {number}\n"
                )),
                "{why}\n{text}"
            );
        }
    }
}
