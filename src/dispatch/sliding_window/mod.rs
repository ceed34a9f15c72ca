//! How many mails a server may be sent, and when the next one. Pure: takes the time and what was
//! sent, returns numbers.
//!
//! The window slides, so a limit holds in every period of its length, not only in those that start
//! on the minute. A mail counts from the moment its permit is reserved until one period after it
//! was sent: at whichever moment in between the server counts it, the server sees no more than the
//! limit. Mails that were sent close together share one bucket, which expires with the last of
//! them, so a permit may become free a little late but never early.

use std::collections::VecDeque;
use std::time::Duration;

use super::capacity::Capacity;
use crate::domain::{Lane, Timestamp};
use crate::transport::RateLimit;

/// Mails sent within this fraction of the period share a bucket.
const BUCKETS: u32 = 64;
/// Limits per this period or a longer one are long limits.
const LONG_LIMIT: Duration = Duration::from_hours(1);
/// When to check again while mails that are being sent hold all permits.
const SOON: Duration = Duration::from_secs(1);
/// The smallest limit with a share reserved for urgent mails. Under a smaller one, an urgent mail is
/// soon the next to be sent in any case.
const SMALLEST_SHARED: u32 = 4;
/// Timestamps are cut off after the millisecond, so the real time may be this much later.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// Whether mails wait when this limit is reached. With a long limit they go to the next server.
pub(super) fn is_short(limit: RateLimit) -> bool {
    limit.per < LONG_LIMIT
}

/// How many of a limit's mails are reserved for the urgent lane: one in eight, at least one of four.
pub(super) fn urgent_mails(limit: u32) -> u32 {
    if limit < SMALLEST_SHARED {
        0
    } else {
        (limit / 8).max(1)
    }
}

/// The mails that count against one server's rate limit.
#[derive(Debug, Clone)]
pub struct SlidingWindow {
    limit: RateLimit,
    /// Mails sent within the period, oldest first.
    buckets: VecDeque<Bucket>,
    /// The number of mails in `buckets`.
    sent: u32,
    /// Permits in use.
    reserved: u32,
}

/// Mails sent close together.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    first: Timestamp,
    last: Timestamp,
    mails: u32,
}

impl SlidingWindow {
    /// A window that counts the mails of the `history`, which is sorted by time.
    pub fn new(limit: RateLimit, history: impl IntoIterator<Item = (Timestamp, u32)>) -> Self {
        let mut window = Self {
            limit,
            buckets: VecDeque::new(),
            sent: 0,
            reserved: 0,
        };
        for (at, mails) in history {
            window.add(at, mails);
        }
        window
    }

    /// The limit that it enforces.
    pub const fn limit(&self) -> RateLimit {
        self.limit
    }

    /// How many permits are free now.
    pub fn capacity(&mut self, now: Timestamp) -> Capacity {
        let normal = self.free(Lane::Normal, now);
        Capacity {
            all: usize::try_from(self.free(Lane::Urgent, now)).unwrap_or(usize::MAX),
            normal: usize::try_from(normal).unwrap_or(usize::MAX),
            more_at: (normal == 0).then(|| self.next_free(Lane::Normal, now)),
        }
    }

    /// Reserves a permit for a mail. [`commit`](Self::commit) or [`release`](Self::release) ends
    /// it.
    ///
    /// # Errors
    /// The time to ask again, later than `now`, if no permit is free for this lane.
    pub fn reserve(&mut self, lane: Lane, now: Timestamp) -> Result<(), Timestamp> {
        if self.free(lane, now) == 0 {
            return Err(self.next_free(lane, now));
        }
        self.reserved += 1;
        Ok(())
    }

    /// Ends a permit whose mail the server has counted.
    pub fn commit(&mut self, now: Timestamp) {
        self.release();
        self.add(now, 1);
    }

    /// Ends a permit whose mail the server has not counted.
    pub fn release(&mut self) {
        self.reserved = self.reserved.saturating_sub(1);
    }

    fn add(&mut self, at: Timestamp, mails: u32) {
        self.sent = self.sent.saturating_add(mails);
        let width = self.limit.per / BUCKETS;
        match self.buckets.back_mut() {
            Some(bucket) if at.since(bucket.first) <= width => {
                bucket.last = bucket.last.max(at);
                bucket.mails = bucket.mails.saturating_add(mails);
            }
            _ => self.buckets.push_back(Bucket {
                first: at,
                last: at,
                mails,
            }),
        }
    }

    /// The limit for a lane.
    fn lane_limit(&self, lane: Lane) -> u32 {
        match lane {
            Lane::Urgent => self.limit.mails,
            Lane::Normal => self.limit.mails - urgent_mails(self.limit.mails),
        }
    }

    fn free(&mut self, lane: Lane, now: Timestamp) -> u32 {
        self.expire(now);
        self.lane_limit(lane)
            .saturating_sub(self.sent)
            .saturating_sub(self.reserved)
    }

    /// When enough mails have left the window for the lane to have a free permit.
    fn next_free(&self, lane: Lane, now: Timestamp) -> Timestamp {
        let excess = self
            .sent
            .saturating_add(self.reserved)
            .saturating_add(1)
            .saturating_sub(self.lane_limit(lane));
        let mut expired = 0u32;
        let last = self.buckets.iter().find(|bucket| {
            expired = expired.saturating_add(bucket.mails);
            expired >= excess
        });
        last.map_or_else(
            || now.after(SOON),
            |bucket| self.expiry(bucket).max(now.after(TICK)),
        )
    }

    fn expiry(&self, bucket: &Bucket) -> Timestamp {
        bucket.last.after(self.limit.per).after(TICK)
    }

    fn expire(&mut self, now: Timestamp) {
        while let Some(bucket) = self.buckets.front()
            && self.expiry(bucket) <= now
        {
            self.sent = self.sent.saturating_sub(bucket.mails);
            self.buckets.pop_front();
        }
        // Versions without store time recorded times that are in the future after a backward clock
        // step. They count as now.
        for bucket in self
            .buckets
            .iter_mut()
            .rev()
            .take_while(|bucket| bucket.last > now)
        {
            bucket.first = bucket.first.min(now);
            bucket.last = now;
        }
    }
}

#[cfg(test)]
mod tests;
