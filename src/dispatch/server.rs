//! One mail server as dispatch uses it: transport, circuit breaker and rate limit.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tracing::{debug, info};

use super::breaker::Breaker;
use super::capacity::Capacity;
use super::rate_limiter::{RateLimiter, RatePermit};
use crate::domain::{Lane, Timestamp};
use crate::transport::{RateLimit, Transport};

/// When to ask a server again whose rate limiter is not set yet.
const SOON: Duration = Duration::from_secs(1);
/// A reached limit is logged again only after this fraction of it was free.
const FREE_AGAIN: usize = 8;

/// A mail server, its health and its rate limit.
#[derive(Debug)]
pub struct Server {
    /// Sends mails to it.
    pub transport: Transport,
    /// The most mails in a period.
    pub rate_limit: Option<RateLimit>,
    breaker: Mutex<Breaker>,
    rate_limiter: OnceLock<Arc<RateLimiter>>,
    /// Whether the log says that the rate limit is reached.
    limit_logged: AtomicBool,
}

impl Server {
    /// A server. One with a rate limit gets no mails before
    /// [`set_rate_limiter`](Self::set_rate_limiter).
    pub const fn new(
        transport: Transport,
        breaker: Breaker,
        rate_limit: Option<RateLimit>,
    ) -> Self {
        Self {
            transport,
            rate_limit,
            breaker: Mutex::new(breaker),
            rate_limiter: OnceLock::new(),
            limit_logged: AtomicBool::new(false),
        }
    }

    /// Its health. Never held across an await.
    pub fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
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
        let Some(rate) = self.rate_limit else {
            return Capacity::UNLIMITED;
        };
        let Some(rate_limiter) = self.rate_limiter() else {
            return Capacity::none_until(now.after(SOON));
        };
        let capacity = rate_limiter.capacity(now);
        if let Some(more_at) = capacity.more_at {
            self.log_limit(rate, rate_limiter.is_short(), more_at.since(now));
        } else if capacity.normal > usize::try_from(rate.mails).unwrap_or(usize::MAX) / FREE_AGAIN {
            self.limit_logged.store(false, Ordering::Relaxed);
        }
        capacity
    }

    fn log_limit(&self, rate: RateLimit, is_short: bool, wait: Duration) {
        if self.limit_logged.swap(true, Ordering::Relaxed) {
            return;
        }
        let (server, mails) = (self.transport.name(), rate.mails);
        let (period, wait) = (rate.per.as_secs(), wait.as_secs());
        if is_short {
            debug!(%server, "rate limit of {mails} mails in {period} s reached; mails wait {wait} s");
        } else {
            info!(%server, "rate limit of {mails} mails in {} h reached; for {wait} s, mails go to the next server, or wait if there is none", period / 3600);
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
        if self.rate_limit.is_none() {
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
