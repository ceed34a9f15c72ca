//! The end of the right to send mails.
//!
//! A node that shares a queue may send only while its lease holds. Its end is a time since boot, since
//! that clock neither stops in a suspended machine nor can be set.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::step_detector::since_boot;

/// Ends the sends of a node together. Clones are the same handle.
#[derive(Debug, Clone, Default)]
pub struct FenceHandle {
    /// Milliseconds since boot.
    end: Arc<AtomicU64>,
}

impl FenceHandle {
    /// A handle whose fences are over until the first [`FenceHandle::extend_to`].
    pub fn new() -> Self {
        Self::default()
    }

    /// The node may send until this time since boot.
    pub fn extend_to(&self, since_boot: Duration) {
        self.end.store(millis(since_boot), Ordering::Release);
    }

    /// The node may not send any more.
    pub fn end(&self) {
        self.end.store(0, Ordering::Release);
    }

    /// How long the node may still send.
    pub fn left(&self) -> Duration {
        let end = Duration::from_millis(self.end.load(Ordering::Acquire));
        end.saturating_sub(since_boot())
    }

    /// The fence of one more lease.
    pub fn fence(&self) -> Fence {
        Fence(Some(Arc::clone(&self.end)))
    }

    /// Whether the node may not send.
    pub fn is_over(&self) -> bool {
        is_past(&self.end, millis(since_boot()))
    }
}

/// Whether one mail may still be sent. Clones are the same fence.
#[derive(Debug, Clone, Default)]
pub struct Fence(Option<Arc<AtomicU64>>);

/// The lease of the mail is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lease of this node is over, so another node may send the mail")]
pub struct FenceOver;

impl Fence {
    /// A fence without an end, for a queue that no other node shares.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Whether the mail may not be sent any more. Cheap: it is asked before each write to a server.
    pub fn is_over(&self) -> bool {
        // Without an end, the clock is not read.
        self.0
            .as_ref()
            .is_some_and(|end| is_past(end, millis(since_boot())))
    }

    /// Fails when the mail may not be sent any more.
    ///
    /// # Errors
    /// [`FenceOver`].
    pub fn check(&self) -> Result<(), FenceOver> {
        if self.is_over() {
            Err(FenceOver)
        } else {
            Ok(())
        }
    }
}

fn is_past(end: &AtomicU64, now: u64) -> bool {
    end.load(Ordering::Acquire) <= now
}

fn millis(since_boot: Duration) -> u64 {
    u64::try_from(since_boot.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_over_at(fence: &Fence, now: u64) -> bool {
        fence.0.as_ref().is_some_and(|end| is_past(end, now))
    }

    #[test]
    fn fence_is_over_from_its_end_until_it_is_extended() {
        let handle = FenceHandle::new();
        let fence = handle.fence();
        assert!(is_over_at(&fence, 0), "not extended yet");
        handle.extend_to(Duration::from_secs(25));
        let readings = [0, 24_999, 25_000, 3_600_000];
        assert_eq!(
            readings.map(|now| is_over_at(&fence, now)),
            [false, false, true, true]
        );
        handle.extend_to(Duration::from_secs(30));
        assert!(!is_over_at(&fence, 25_000) && is_over_at(&fence, 30_000));
        handle.clone().end();
        assert!(is_over_at(&fence, 0) && is_over_at(&handle.fence(), 0));
    }

    #[test]
    fn fence_reads_the_time_since_boot() {
        let handle = FenceHandle::new();
        let fence = handle.fence();
        let now = since_boot();
        handle.extend_to(now + Duration::from_hours(1));
        assert_eq!((fence.check(), handle.is_over()), (Ok(()), false));
        handle.extend_to(now);
        assert_eq!((fence.check(), handle.is_over()), (Err(FenceOver), true));
    }

    #[test]
    fn queue_that_no_other_node_shares_has_no_end() {
        let fence = Fence::none();
        assert_eq!(fence.check(), Ok(()));
    }
}
