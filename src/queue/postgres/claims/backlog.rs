//! What this node knows of the deliveries that wait in the database, so that it asks only when there
//! may be something to claim.

use std::time::Duration;

use crate::domain::{Lane, Timestamp};
use crate::queue::ClaimLimit;

/// A value for each lane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::queue::postgres) struct Lanes<T> {
    pub(in crate::queue::postgres) urgent: T,
    pub(in crate::queue::postgres) normal: T,
}

impl<T> Lanes<T> {
    pub(in crate::queue::postgres) const fn of(&self, lane: Lane) -> &T {
        match lane {
            Lane::Urgent => &self.urgent,
            Lane::Normal => &self.normal,
        }
    }

    pub(in crate::queue::postgres) const fn of_mut(&mut self, lane: Lane) -> &mut T {
        match lane {
            Lane::Urgent => &mut self.urgent,
            Lane::Normal => &mut self.normal,
        }
    }
}

/// The lanes that a claim with this limit looks at.
const fn lanes(limit: ClaimLimit) -> &'static [Lane] {
    if limit.normal > 0 {
        Lane::ALL
    } else {
        &[Lane::Urgent]
    }
}

/// When there may be something to claim, by lane. Other nodes add deliveries, too, so this must be
/// checked after a while.
#[derive(Debug, Default)]
pub(super) struct Backlog(Lanes<Known>);

/// What is known of one lane.
#[derive(Debug)]
struct Known {
    /// The earliest time at which something may be due, as far as this node knows.
    next_due: Option<Timestamp>,
    /// When to ask the database all the same.
    poll_at: Timestamp,
    /// The earliest due time that was added since the last claim began: its snapshot may not
    /// contain it.
    added: Option<Timestamp>,
}

impl Default for Known {
    /// Nothing is known.
    fn default() -> Self {
        let past = Timestamp::from_millis(i64::MIN);
        Self {
            next_due: Some(past),
            poll_at: past,
            added: None,
        }
    }
}

impl Known {
    fn add(&mut self, due_at: Timestamp) {
        self.next_due = Some(earlier(self.next_due, due_at));
        self.added = Some(earlier(self.added, due_at));
    }

    /// When to ask the database.
    fn ask_at(&self) -> Timestamp {
        self.next_due
            .map_or(self.poll_at, |due| due.min(self.poll_at))
    }
}

fn earlier(known: Option<Timestamp>, other: Timestamp) -> Timestamp {
    known.map_or(other, |known| known.min(other))
}

impl Backlog {
    /// When a claim with this limit may find something.
    pub(super) fn ask_at(&self, limit: ClaimLimit) -> Timestamp {
        let times = lanes(limit).iter().map(|lane| self.0.of(*lane).ask_at());
        times.min().unwrap_or(Timestamp::from_millis(i64::MAX))
    }

    /// A delivery waits that may be claimed from `due_at` on.
    pub(super) fn add(&mut self, lane: Lane, due_at: Timestamp) {
        self.0.of_mut(lane).add(due_at);
    }

    /// Anything may have changed.
    pub(super) fn forget(&mut self) {
        let past = Timestamp::from_millis(i64::MIN);
        for lane in Lane::ALL {
            self.0.of_mut(*lane).add(past);
        }
    }

    /// A claim begins: what is added from now on may be missing in its answer.
    pub(super) fn begin(&mut self) {
        for lane in Lane::ALL {
            self.0.of_mut(*lane).added = None;
        }
    }

    /// A claim took everything that was due in a lane.
    pub(super) fn emptied(&mut self, lane: Lane, next_due: Option<Timestamp>, poll_at: Timestamp) {
        let known = self.0.of_mut(lane);
        known.poll_at = poll_at;
        known.next_due = known
            .added
            .map_or(next_due, |added| Some(earlier(next_due, added)));
    }

    /// More may be due in a lane than a claim took.
    pub(super) fn left(&mut self, lane: Lane) {
        let past = Timestamp::from_millis(i64::MIN);
        self.0.of_mut(lane).next_due = Some(past);
    }
}

/// How far below the oldest row seen a claim still looks: a commit may have taken a while.
const MARGIN: i64 = 60_000;
/// How long only newer rows are looked at.
const PERIOD: Duration = Duration::from_secs(10);

/// The due times below which claims do not look, in milliseconds.
///
/// Claimed rows stay in the index until no snapshot needs them. Without a bound, while somebody
/// holds a snapshot, each claim would walk over all rows that were claimed since.
#[derive(Debug, Default)]
pub(in crate::queue::postgres) struct LowerBounds {
    lows: Lanes<Option<i64>>,
    /// When claims last looked at everything, by the database's clock.
    complete_at: Option<i64>,
}

impl LowerBounds {
    /// The bounds of a claim at this time.
    pub(in crate::queue::postgres) fn get(&mut self, now: Timestamp) -> Lanes<i64> {
        let is_fresh = self.complete_at.is_some_and(|at| {
            let age = now.as_millis().saturating_sub(at);
            u64::try_from(age).is_ok_and(|age| Duration::from_millis(age) < PERIOD)
        });
        if !is_fresh {
            *self = Self::default();
        }
        Lanes {
            urgent: self.lows.urgent.unwrap_or(i64::MIN),
            normal: self.lows.normal.unwrap_or(i64::MIN),
        }
    }

    /// A claim at this time of the database has looked at a lane; nothing there is due earlier than
    /// `oldest`.
    pub(in crate::queue::postgres) fn claimed(&mut self, lane: Lane, oldest: i64, now: i64) {
        self.complete_at.get_or_insert(now);
        let low = self.lows.of_mut(lane);
        *low = Some(low.unwrap_or(i64::MIN).max(oldest.saturating_sub(MARGIN)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: ClaimLimit = ClaimLimit {
        urgent: 1,
        normal: 2,
    };
    const URGENT: ClaimLimit = ClaimLimit {
        urgent: 1,
        normal: 0,
    };

    const fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// A backlog that is known to be empty until 100.
    fn empty() -> Backlog {
        let mut backlog = Backlog::default();
        backlog.begin();
        backlog.emptied(Lane::Urgent, None, at(100));
        backlog.emptied(Lane::Normal, None, at(100));
        backlog
    }

    #[test]
    fn unknown_backlog_may_have_anything() {
        assert!(Backlog::default().ask_at(ANY) <= at(0));
        let mut backlog = empty();
        assert!(backlog.ask_at(ANY) > at(99));
        backlog.forget();
        assert!(backlog.ask_at(ANY) <= at(99));
    }

    #[test]
    fn emptied_backlog_is_asked_again_at_the_next_due_time_or_the_poll() {
        let mut backlog = empty();
        assert_eq!(backlog.ask_at(ANY), at(100));
        backlog.emptied(Lane::Normal, Some(at(50)), at(100));
        assert_eq!(backlog.ask_at(ANY), at(50));
        assert_eq!(backlog.ask_at(URGENT), at(100), "the other lane");
        backlog.add(Lane::Urgent, at(20));
        assert_eq!(backlog.ask_at(URGENT), at(20));
        backlog.left(Lane::Urgent);
        assert!(backlog.ask_at(URGENT) <= at(0));
    }

    #[test]
    fn delivery_added_during_a_claim_is_not_forgotten() {
        let mut backlog = empty();
        backlog.add(Lane::Normal, at(5));
        backlog.begin();
        backlog.add(Lane::Urgent, at(10));
        backlog.emptied(Lane::Urgent, None, at(200));
        backlog.emptied(Lane::Normal, None, at(200));
        assert_eq!(backlog.ask_at(URGENT), at(10));
        backlog.begin();
        backlog.emptied(Lane::Urgent, None, at(200));
        assert_eq!(backlog.ask_at(ANY), at(200), "claimed by now");
    }

    #[test]
    fn lower_bounds_follow_the_oldest_rows_and_end_after_a_while() {
        let mut bounds = LowerBounds::default();
        let none = Lanes {
            urgent: i64::MIN,
            normal: i64::MIN,
        };
        assert_eq!(bounds.get(at(1_000_000)), none);
        bounds.claimed(Lane::Normal, 500_000, 1_000_000);
        let expected = Lanes {
            urgent: i64::MIN,
            normal: 440_000,
        };
        assert_eq!(
            bounds.get(at(1_009_999)),
            expected,
            "one lane was looked at"
        );
        bounds.claimed(Lane::Normal, 1_009_999, 1_009_999);
        assert_eq!(bounds.get(at(1_009_999)).normal, 949_999);
        assert_eq!(bounds.get(at(1_010_000)), none);
        bounds.claimed(Lane::Normal, 500_000, 1_010_000);
        assert_eq!(bounds.get(at(900_000)), none, "after a clock step");
    }
}
