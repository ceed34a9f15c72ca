//! The rate limit of one server, shared by all tasks that send to it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::capacity::Capacity;
use super::sliding_window::SlidingWindow;
use crate::domain::{Lane, Timestamp};
use crate::transport::RateLimit;

/// Grants permits for the mails of one server under its rate limit.
///
/// It counts in memory. Callers see permits only, so nodes that share a database could count there
/// without a change to them.
#[derive(Debug)]
pub struct RateLimiter(Mutex<SlidingWindow>);

impl RateLimiter {
    /// A rate limiter that continues from this window.
    pub const fn new(window: SlidingWindow) -> Self {
        Self(Mutex::new(window))
    }

    fn window(&self) -> MutexGuard<'_, SlidingWindow> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The limit that it enforces.
    pub fn limit(&self) -> RateLimit {
        self.window().limit()
    }

    /// Whether mails wait when the limit is reached: see [`SlidingWindow::is_short`].
    pub fn is_short(&self) -> bool {
        self.window().is_short()
    }

    /// How many permits are free now.
    pub fn capacity(&self, now: Timestamp) -> Capacity {
        self.window().capacity(now)
    }

    /// Reserves a permit to send one mail.
    ///
    /// # Errors
    /// The time to ask again if none is free.
    pub fn reserve(self: &Arc<Self>, lane: Lane, now: Timestamp) -> Result<RatePermit, Timestamp> {
        self.window().reserve(lane, now)?;
        Ok(RatePermit(Some(Arc::clone(self))))
    }
}

/// The right to send one mail to one server. Dropping it frees it for another mail.
#[derive(Debug)]
pub struct RatePermit(Option<Arc<RateLimiter>>);

impl RatePermit {
    /// Whether this `rate_limiter` granted it.
    pub fn is_of(&self, rate_limiter: &Arc<RateLimiter>) -> bool {
        self.0
            .as_ref()
            .is_some_and(|own| Arc::ptr_eq(own, rate_limiter))
    }

    /// Uses it up: the server has counted the mail.
    pub fn commit(mut self, now: Timestamp) {
        if let Some(rate_limiter) = self.0.take() {
            rate_limiter.window().commit(now);
        }
    }
}

impl Drop for RatePermit {
    fn drop(&mut self) {
        if let Some(rate_limiter) = self.0.take() {
            rate_limiter.window().release();
        }
    }
}
