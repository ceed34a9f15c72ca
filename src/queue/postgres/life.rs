//! One life of this node.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use crate::clock::FenceHandle;

/// One life of this node, from its registration until its lease lapses or it stops.
#[derive(Debug)]
pub(super) struct Life {
    /// Its id in `nodes`.
    pub(super) node: i64,
    /// Ends the sends of this life when its lease does.
    pub(super) fence: FenceHandle,
    /// Whether it claims nothing and accepts no events.
    pub(super) draining: AtomicBool,
    next_token: AtomicI64,
}

impl Life {
    /// Bits of a token that count the claims of one life: 17 years at 1,000 claims a second.
    const COUNTER_BITS: u32 = 40;

    pub(super) fn new(node: i64, fence: FenceHandle) -> Self {
        Self {
            node,
            fence,
            draining: AtomicBool::new(false),
            // A failover that loses commits may give the number of a node again: tokens begin
            // somewhere.
            next_token: AtomicI64::new(
                (node << Self::COUNTER_BITS) + fastrand::i64(1..1 << (Self::COUNTER_BITS - 1)),
            ),
        }
    }

    /// Fencing tokens that were never used before by any node: `number` of them, from the returned
    /// one on.
    pub(super) fn tokens(&self, number: i64) -> i64 {
        self.next_token.fetch_add(number, Ordering::Relaxed)
    }
}
