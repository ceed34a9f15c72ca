//! What maintenance remembers between two calls.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::mutex::lock;
use crate::domain::Timestamp;
use crate::queue::Retention;

/// When a week is tried again that could not be dropped.
const AGAIN: Duration = Duration::from_mins(5);

#[derive(Debug, Default)]
pub(super) struct Upkeep {
    pub(super) search: Search,
    /// When weeks are tried again, after one could not be dropped.
    next_weeks: Mutex<Option<Instant>>,
}

impl Upkeep {
    pub(super) fn is_time_for_weeks(&self) -> bool {
        lock(&self.next_weeks).is_none_or(|at| at <= Instant::now())
    }

    pub(super) fn put_weeks_off(&self) {
        *lock(&self.next_weeks) = Some(Instant::now() + AGAIN);
    }
}

/// The key of an event in the order of acceptance.
pub(super) type Key = (i64, Uuid);

/// How far the search for payloads has come.
#[derive(Debug, Default)]
pub(super) struct Search(Mutex<Position>);

#[derive(Debug, Default, Clone, Copy)]
struct Position {
    after: Key,
    /// The first event that had not ended when it was passed.
    skipped: Option<Key>,
    started: Option<Timestamp>,
}

impl Search {
    /// Where the search continues at `now`. After `rescan`, and after a backward clock step, it returns
    /// to the first event that it has passed with its payload.
    pub(super) fn position(&self, retention: &Retention, now: Timestamp) -> Key {
        let mut position = lock(&self.0);
        let is_current = (position.started)
            .is_some_and(|started| started <= now && now.since(started) < retention.rescan);
        if !is_current {
            let from = position.skipped.take().map(|(at, event)| before(at, event));
            position.after = from.unwrap_or(position.after);
            position.started = Some(now);
        }
        position.after
    }

    pub(super) fn advance(&self, reached: Key, skipped: Option<Key>) {
        let mut position = lock(&self.0);
        position.after = reached;
        position.skipped = position.skipped.or(skipped);
    }
}

/// The greatest key below this one.
fn before(at: i64, event: Uuid) -> Key {
    match event.as_u128().checked_sub(1) {
        Some(id) => (at, Uuid::from_u128(id)),
        None => (at - 1, Uuid::max()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_returns_to_the_first_event_that_it_passed() {
        let retention = Retention {
            deliveries: Duration::MAX,
            payloads: Duration::from_secs(5),
            rescan: Duration::from_mins(1),
        };
        let (search, event) = (Search::default(), Uuid::from_u128(7));
        let at = |second: i64| Timestamp::from_millis(second * 1_000);
        assert_eq!(search.position(&retention, at(0)), (0, Uuid::nil()));
        search.advance((10, event), Some((5, event)));
        search.advance((20, event), Some((15, event)));
        assert_eq!(search.position(&retention, at(59)), (20, event));
        assert_eq!(search.position(&retention, at(60)), (5, Uuid::from_u128(6)));
        search.advance((30, event), None);
        assert_eq!(search.position(&retention, at(120)), (30, event));
        assert_eq!(before(3, Uuid::nil()), (2, Uuid::max()));
    }
}
