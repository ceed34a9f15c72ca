//! One mail server as dispatch sees it: the way there, its health, its connections and its rate.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::{debug, info};

use super::failover::Breaker;
use super::rate_limiter::{RateLimiter, RatePermit};
use super::sliding_window::{Room, urgent_share};
use crate::domain::{Lane, Timestamp};
use crate::transport::{RateLimit, Settings, Transport};

/// How long a mail waits for a connection before it is given back to the queue.
const CONNECTION_WAIT: Duration = Duration::from_mins(1);
/// When to look again at a server of which nothing better is known.
const SOON: Duration = Duration::from_secs(1);
/// A limit that was reached is told again once so much of it has been free: this share.
const EASED: u32 = 8;

/// What a server may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most connections at a time, at least 1.
    pub connections: usize,
    /// The most mails in a span of time.
    pub rate: Option<RateLimit>,
}

impl Limits {
    /// The limits among a server's settings.
    pub fn of(settings: &Settings) -> Self {
        Self {
            connections: settings.common.max_connections,
            rate: settings.common.rate_limit,
        }
    }
}

/// A mail server and its health.
#[derive(Debug)]
pub struct Server {
    /// How mails get there.
    pub transport: Transport,
    breaker: Mutex<Breaker>,
    limits: Limits,
    /// The connections that normal mails may have; closed when no further mail may begin.
    connections: Semaphore,
    rate_limiter: OnceLock<Arc<RateLimiter>>,
    /// Whether it was said that the limit is reached.
    limit_logged: AtomicBool,
}

/// A mail's place at a server, until it is dropped; an urgent mail needs none.
pub type ConnectionPermit<'a> = Option<SemaphorePermit<'a>>;

impl Server {
    /// A server in use. One with a rate takes mails once it has a `rate_limiter`.
    pub fn new(transport: Transport, breaker: Breaker, limits: Limits) -> Self {
        let connections = limits
            .connections
            .saturating_sub(urgent_share(limits.connections))
            .clamp(1, Semaphore::MAX_PERMITS);
        Self {
            transport,
            breaker: Mutex::new(breaker),
            limits,
            connections: Semaphore::new(connections),
            rate_limiter: OnceLock::new(),
            limit_logged: AtomicBool::new(false),
        }
    }

    /// Its health, for a look or a note; never held across a wait.
    pub fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it may be given.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What counts its mails, once there is one.
    pub fn rate_limiter(&self) -> Option<&Arc<RateLimiter>> {
        self.rate_limiter.get()
    }

    /// Counts its mails by this `rate_limiter` from now on. The first one stays.
    pub fn adopt(&self, rate_limiter: Arc<RateLimiter>) {
        self.rate_limiter.get_or_init(|| rate_limiter);
    }

    /// Whether a mail waits for this server's rate rather than go to the next one: it is in use,
    /// and its limit is a pace.
    pub fn is_waited_for(&self) -> bool {
        self.breaker().is_closed()
            && self
                .rate_limiter()
                .is_none_or(|rate_limiter| rate_limiter.is_short())
    }

    /// What may go to it by its rate; `None` is any number.
    pub fn room(&self, now: Timestamp) -> Option<Room> {
        let rate = self.limits.rate?;
        let Some(rate_limiter) = self.rate_limiter() else {
            return Some(Room {
                all: 0,
                normal: 0,
                more_at: Some(now.after(SOON)),
            });
        };
        let room = rate_limiter.room(now);
        if room.normal == 0 && !self.limit_logged.swap(true, Ordering::Relaxed) {
            let (server, again) = (self.transport.name(), room.more_at.unwrap_or(now));
            if rate_limiter.is_short() {
                debug!(%server, "the rate limit of {} in {} s is reached until {again}; mails wait", rate.mails, rate.per.as_secs());
            } else {
                info!(%server, "the rate limit of {} in {} h is reached until {again}; mails go to the next server, or wait where there is none", rate.mails, rate.per.as_secs() / 3600);
            }
        } else if room.normal > rate.mails / EASED {
            self.limit_logged.store(false, Ordering::Relaxed);
        }
        Some(room)
    }

    /// Leave to hand over one mail: the reserved one, if it is for this server, else a new one;
    /// none is needed without a rate.
    ///
    /// # Errors
    /// When its rate gives no leave now: the moment at which to ask again.
    pub fn permit(
        &self,
        reserved: &mut Option<RatePermit>,
        lane: Lane,
        now: Timestamp,
    ) -> Result<Option<RatePermit>, Timestamp> {
        match (self.limits.rate, self.rate_limiter()) {
            (None, _) => Ok(None),
            (Some(_), None) => Err(now.after(SOON)),
            (Some(_), Some(rate_limiter))
                if reserved
                    .as_ref()
                    .is_some_and(|permit| permit.is_of(rate_limiter)) =>
            {
                Ok(reserved.take())
            }
            (Some(_), Some(rate_limiter)) => rate_limiter.permit(lane, now).map(Some),
        }
    }

    /// Waits for a connection that this lane may have: normal mails leave one in eight, and always
    /// the last of several, to urgent ones. `None` when there is none within a minute, or no
    /// further mail may begin.
    pub async fn acquire_connection(&self, lane: Lane) -> Option<ConnectionPermit<'_>> {
        if lane == Lane::Urgent {
            return Some(None);
        }
        if let Ok(connection) = self.connections.try_acquire() {
            return Some(Some(connection));
        }
        let waited = tokio::time::timeout(CONNECTION_WAIT, self.connections.acquire()).await;
        waited.ok().and_then(Result::ok).map(Some)
    }

    /// Lets no further mail begin and closes idle connections, which takes 3 s at most.
    pub async fn close(&self) {
        self.connections.close();
        self.transport.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::memory::Memory;

    fn server(connections: usize) -> Server {
        let limits = Limits {
            connections,
            rate: None,
        };
        Server::new(
            Transport::Memory(Memory::new("a")),
            Breaker::new(SOON, SOON),
            limits,
        )
    }

    #[tokio::test(start_paused = true)]
    async fn normal_mails_leave_the_last_of_several_connections_to_urgent_ones() {
        for (connections, normal) in [(1, 1), (2, 1), (4, 3), (16, 14)] {
            let server = server(connections);
            let mut permits = Vec::new();
            for _ in 0..normal {
                permits.push(server.acquire_connection(Lane::Normal).await.unwrap());
            }
            let waited = tokio::time::Instant::now();
            assert!(
                server.acquire_connection(Lane::Normal).await.is_none(),
                "{connections}: given back to the queue"
            );
            assert_eq!(waited.elapsed(), CONNECTION_WAIT);
            assert!(
                server.acquire_connection(Lane::Urgent).await.is_some(),
                "{connections}"
            );
            permits.pop();
            assert!(
                server.acquire_connection(Lane::Normal).await.is_some(),
                "{connections}"
            );
        }
    }

    #[tokio::test]
    async fn who_waits_for_a_connection_is_sent_away_when_no_further_mail_may_begin() {
        let server = Arc::new(server(2));
        let _taken = server.acquire_connection(Lane::Normal).await.unwrap();
        let waiting = tokio::spawn({
            let server = Arc::clone(&server);
            async move { server.acquire_connection(Lane::Normal).await.is_none() }
        });
        tokio::task::yield_now().await;
        server.close().await;
        assert!(waiting.await.unwrap());
    }
}
