//! How many mails a server may be given, and when the next. Pure: what it was given and the time
//! in, a number out.
//!
//! The window slides, so that a limit holds in every span of its length, not just in those that
//! begin on the minute. A mail has its place from the moment at which it may go until one span
//! after its end: wherever between the two the server counts it, it counts no more than allowed.
//! Ends that lie close together are kept as one, the latest; so a place may come free a little
//! late, never early.

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::{Lane, Timestamp};
use crate::transport::RateLimit;

/// Ends within this share of the span are kept as one.
const GRAIN: u32 = 64;
/// A limit over this span or a longer one is a quota: when it is used up, the next server takes
/// over. A shorter one is a pace, and waited for.
const LONG_LIMIT: Duration = Duration::from_hours(1);
/// When to look again while all places are held by mails under way.
const SOON: Duration = Duration::from_secs(1);
/// The smallest rate of which a part is kept free; under a smaller one a code is never far from the
/// front.
const SMALLEST_SHARED: u32 = 4;
/// A moment that the clock cuts off after the millisecond may lie this much later.
const TICK: Duration = Duration::from_millis(1);

/// How many of a rate's mails are kept for the urgent lane: one in eight, at least one of four.
fn urgent_mails(limit: u32) -> u32 {
    if limit < SMALLEST_SHARED {
        0
    } else {
        (limit / 8).max(1)
    }
}

/// What a server may still be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Mails of either lane, urgent ones first.
    pub all: u32,
    /// Of these, at most so many of the normal lane.
    pub normal: u32,
    /// When there is room for a normal mail, if there is none now.
    pub more_at: Option<Timestamp>,
}

/// The mails of one server under its rate limit.
#[derive(Debug, Clone)]
pub struct SlidingWindow {
    limit: RateLimit,
    /// What it was given within the span, oldest first.
    past: VecDeque<Bucket>,
    /// The mails in `past`.
    given: u32,
    /// Mails that may go and have not ended.
    under_way: u32,
}

/// Mails that ended close together.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    first: Timestamp,
    last: Timestamp,
    mails: u32,
}

impl SlidingWindow {
    /// A window over what a server was given before, oldest first.
    pub fn new(limit: RateLimit, earlier: impl IntoIterator<Item = (Timestamp, u32)>) -> Self {
        let mut window = Self {
            limit,
            past: VecDeque::new(),
            given: 0,
            under_way: 0,
        };
        for (at, mails) in earlier {
            window.add(at, mails);
        }
        window
    }

    /// The limit that it keeps.
    pub const fn limit(&self) -> RateLimit {
        self.limit
    }

    /// Whether mails wait for it rather than go to the next server.
    pub fn is_short(&self) -> bool {
        self.limit.per < LONG_LIMIT
    }

    /// Moves what it remembers along with a clock that was set by so many milliseconds.
    pub fn move_along(&mut self, millis: i64) {
        for given in &mut self.past {
            *given = Bucket {
                first: given.first.moved(millis),
                last: given.last.moved(millis),
                mails: given.mails,
            };
        }
    }

    /// What may go now.
    pub fn room(&mut self, now: Timestamp) -> Room {
        let (all, normal) = (self.free(Lane::Urgent, now), self.free(Lane::Normal, now));
        Room {
            all,
            normal,
            more_at: (normal == 0).then(|| self.next(Lane::Normal, now)),
        }
    }

    /// Takes a place for a mail.
    ///
    /// # Errors
    /// When there is none in this lane: the moment at which to ask again, later than `now`.
    pub fn take(&mut self, lane: Lane, now: Timestamp) -> Result<(), Timestamp> {
        if self.free(lane, now) == 0 {
            return Err(self.next(lane, now));
        }
        self.under_way += 1;
        Ok(())
    }

    /// A mail under way has ended, and the server counts it.
    pub fn spend(&mut self, now: Timestamp) {
        self.give_back();
        self.add(now, 1);
    }

    /// A mail under way has ended without the server having heard of it.
    pub fn give_back(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    fn add(&mut self, at: Timestamp, mails: u32) {
        self.given = self.given.saturating_add(mails);
        let grain = self.limit.per / GRAIN;
        match self.past.back_mut() {
            Some(given) if at.since(given.first) <= grain => {
                given.last = given.last.max(at);
                given.mails = given.mails.saturating_add(mails);
            }
            _ => self.past.push_back(Bucket {
                first: at,
                last: at,
                mails,
            }),
        }
    }

    /// How many a lane may have.
    fn most(&self, lane: Lane) -> u32 {
        match lane {
            Lane::Urgent => self.limit.mails,
            Lane::Normal => self.limit.mails - urgent_mails(self.limit.mails),
        }
    }

    fn free(&mut self, lane: Lane, now: Timestamp) -> u32 {
        self.forget(now);
        self.most(lane)
            .saturating_sub(self.given)
            .saturating_sub(self.under_way)
    }

    /// The moment at which so many have left the window that the lane has a place.
    fn next(&self, lane: Lane, now: Timestamp) -> Timestamp {
        let too_many = self
            .given
            .saturating_add(self.under_way)
            .saturating_add(1)
            .saturating_sub(self.most(lane));
        let mut gone = 0u32;
        let enough = self.past.iter().find(|given| {
            gone = gone.saturating_add(given.mails);
            gone >= too_many
        });
        enough.map_or_else(
            || now.after(SOON),
            |given| self.leaves(given).max(now.after(TICK)),
        )
    }

    fn leaves(&self, given: &Bucket) -> Timestamp {
        given.last.after(self.limit.per).after(TICK)
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some(given) = self.past.front()
            && self.leaves(given) <= now
        {
            self.given = self.given.saturating_sub(given.mails);
            self.past.pop_front();
        }
        // After the clock was set back: what seems to lie ahead was just now.
        for given in self
            .past
            .iter_mut()
            .rev()
            .take_while(|given| given.last > now)
        {
            *given = Bucket {
                first: given.first.min(now),
                last: now,
                mails: given.mails,
            };
        }
    }
}

#[cfg(test)]
mod tests;
