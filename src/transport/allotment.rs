//! How many connections to a server this process may have while other nodes use the server as well.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::domain::Lane;

/// The permits of this process, by what they are for: [`Lane::Normal`] ones are for every mail,
/// [`Lane::Urgent`] ones only for urgent mails.
#[derive(Debug, Default)]
pub(super) struct Allotment {
    parts: Mutex<Parts>,
    /// Mails that wait for a connection.
    waiting: Lanes<AtomicUsize>,
    changed: Lanes<Notify>,
}

/// One value for each lane.
#[derive(Debug, Default)]
pub(super) struct Lanes<T> {
    normal: T,
    urgent: T,
}

impl<T> Lanes<T> {
    pub(super) const fn of(&self, lane: Lane) -> &T {
        match lane {
            Lane::Normal => &self.normal,
            Lane::Urgent => &self.urgent,
        }
    }

    pub(super) const fn of_mut(&mut self, lane: Lane) -> &mut T {
        match lane {
            Lane::Normal => &mut self.normal,
            Lane::Urgent => &mut self.urgent,
        }
    }
}

pub(super) type Parts = Lanes<Part>;

/// The permits for one lane.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Part {
    /// How many there are.
    pub(super) held: usize,
    /// How many there shall be. The others are removed as soon as their mails have been sent.
    pub(super) limit: usize,
}

impl Part {
    pub(super) const fn is_over(self) -> bool {
        self.held > self.limit
    }
}

impl Allotment {
    pub(super) fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a mail as waiting until the returned value is dropped.
    pub(super) fn wait(&self, lane: Lane) -> Waiting<'_> {
        self.waiting.of(lane).fetch_add(1, Ordering::AcqRel);
        self.notify(Lane::Normal);
        self.notify(Lane::Urgent);
        Waiting {
            allotment: self,
            lane,
        }
    }

    /// How many waiting mails could use a permit for this lane.
    pub(super) fn demand(&self, lane: Lane) -> usize {
        let waiting = |lane| self.waiting.of(lane).load(Ordering::Acquire);
        match lane {
            Lane::Normal => waiting(Lane::Normal) + waiting(Lane::Urgent),
            Lane::Urgent => waiting(Lane::Urgent),
        }
    }

    pub(super) fn notify(&self, lane: Lane) {
        self.changed.of(lane).notify_one();
    }

    /// Completes when a mail has begun to wait for a permit for this lane, or when one was removed.
    pub(super) async fn changed(&self, lane: Lane) {
        self.changed.of(lane).notified().await;
    }
}

/// A mail that waits.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    allotment: &'a Allotment,
    lane: Lane,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let waiting = self.allotment.waiting.of(self.lane);
        waiting.fetch_sub(1, Ordering::AcqRel);
    }
}
