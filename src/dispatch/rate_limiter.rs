//! The rate limit of one server, shared by all tasks that send to it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::capacity::Capacity;
use super::sliding_window::{self, SlidingWindow};
use crate::domain::{Lane, Timestamp};
use crate::queue::limits::{Available, RateCap, ServerLimits, SharedPermit, SharedRate};
use crate::transport::RateLimit;

/// Grants permits for the mails of one server under its rate limit.
#[derive(Debug)]
pub struct RateLimiter(Counter);

/// Who counts.
#[derive(Debug)]
enum Counter {
    /// This process, in memory.
    Local(Mutex<SlidingWindow>),
    /// The database, for all nodes.
    Shared(RateLimit, SharedRate),
}

impl RateLimiter {
    /// A rate limiter that continues from this window.
    pub const fn new(window: SlidingWindow) -> Self {
        Self(Counter::Local(Mutex::new(window)))
    }

    /// A rate limiter whose limit holds over all nodes.
    pub fn shared(limit: RateLimit, limits: &ServerLimits) -> Self {
        let cap = RateCap {
            mails: limit.mails,
            urgent: sliding_window::urgent_mails(limit.mails),
            per: limit.per,
        };
        Self(Counter::Shared(limit, limits.rate(cap)))
    }

    /// The limit that it enforces.
    pub fn limit(&self) -> RateLimit {
        match &self.0 {
            Counter::Local(window) => lock(window).limit(),
            Counter::Shared(limit, _) => *limit,
        }
    }

    /// Whether mails wait for a permit rather than go to the next server: the limit is short, or it
    /// is unknown whether it is reached.
    pub fn is_waited_for(&self) -> bool {
        sliding_window::is_short(self.limit()) || self.is_unknown()
    }

    /// Whether the database has not told how many permits are free.
    pub fn is_unknown(&self) -> bool {
        matches!(&self.0, Counter::Shared(_, rate) if rate.is_unknown())
    }

    /// How many permits are free now.
    pub fn capacity(&self, now: Timestamp) -> Capacity {
        match &self.0 {
            Counter::Local(window) => lock(window).capacity(now),
            Counter::Shared(_, rate) => {
                let Available {
                    normal,
                    all,
                    more_in,
                } = rate.available();
                Capacity {
                    all: usize::try_from(all).unwrap_or(usize::MAX),
                    normal: usize::try_from(normal).unwrap_or(usize::MAX),
                    more_at: more_in.map(|wait| now.after(sliding_window::TICK.max(wait))),
                }
            }
        }
    }

    /// Reserves a permit to send one mail. [`RatePermit::granted`] must follow before it is sent.
    ///
    /// # Errors
    /// The time to ask again if none is free.
    pub fn reserve(self: &Arc<Self>, lane: Lane, now: Timestamp) -> Result<RatePermit, Timestamp> {
        let shared = match &self.0 {
            Counter::Local(window) => {
                lock(window).reserve(lane, now)?;
                None
            }
            Counter::Shared(_, rate) => Some(rate.reserve(lane).map_err(|wait| now.after(wait))?),
        };
        Ok(RatePermit {
            rate_limiter: Arc::clone(self),
            shared,
            is_ended: false,
        })
    }
}

fn lock(window: &Mutex<SlidingWindow>) -> MutexGuard<'_, SlidingWindow> {
    window.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to send one mail to one server. Dropping it frees it for another mail.
#[derive(Debug)]
pub struct RatePermit {
    rate_limiter: Arc<RateLimiter>,
    /// Frees itself, too.
    shared: Option<SharedPermit>,
    is_ended: bool,
}

impl RatePermit {
    /// Whether this `rate_limiter` granted it.
    pub fn is_of(&self, rate_limiter: &Arc<RateLimiter>) -> bool {
        Arc::ptr_eq(&self.rate_limiter, rate_limiter)
    }

    /// Waits until the database has granted it, if that counts; at most as long as a verb of the
    /// queue takes.
    ///
    /// # Errors
    /// The time to ask again if it is not granted.
    pub async fn granted(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        match &mut self.shared {
            None => Ok(()),
            Some(shared) => shared.granted().await.map_err(|wait| now.after(wait)),
        }
    }

    /// Uses it up: the server has counted the mail.
    pub fn commit(mut self, now: Timestamp) {
        self.is_ended = true;
        match (&self.rate_limiter.0, self.shared.take()) {
            (Counter::Local(window), _) => lock(window).commit(now),
            (Counter::Shared(..), shared) => {
                if let Some(shared) = shared {
                    shared.commit();
                }
            }
        }
    }
}

impl Drop for RatePermit {
    fn drop(&mut self) {
        if let Counter::Local(window) = &self.rate_limiter.0
            && !self.is_ended
        {
            lock(window).release();
        }
    }
}
