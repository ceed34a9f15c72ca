//! One server's [`Window`] in the hands of many tasks: who holds a [`Ticket`] may hand over one
//! mail.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::limit::{Room, Window};
use crate::domain::{Lane, Timestamp};
use crate::transport::smtp::RateLimit;

/// The mails of one server under its rate limit, for everyone who sends to it.
#[derive(Debug)]
pub struct Meter(Mutex<Window>);

impl Meter {
    /// A meter that goes on from this window.
    pub const fn new(window: Window) -> Self {
        Self(Mutex::new(window))
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The limit that it keeps.
    pub fn limit(&self) -> RateLimit {
        self.window().limit()
    }

    /// Whether mails wait for it rather than go to the next server.
    pub fn is_pace(&self) -> bool {
        self.window().is_pace()
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
    pub fn ticket(self: &Arc<Self>, lane: Lane, now: Timestamp) -> Result<Ticket, Timestamp> {
        self.window().take(lane, now)?;
        Ok(Ticket(Some(Arc::clone(self))))
    }
}

/// The right to hand one mail to one server. Dropped, it is free for another mail.
#[derive(Debug)]
pub struct Ticket(Option<Arc<Meter>>);

impl Ticket {
    /// Whether it is one of this meter.
    pub fn is_of(&self, meter: &Arc<Meter>) -> bool {
        self.0.as_ref().is_some_and(|own| Arc::ptr_eq(own, meter))
    }

    /// The server has heard of the mail.
    pub fn spend(mut self, now: Timestamp) {
        if let Some(meter) = self.0.take() {
            meter.window().spend(now);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(meter) = self.0.take() {
            meter.window().give_back();
        }
    }
}
