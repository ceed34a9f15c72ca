//! What stands ready to deliver: the servers in order, the renderer, the retry policy.

use std::fmt;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

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

/// How many mails may be claimed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capacity {
    /// As many as there is room for.
    Unlimited,
    /// So many, by the servers' rates.
    Limited {
        /// Of either lane, at least 1.
        all: usize,
        /// Of these, at most so many of the normal lane.
        normal: usize,
        /// When there may be room for a normal mail, if there is none.
        more_at: Option<Timestamp>,
    },
    /// One, to try a server that has rested.
    Probe,
    /// None before this moment: every server rests or has reached its rate.
    AvailableAt(Timestamp),
    /// None: the switch is off, or there is no server.
    Closed,
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

    /// Moves rests and rates along with a clock that was set by so many milliseconds.
    pub fn move_along(&self, millis: i64) {
        for server in &self.servers {
            server.breaker().move_along(millis);
            if let Some(rate_limiter) = server.rate_limiter() {
                rate_limiter.move_along(millis);
            }
        }
    }

    /// Whether mails that have not begun go back into the queue.
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Whether a server has a rate limit, so that mails need tickets.
    pub fn is_rate_limited(&self) -> bool {
        self.servers
            .iter()
            .any(|server| server.limits().rate.is_some())
    }

    /// Gives each server with a rate its `rate_limiter`: the old line's, where the limit is still the same;
    /// else a new one that goes on from what is on record, and takes the mails that are under way
    /// for its own.
    pub fn rate_limiter(
        &self,
        old: Option<&Self>,
        used: &[SentCount],
        under_way: usize,
        now: Timestamp,
    ) {
        for server in &self.servers {
            let (name, Some(rate)) = (server.transport.name(), server.limits().rate) else {
                continue;
            };
            let same = old
                .and_then(|pipeline| {
                    pipeline
                        .servers
                        .iter()
                        .find(|old| old.transport.name() == name)
                })
                .and_then(Server::rate_limiter);
            let rate_limiter = same
                .filter(|rate_limiter| rate_limiter.limit() == rate)
                .map_or_else(
                    || {
                        let own = used.iter().filter(|used| {
                            used.server.as_ref().is_none_or(|server| server == name)
                        });
                        let given = own.map(|used| (used.last_at, used.mails));
                        let unsettled = (under_way > 0)
                            .then(|| (now, u32::try_from(under_way).unwrap_or(u32::MAX)));
                        Arc::new(RateLimiter::new(SlidingWindow::new(
                            rate,
                            given.chain(unsettled),
                        )))
                    },
                    Arc::clone,
                );
            server.adopt(rate_limiter);
        }
    }

    /// Says how many mails may be claimed now.
    pub fn capacity(&self, now: Timestamp) -> Capacity {
        if !self.enabled || self.servers.is_empty() {
            return Capacity::Closed;
        }
        let (mut all, mut normal, mut more_at, mut probe) =
            (0usize, 0usize, None::<Timestamp>, false);
        for server in &self.servers {
            let health = *server.breaker();
            if let Some(until) = health.closed_until(now) {
                more_at = more_at.into_iter().chain([until]).min();
                continue;
            }
            let Some(room) = server.room(now) else {
                if health.is_closed() {
                    return Capacity::Unlimited;
                }
                probe = true;
                continue;
            };
            more_at = more_at.into_iter().chain(room.more_at).min();
            if !health.is_closed() {
                probe |= room.normal > 0;
                continue;
            }
            all = all.saturating_add(usize::try_from(room.all).unwrap_or(usize::MAX));
            normal = normal.saturating_add(usize::try_from(room.normal).unwrap_or(usize::MAX));
            if server.is_waited_for() {
                break;
            }
        }
        match (all, probe, more_at) {
            (1.., ..) => Capacity::Limited {
                all,
                normal,
                more_at,
            },
            (0, true, _) => Capacity::Probe,
            (0, false, Some(until)) => Capacity::AvailableAt(until),
            (0, false, None) => Capacity::Closed,
        }
    }

    /// The servers in the order in which a mail tries them.
    pub fn order(&self, preferred_server: Option<&ServerName>) -> impl Iterator<Item = &Server> {
        let names = self.servers.iter().map(|server| &**server.transport.name());
        failover::order(names, preferred_server.map(|name| &**name))
            .filter_map(|index| self.servers.get(index))
    }

    /// Takes a permit for a mail at the server that it will try first, so that no later claim
    /// counts on it. `None` when that server has no rate, or its rate is used up after all.
    pub fn reserve(
        &self,
        preferred_server: Option<&ServerName>,
        lane: Lane,
        now: Timestamp,
    ) -> Option<RatePermit> {
        if !self.is_rate_limited() {
            return None;
        }
        for server in self.order(preferred_server) {
            if server.breaker().closed_until(now).is_some() {
                continue;
            }
            match server.permit(&mut None, lane, now) {
                Ok(permit) => return permit,
                Err(_) if server.is_waited_for() => return None,
                Err(_) => {}
            }
        }
        None
    }
}
