//! One server's [`SlidingWindow`] in the hands of many tasks: who holds a [`RatePermit`] may hand over one
//! mail.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::sliding_window::{Room, SlidingWindow};
use crate::domain::{Lane, Timestamp};
use crate::transport::RateLimit;

/// The mails of one server under its rate limit, for everyone who sends to it.
#[derive(Debug)]
pub struct RateLimiter(Mutex<SlidingWindow>);

impl RateLimiter {
    /// A `rate_limiter` that goes on from this window.
    pub const fn new(window: SlidingWindow) -> Self {
        Self(Mutex::new(window))
    }

    fn window(&self) -> MutexGuard<'_, SlidingWindow> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The limit that it keeps.
    pub fn limit(&self) -> RateLimit {
        self.window().limit()
    }

    /// Whether mails wait for it rather than go to the next server.
    pub fn is_short(&self) -> bool {
        self.window().is_short()
    }

    /// Moves what it remembers along with a clock that was set by so many milliseconds.
    pub fn move_along(&self, millis: i64) {
        self.window().move_along(millis);
    }

    /// What may go now.
    pub fn room(&self, now: Timestamp) -> Room {
        self.window().room(now)
    }

    /// Asks for leave to hand over one mail.
    ///
    /// # Errors
    /// When there is none now: the moment at which to ask again.
    pub fn permit(self: &Arc<Self>, lane: Lane, now: Timestamp) -> Result<RatePermit, Timestamp> {
        self.window().take(lane, now)?;
        Ok(RatePermit(Some(Arc::clone(self))))
    }
}

/// The right to hand one mail to one server. Dropped, it is free for another mail.
#[derive(Debug)]
pub struct RatePermit(Option<Arc<RateLimiter>>);

impl RatePermit {
    /// Whether it is one of this `rate_limiter`.
    pub fn is_of(&self, rate_limiter: &Arc<RateLimiter>) -> bool {
        self.0
            .as_ref()
            .is_some_and(|own| Arc::ptr_eq(own, rate_limiter))
    }

    /// The server has heard of the mail.
    pub fn spend(mut self, now: Timestamp) {
        if let Some(rate_limiter) = self.0.take() {
            rate_limiter.window().spend(now);
        }
    }
}

impl Drop for RatePermit {
    fn drop(&mut self) {
        if let Some(rate_limiter) = self.0.take() {
            rate_limiter.window().give_back();
        }
    }
}
