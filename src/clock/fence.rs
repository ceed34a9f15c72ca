//! The end of the right to send mails.
//!
//! A node that shares a queue may send only while its lease holds. Its end is a time since boot, since
//! that clock neither stops in a suspended machine nor can be set.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::Reading;

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
        let millis = u64::try_from(since_boot.as_millis()).unwrap_or(u64::MAX);
        self.end.store(millis, Ordering::Release);
    }

    /// The node may not send any more.
    pub fn end(&self) {
        self.end.store(0, Ordering::Release);
    }

    /// The fence of one more lease.
    pub fn fence(&self) -> Fence {
        Fence(Some(Arc::new(Lease {
            end: Arc::clone(&self.end),
            is_lost: AtomicBool::new(false),
        })))
    }

    /// Whether the node may not send.
    pub fn is_over(&self) -> bool {
        is_past(&self.end)
    }
}

/// Whether one mail may still be sent. Clones are the same fence.
#[derive(Debug, Clone, Default)]
pub struct Fence(Option<Arc<Lease>>);

#[derive(Debug)]
struct Lease {
    end: Arc<AtomicU64>,
    is_lost: AtomicBool,
}

/// The lease of the mail is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lease of this node is over, so another node may send the mail")]
pub struct FenceOver;

impl Fence {
    /// A fence without an end, for a queue that no other node shares.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Whether the mail may not be sent any more.
    pub fn is_over(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|lease| lease.is_lost.load(Ordering::Acquire) || is_past(&lease.end))
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

    /// Another node has taken the mail.
    pub fn lose(&self) {
        if let Some(lease) = &self.0 {
            lease.is_lost.store(true, Ordering::Release);
        }
    }
}

fn is_past(end: &AtomicU64) -> bool {
    let now = u64::try_from(Reading::system().since_boot.as_millis()).unwrap_or(u64::MAX);
    end.load(Ordering::Acquire) <= now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fence_is_over_when_its_time_has_passed_or_its_mail_was_lost() {
        let now = Reading::system().since_boot;
        let handle = FenceHandle::new();
        let (one, other) = (handle.fence(), handle.fence());
        assert!(one.is_over() && !Fence::none().is_over());
        handle.extend_to(now + Duration::from_mins(10));
        assert_eq!((one.check(), other.check()), (Ok(()), Ok(())));
        one.clone().lose();
        assert_eq!((one.check(), other.check()), (Err(FenceOver), Ok(())));
        handle.end();
        assert!(other.is_over() && handle.is_over());
        handle.extend_to(now);
        assert!(other.is_over());
    }
}
