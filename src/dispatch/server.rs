//! One mail server as dispatch uses it: transport, circuit breaker and rate limit, shared with other
//! nodes or not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tracing::{debug, info};

use super::breaker::Breaker;
use super::capacity::Capacity;
use super::rate_limiter::{RateLimiter, RatePermit};
use crate::domain::{Failure, Lane, Timestamp};
use crate::queue::limits::{Probe, ServerLimits};
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
    /// Its limits over all nodes, if other nodes may use it as well.
    shared: OnceLock<ServerLimits>,
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
            shared: OnceLock::new(),
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

    /// Its limits over all nodes, if other nodes may use it as well.
    pub fn shared(&self) -> Option<&ServerLimits> {
        self.shared.get()
    }

    /// From now on, its limits hold over all nodes. Call it before its first use.
    pub fn share(&self, limits: &ServerLimits) {
        if let Some(limit) = self.rate_limit {
            self.set_rate_limiter(Arc::new(RateLimiter::shared(limit, limits)));
        }
        self.transport.permits().share();
        self.shared.get_or_init(|| limits.clone());
    }

    /// Lets a mail try the server. After a cooldown only one mail of all nodes may, as the probe.
    ///
    /// # Errors
    /// When the server may be tried, if not now.
    pub async fn admit(&self, now: Timestamp) -> Result<(), Timestamp> {
        let limit = {
            let mut breaker = self.breaker();
            breaker.admit(now)?;
            (!breaker.is_closed()).then(|| breaker.probe_limit())
        };
        let (Some(limit), Some(shared)) = (limit, self.shared()) else {
            return Ok(());
        };
        match shared.breaker().probe(limit).await {
            Probe::Granted => Ok(()),
            Probe::Closed => {
                self.breaker().succeeded();
                Ok(())
            }
            Probe::Denied => Err(self.breaker().wait_for_probe(now)),
        }
    }

    /// Records that the server has accepted a mail.
    pub fn succeeded(&self) {
        let was_closed = {
            let mut breaker = self.breaker();
            let was_closed = breaker.is_closed();
            breaker.succeeded();
            was_closed
        };
        self.publish_closed(was_closed);
    }

    /// Records a failed try. Returns the cooldown if that opened the breaker.
    pub fn failed(&self, failure: &Failure, now: Timestamp) -> Option<Duration> {
        let (cooldown, was_closed) = {
            let mut breaker = self.breaker();
            let was_closed = breaker.is_closed();
            (breaker.failed(failure.kind, now), was_closed)
        };
        match (cooldown, self.shared()) {
            (Some(cooldown), Some(shared)) => {
                shared.breaker().opened(cooldown, &failure.to_string());
            }
            _ => self.publish_closed(was_closed),
        }
        cooldown
    }

    /// Tells the other nodes if the breaker was open and is closed now.
    fn publish_closed(&self, was_closed: bool) {
        if let Some(shared) = self.shared()
            && !was_closed
            && self.breaker().is_closed()
        {
            shared.breaker().closed();
        }
    }

    /// Whether mails wait for a permit of this server rather than go to the next one: it works and
    /// has no long limit.
    pub fn is_waited_for(&self) -> bool {
        self.breaker().is_closed()
            && self
                .rate_limiter()
                .is_none_or(|rate_limiter| rate_limiter.is_waited_for())
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
            if !rate_limiter.is_unknown() {
                self.log_limit(rate, rate_limiter.is_waited_for(), more_at.since(now));
            }
        } else if capacity.normal > usize::try_from(rate.mails).unwrap_or(usize::MAX) / FREE_AGAIN {
            self.limit_logged.store(false, Ordering::Relaxed);
        }
        capacity
    }

    fn log_limit(&self, rate: RateLimit, is_waited_for: bool, wait: Duration) {
        if self.limit_logged.swap(true, Ordering::Relaxed) {
            return;
        }
        let (server, mails) = (self.transport.name(), rate.mails);
        let (period, wait) = (rate.per.as_secs(), wait.as_secs());
        if is_waited_for {
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
