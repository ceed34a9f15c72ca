//! How many deliveries are pending, approximately: `queue.max_pending` needs no exact number.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

/// How many readings in a row are not used because this node committed something meanwhile.
const MOST_SKIPPED: u32 = 10;

/// The sum over all nodes a moment ago, and how this node has changed it since.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Without what this node has changed.
    sum: AtomicI64,
    own: AtomicI64,
    /// Readings in a row that were not used.
    skipped: AtomicU32,
}

impl Pending {
    pub(super) fn get(&self) -> u64 {
        let sum = self.sum.load(Ordering::Relaxed);
        let pending = sum.saturating_add(self.own.load(Ordering::Relaxed));
        u64::try_from(pending).unwrap_or(0)
    }

    /// This node has stored more deliveries.
    pub(super) fn accepted(&self, deliveries: u64) {
        let more = i64::try_from(deliveries).unwrap_or(i64::MAX);
        self.own.fetch_add(more, Ordering::Relaxed);
    }

    /// Deliveries have ended here.
    pub(super) fn ended(&self, deliveries: usize) {
        let fewer = i64::try_from(deliveries).unwrap_or(i64::MAX);
        self.own.fetch_sub(fewer, Ordering::Relaxed);
    }

    /// Begins to read the sum.
    pub(super) fn read(&self) -> Reading<'_> {
        Reading {
            pending: self,
            own: self.own.load(Ordering::Relaxed),
        }
    }
}

/// The sum is being read. What this node commits meanwhile may be part of it or not.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    pending: &'a Pending,
    own: i64,
}

impl Reading<'_> {
    /// The sum was read.
    pub(super) fn finish(self, sum: u64) {
        let pending = self.pending;
        let own = pending.own.load(Ordering::Relaxed);
        let is_exact = own == self.own;
        if !is_exact && pending.skipped.fetch_add(1, Ordering::Relaxed) < MOST_SKIPPED {
            return;
        }
        pending.skipped.store(0, Ordering::Relaxed);
        let sum = i64::try_from(sum).unwrap_or(i64::MAX);
        pending
            .sum
            .store(sum.saturating_sub(self.own), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sum_read_during_a_commit_is_used_only_if_there_is_no_other() {
        let pending = Pending::default();
        pending.accepted(2);
        pending.read().finish(5);
        assert_eq!(pending.get(), 5, "with those of other nodes");
        pending.accepted(1);
        pending.ended(3);
        assert_eq!(pending.get(), 3);
        let during = |sum| {
            let reading = pending.read();
            pending.accepted(1);
            reading.finish(sum);
        };
        for number in 1..=u64::from(MOST_SKIPPED) {
            during(100);
            assert_eq!(pending.get(), 3 + number);
        }
        during(100);
        assert_eq!(pending.get(), 101, "and what was stored meanwhile");
        pending.ended(1_000);
        assert_eq!(pending.get(), 0);
    }
}
