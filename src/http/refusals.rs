//! Counts rejected requests by reason (`jobbell_refused_total{why}`) and logs each reason at most
//! once a minute.
//!
//! Handlers set the reason with [`Problem::because`](super::Problem::because); the response is
//! counted when it is sent. Connections that are rejected before a request are counted with
//! [`Refusals::count`].

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use tracing::warn;

use super::Peer;
use crate::telemetry::Metrics;
use crate::telemetry::log_limit::{LogLimit, Verdict};

/// Defines the reasons, each with its label and its log text.
macro_rules! reasons {
    ($($variant:ident = $label:literal: $text:literal,)+) => {
        /// Why a request or connection was rejected: values of the label `why`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Why { $(#[doc = concat!("`", $label, "`")] $variant,)+ }

        impl Why {
            /// Every reason, in the order of declaration.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The label's value and the log text.
            const fn words(self) -> (&'static str, &'static str) {
                match self { $(Self::$variant => ($label, $text),)+ }
            }
        }
    };
}

reasons! {
    Host = "host": "the Host is missing, repeated or not one of ours (server.hosts)",
    Origin = "origin": "sent by a web page of another origin",
    NoToken = "no_token": "no token was sent",
    WrongToken = "wrong_token": "invalid token",
    Guessing = "guessing": "too many invalid tokens or webhook secrets from one address",
    Scope = "scope": "the token lacks the scope",
    Rate = "rate": "the rate limit of the token is reached",
    HookAddress = "hook_address": "unknown webhook address",
    HookSecret = "hook_secret": "wrong webhook secret, or unknown webhook",
    HookProof = "hook_proof": "webhook verification failed",
    HookKeys = "hook_keys": "the public keys of the service are unavailable",
    BodySize = "body_size": "the body is too large",
    BodyTime = "body_time": "the body arrives too slowly",
    BodyBudget = "body_budget": "request bodies use up server.body_budget",
    Malformed = "malformed": "malformed request",
    Path = "path": "unknown path",
    Method = "method": "method not allowed",
    ContentType = "content_type": "unsupported media type or content coding",
    Invalid = "invalid": "fields are wrong",
    Conflict = "conflict": "conflict with stored data",
    Connections = "connections": "too many connections",
    Descriptors = "descriptors": "no free file descriptors; raise LimitNOFILE",
    QueueFull = "queue_full": "the queue is full (queue.max_pending)",
    Busy = "busy": "too many writes are waiting for the disk",
    Store = "store": "the store refuses",
}

impl Why {
    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        self.words().0
    }

    /// The default reason for a status.
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

/// The name of the rejected token, an extension of responses.
#[derive(Debug, Clone)]
pub(super) struct TokenName(pub(super) String);

/// Counts and logs rejected requests. Clones share the counts.
#[derive(Debug, Clone)]
pub struct Refusals(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    metrics: Arc<Metrics>,
    logs: [LogLimit; Why::ALL.len()],
}

impl Refusals {
    /// Counts in these metrics.
    pub fn new(metrics: &Arc<Metrics>) -> Self {
        for why in Why::ALL.iter().copied() {
            metrics.refused(why.as_str(), 0);
        }
        Self(Arc::new(Shared {
            metrics: Arc::clone(metrics),
            logs: [const { LogLimit::new() }; Why::ALL.len()],
        }))
    }

    /// Counts a rejection and logs it, unless this reason was logged within the last minute; then
    /// the count is logged at the end of that minute.
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

    /// Counts a response if it has a reason.
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
    fn reasons_have_unique_labels() {
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
    async fn refusals_are_counted_by_reason() {
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
