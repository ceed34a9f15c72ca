//! One mail server as dispatch uses it: transport, circuit breaker and rate limit.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tracing::{debug, info};

use super::failover::Breaker;
use super::rate_limiter::{RateLimiter, RatePermit};
use super::sliding_window::Room;
use crate::domain::{Lane, Timestamp};
use crate::transport::{RateLimit, Settings, Transport};

/// When to look again at a server of which nothing better is known.
const SOON: Duration = Duration::from_secs(1);
/// A limit that was reached is told again once so much of it has been free: this share.
const EASED: u32 = 8;

/// What a server may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most mails in a span of time.
    pub rate: Option<RateLimit>,
}

impl Limits {
    /// The limits among a server's settings.
    pub fn of(settings: &Settings) -> Self {
        Self {
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
    rate_limiter: OnceLock<Arc<RateLimiter>>,
    /// Whether it was said that the limit is reached.
    limit_logged: AtomicBool,
}

impl Server {
    /// A server in use. One with a rate takes mails once it has a `rate_limiter`.
    pub fn new(transport: Transport, breaker: Breaker, limits: Limits) -> Self {
        Self {
            transport,
            breaker: Mutex::new(breaker),
            limits,
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
}
