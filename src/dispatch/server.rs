//! One mail server as dispatch uses it: transport, circuit breaker and rate limit.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tracing::{debug, info};

use super::capacity::Capacity;
use super::failover::Breaker;
use super::rate_limiter::{RateLimiter, RatePermit};
use crate::domain::{Lane, Timestamp};
use crate::transport::{RateLimit, Settings, Transport};

/// When to ask a server again whose rate limiter is not set yet.
const SOON: Duration = Duration::from_secs(1);
/// A reached limit is logged again only after this fraction of it was free.
const FREE_AGAIN: usize = 8;

/// The limits of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most mails in a period.
    pub rate: Option<RateLimit>,
}

impl Limits {
    /// The limits in a server's settings.
    pub fn of(settings: &Settings) -> Self {
        Self {
            rate: settings.common.rate_limit,
        }
    }
}

/// A mail server, its health and its rate limit.
#[derive(Debug)]
pub struct Server {
    /// Sends mails to it.
    pub transport: Transport,
    breaker: Mutex<Breaker>,
    limits: Limits,
    rate_limiter: OnceLock<Arc<RateLimiter>>,
    /// Whether the log says that the rate limit is reached.
    limit_logged: AtomicBool,
}

impl Server {
    /// A server. One with a rate limit gets no mails before
    /// [`set_rate_limiter`](Self::set_rate_limiter).
    pub const fn new(transport: Transport, breaker: Breaker, limits: Limits) -> Self {
        Self {
            transport,
            breaker: Mutex::new(breaker),
            limits,
            rate_limiter: OnceLock::new(),
            limit_logged: AtomicBool::new(false),
        }
    }

    /// Its health. Never held across an await.
    pub fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its limits.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Its rate limiter, if it is set.
    pub fn rate_limiter(&self) -> Option<&Arc<RateLimiter>> {
        self.rate_limiter.get()
    }

    /// Sets the rate limiter, unless it is set already.
    pub fn set_rate_limiter(&self, rate_limiter: Arc<RateLimiter>) {
        self.rate_limiter.get_or_init(|| rate_limiter);
    }

    /// Whether mails wait for a permit of this server rather than go to the next one: it works and
    /// has no long limit.
    pub fn is_waited_for(&self) -> bool {
        self.breaker().is_closed()
            && self
                .rate_limiter()
                .is_none_or(|rate_limiter| rate_limiter.is_short())
    }

    /// How many mails its rate limit allows now.
    pub fn capacity(&self, now: Timestamp) -> Capacity {
        let Some(rate) = self.limits.rate else {
            return Capacity::UNLIMITED;
        };
        let Some(rate_limiter) = self.rate_limiter() else {
            return Capacity::none_until(now.after(SOON));
        };
        let capacity = rate_limiter.capacity(now);
        if let Some(again) = capacity.more_at {
            self.log_limit(rate, rate_limiter.is_short(), again);
        } else if capacity.normal > usize::try_from(rate.mails).unwrap_or(usize::MAX) / FREE_AGAIN {
            self.limit_logged.store(false, Ordering::Relaxed);
        }
        capacity
    }

    fn log_limit(&self, rate: RateLimit, is_short: bool, again: Timestamp) {
        if self.limit_logged.swap(true, Ordering::Relaxed) {
            return;
        }
        let (server, mails, seconds) = (self.transport.name(), rate.mails, rate.per.as_secs());
        if is_short {
            debug!(%server, "rate limit of {mails} mails in {seconds} s reached until {again}; mails wait");
        } else {
            info!(%server, "rate limit of {mails} mails in {} h reached until {again}; mails go to the next server, or wait if there is none", seconds / 3600);
        }
    }

    /// A permit to send one mail: `reserved` if it is for this server, or a new one. A server
    /// without a rate limit needs none.
    ///
    /// # Errors
    /// The time to ask again if no permit is free.
    pub fn rate_permit(
        &self,
        reserved: &mut Option<RatePermit>,
        lane: Lane,
        now: Timestamp,
    ) -> Result<Option<RatePermit>, Timestamp> {
        if self.limits.rate.is_none() {
            return Ok(None);
        }
        let Some(rate_limiter) = self.rate_limiter() else {
            return Err(now.after(SOON));
        };
        match reserved.take_if(|permit| permit.is_of(rate_limiter)) {
            Some(permit) => Ok(Some(permit)),
            None => rate_limiter.reserve(lane, now).map(Some),
        }
    }
}
