//! The configured servers, renderer and policies that attempts use.

use std::fmt;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::capacity::Capacity;
use super::failover;
use super::rate_limiter::{RateLimiter, RatePermit};
use super::server::Server;
use super::sliding_window::SlidingWindow;
use super::{RetryPolicy, Settings};
use crate::domain::{Lane, Recipient, ServerName, Timestamp};
use crate::queue::SentCount;
use crate::queue::limits::SharedLimits;
use crate::render::Renderer;

/// Decides whether a recipient may be sent mail. The default allows everyone.
#[derive(Clone)]
pub struct Permitted(Arc<dyn Fn(&Recipient) -> bool + Send + Sync>);

impl Permitted {
    /// Calls `rule` in every attempt.
    pub fn by(rule: impl Fn(&Recipient) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(rule))
    }

    /// Whether mail may be sent to this recipient.
    pub fn allows(&self, recipient: &Recipient) -> bool {
        (self.0)(recipient)
    }
}

impl Default for Permitted {
    fn default() -> Self {
        Self::by(|_| true)
    }
}

impl fmt::Debug for Permitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permitted")
    }
}

/// Everything that depends on the configuration. A reload replaces it as a whole.
#[derive(Debug)]
pub struct Pipeline {
    /// The servers in the order in which they are tried. If empty, nothing is claimed.
    pub servers: Vec<Server>,
    /// Renders mails.
    pub renderer: Renderer,
    /// Decides when to retry.
    pub policy: RetryPolicy,
    /// The maximum number of concurrent attempts, at least 1.
    pub concurrency: usize,
    /// Checked in every attempt, because a reload may have removed recipients.
    pub permitted: Permitted,
    draining: CancellationToken,
    /// Its idle connections are closed.
    closed: CancellationToken,
}

impl Pipeline {
    /// A pipeline that allows all recipients.
    pub fn new(servers: Vec<Server>, renderer: Renderer, settings: &Settings) -> Self {
        Self {
            servers,
            renderer,
            policy: settings.retry.clone(),
            concurrency: settings.concurrency.max(1),
            permitted: Permitted::default(),
            draining: CancellationToken::new(),
            closed: CancellationToken::new(),
        }
    }

    /// Restricts the recipients.
    #[must_use]
    pub fn permitting(self, permitted: Permitted) -> Self {
        Self { permitted, ..self }
    }

    /// Starts no more sends and closes idle connections, within 3 s. Sends in progress continue.
    pub async fn drain(self: Arc<Self>) {
        self.draining.cancel();
        let mut closing = JoinSet::new();
        for index in 0..self.servers.len() {
            let pipeline = Arc::clone(&self);
            closing.spawn(async move {
                if let Some(server) = pipeline.servers.get(index) {
                    server.transport.close().await;
                }
            });
        }
        while closing.join_next().await.is_some() {}
        self.closed.cancel();
    }

    /// Completes when [`drain`](Self::drain) has closed the idle connections.
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Whether [`drain`](Self::drain) has closed the idle connections.
    pub fn is_closed(&self) -> bool {
        self.closed.is_cancelled()
    }

    /// Completes when [`drain`](Self::drain) is called.
    pub async fn draining(&self) {
        self.draining.cancelled().await;
    }

    /// Whether [`drain`](Self::drain) was called, so mails not sent yet return to the queue.
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Whether a server has a rate limit.
    pub fn is_rate_limited(&self) -> bool {
        self.servers
            .iter()
            .any(|server| server.rate_limit.is_some())
    }

    /// Gives every server with a rate limit its rate limiter: the `previous` pipeline's if the
    /// limit is the same, or a new one that counts the send `history` and, as if sent now, the
    /// mails that are still `unsettled`.
    pub fn set_rate_limiters(
        &self,
        previous: Option<&Self>,
        history: &[SentCount],
        unsettled: usize,
        now: Timestamp,
    ) {
        let unsettled =
            (unsettled > 0).then(|| (now, u32::try_from(unsettled).unwrap_or(u32::MAX)));
        for server in &self.servers {
            let (name, Some(rate)) = (server.transport.name(), server.rate_limit) else {
                continue;
            };
            let kept = previous
                .into_iter()
                .flat_map(|pipeline| &pipeline.servers)
                .find(|server| server.transport.name() == name)
                .and_then(Server::rate_limiter)
                .filter(|rate_limiter| rate_limiter.limit() == rate);
            let rate_limiter = kept.map_or_else(
                || {
                    let sent = history
                        .iter()
                        .filter(|sent| sent.server.as_ref().is_none_or(|server| server == name))
                        .map(|sent| (sent.last_at, sent.mails));
                    let window = SlidingWindow::new(rate, sent.chain(unsettled));
                    Arc::new(RateLimiter::new(window))
                },
                Arc::clone,
            );
            server.set_rate_limiter(rate_limiter);
        }
    }

    /// Makes the limits of the servers those over all nodes.
    pub fn share(&self, limits: &SharedLimits) {
        for server in &self.servers {
            let limits = limits.server(server.transport.name());
            server.share(&limits);
            // A server may have been paused because of settings that are better now.
            limits.breaker().try_now();
        }
    }

    /// How many mails may be claimed now. A server whose cooldown has ended is tried with one mail.
    pub fn capacity(&self, now: Timestamp) -> Capacity {
        let (mut total, mut probe) = (Capacity::NONE, false);
        for server in &self.servers {
            let breaker = *server.breaker();
            let capacity = match breaker.open_until(now) {
                Some(until) => Capacity::none_until(until),
                None => server.capacity(now),
            };
            total = total.and(if breaker.is_closed() {
                capacity
            } else {
                probe |= capacity.normal > 0;
                Capacity {
                    more_at: capacity.more_at,
                    ..Capacity::NONE
                }
            });
            if server.is_waited_for() {
                break;
            }
        }
        if total.all == 0 && probe {
            return Capacity {
                all: 1,
                normal: 1,
                more_at: None,
            };
        }
        total
    }

    /// The servers in the order in which a mail tries them.
    pub fn order(&self, preferred_server: Option<&ServerName>) -> impl Iterator<Item = &Server> {
        let names = self.servers.iter().map(|server| &**server.transport.name());
        failover::order(names, preferred_server.map(|name| &**name))
            .filter_map(|index| self.servers.get(index))
    }

    /// Reserves a permit of the server that a claimed mail will try first, so that no later claim
    /// counts on it. `None` if that server has no rate limit, or has reached it.
    pub fn reserve(
        &self,
        preferred_server: Option<&ServerName>,
        lane: Lane,
        now: Timestamp,
    ) -> Option<RatePermit> {
        for server in self.order(preferred_server) {
            if server.breaker().open_until(now).is_some() {
                continue;
            }
            match server.rate_permit(&mut None, lane, now) {
                Ok(permit) => return permit,
                Err(_) if server.is_waited_for() => return None,
                Err(_) => {}
            }
        }
        None
    }
}
