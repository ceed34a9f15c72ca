//! The leases that a claimer has handed out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::Timestamp;

/// The row and the token of a lease.
pub(super) type LeaseKey = (i64, u64);

/// The leases of one claimer that have not been dropped, with their ends. A lease is dropped when it
/// is settled, or when its task dies.
#[derive(Debug, Clone, Default)]
pub(super) struct HeldLeases(Arc<Mutex<HashMap<LeaseKey, Timestamp>>>);

impl HeldLeases {
    /// Counts a lease as held until the returned value is dropped.
    pub(super) fn hold(&self, key: LeaseKey, until: Timestamp) -> Holding {
        self.map().insert(key, until);
        Holding {
            leases: self.clone(),
            key,
        }
    }

    /// How many are held.
    #[cfg(feature = "postgres")]
    pub(super) fn len(&self) -> usize {
        self.map().len()
    }

    pub(super) fn contains(&self, key: LeaseKey) -> bool {
        self.map().contains_key(&key)
    }

    /// Whether the lease is held and was renewed in time.
    #[cfg(feature = "postgres")]
    pub(super) fn holds_at(&self, key: LeaseKey, now: Timestamp) -> bool {
        self.map().get(&key).is_some_and(|until| *until > now)
    }

    /// The leases that end before `limit`.
    pub(super) fn ending_before(&self, limit: Timestamp) -> Vec<LeaseKey> {
        let map = self.map();
        let ending = map.iter().filter(|(_, until)| **until < limit);
        ending.map(|(key, _)| *key).collect()
    }

    /// Records the new end of leases. Those dropped in the meantime are ignored.
    fn extend(&self, leases: &[LeaseKey], until: Timestamp) {
        let mut map = self.map();
        for key in leases {
            map.entry(*key).and_modify(|end| *end = until);
        }
    }

    fn map(&self) -> MutexGuard<'_, HashMap<LeaseKey, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.leases.map().remove(&self.key);
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
