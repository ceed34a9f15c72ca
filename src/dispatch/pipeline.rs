//! What stands ready to deliver: the servers in order, the renderer, the retry policy.

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
use crate::render::Renderer;

/// Says whether a recipient may be mailed; by default everybody may.
#[derive(Clone)]
pub struct Permitted(Arc<dyn Fn(&Recipient) -> bool + Send + Sync>);

impl Permitted {
    /// Asks this at every attempt.
    pub fn by(rule: impl Fn(&Recipient) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(rule))
    }

    /// Whether it may be.
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

/// Everything that an attempt needs; replaced as a whole when the configuration is read again.
#[derive(Debug)]
pub struct Pipeline {
    /// The servers in the order in which they are tried.
    pub servers: Vec<Server>,
    /// Makes mails of events.
    pub renderer: Renderer,
    /// When to try again.
    pub policy: RetryPolicy,
    /// The most attempts under way.
    pub concurrency: usize,
    /// The switch: while it is off nothing is claimed.
    pub enabled: bool,
    /// Who may be mailed. Asked again at every attempt, because a reload may have narrowed it.
    pub permitted: Permitted,
    draining: CancellationToken,
}

impl Pipeline {
    /// Puts servers, renderer and settings together.
    pub fn new(
        servers: Vec<Server>,
        renderer: Renderer,
        settings: &Settings,
        enabled: bool,
    ) -> Self {
        let (policy, concurrency, draining) = (
            settings.retry.clone(),
            settings.concurrency.max(1),
            CancellationToken::new(),
        );
        let permitted = Permitted::default();
        Self {
            servers,
            renderer,
            policy,
            concurrency,
            enabled,
            permitted,
            draining,
        }
    }

    /// The same, mailing only those whom `permitted` allows.
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
    }

    /// Whether mails that have not begun go back into the queue.
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Whether a server has a rate limit.
    pub fn is_rate_limited(&self) -> bool {
        self.servers
            .iter()
            .any(|server| server.limits().rate.is_some())
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
            let (name, Some(rate)) = (server.transport.name(), server.limits().rate) else {
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

    /// How many mails may be claimed now. A server whose cooldown has ended is tried with one mail.
    pub fn capacity(&self, now: Timestamp) -> Capacity {
        let mut total = Capacity::NONE;
        if !self.enabled {
            return total;
        }
        let mut probe = false;
        for server in &self.servers {
            let breaker = *server.breaker();
            let capacity = match breaker.closed_until(now) {
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
            if server.breaker().closed_until(now).is_some() {
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
