//! The leases that a claimer has handed out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::Timestamp;

/// The row and the token of a lease.
pub(super) type LeaseKey = (i64, u64);

/// The leases of one claimer that have not been dropped, with their ends. A lease is dropped when it
/// is settled, or when its task dies.
#[derive(Debug, Clone, Default)]
pub(super) struct HeldLeases {
    own: Leases,
    /// Those of all claimers of the store.
    all: Option<Leases>,
}

#[derive(Debug, Clone, Default)]
struct Leases(Arc<Mutex<HashMap<LeaseKey, Timestamp>>>);

impl Leases {
    fn map(&self) -> MutexGuard<'_, HashMap<LeaseKey, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HeldLeases {
    /// The leases of one more claimer, which are also among these.
    #[cfg(feature = "postgres")]
    pub(super) fn part(&self) -> Self {
        Self {
            own: Leases::default(),
            all: Some(self.own.clone()),
        }
    }

    /// Counts a lease as held until the returned value is dropped.
    pub(super) fn hold(&self, key: LeaseKey, until: Timestamp) -> Holding {
        for leases in self.lists() {
            leases.map().insert(key, until);
        }
        Holding {
            leases: self.clone(),
            key,
        }
    }

    /// How many are held.
    #[cfg(feature = "postgres")]
    pub(super) fn len(&self) -> usize {
        self.own.map().len()
    }

    pub(super) fn contains(&self, key: LeaseKey) -> bool {
        self.own.map().contains_key(&key)
    }

    /// Whether the lease is held and was renewed in time.
    #[cfg(feature = "postgres")]
    pub(super) fn holds_at(&self, key: LeaseKey, now: Timestamp) -> bool {
        self.own.map().get(&key).is_some_and(|until| *until > now)
    }

    /// The leases that end before `limit`.
    pub(super) fn ending_before(&self, limit: Timestamp) -> Vec<LeaseKey> {
        let map = self.own.map();
        let ending = map.iter().filter(|(_, until)| **until < limit);
        ending.map(|(key, _)| *key).collect()
    }

    /// Records the new end of leases. Those dropped in the meantime are ignored.
    pub(super) fn extend(&self, leases: &[LeaseKey], until: Timestamp) {
        for list in self.lists() {
            let mut map = list.map();
            for key in leases {
                map.entry(*key).and_modify(|end| *end = until);
            }
        }
    }

    fn lists(&self) -> impl Iterator<Item = &Leases> {
        [&self.own].into_iter().chain(&self.all)
    }
}

/// Part of a held lease; removes it from the held ones when dropped.
#[derive(Debug)]
pub(super) struct Holding {
    leases: HeldLeases,
    key: LeaseKey,
}

impl Drop for Holding {
    fn drop(&mut self) {
        for leases in self.leases.lists() {
            leases.map().remove(&self.key);
        }
    }
}

/// A request to extend leases until `until`.
#[derive(Debug)]
pub(super) struct Renewal {
    pub(super) leases: Vec<LeaseKey>,
    pub(super) until: Timestamp,
    pub(super) now: Timestamp,
    pub(super) held: HeldLeases,
}

impl Renewal {
    /// Records the new end after the commit.
    pub(super) fn committed(&self) {
        self.held.extend(&self.leases, self.until);
    }
}
