//! Identifiers that sort by time.

use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

use super::Timestamp;

/// The bits of a counter after the time, so that the identifiers that one process makes within a
/// millisecond sort by their age. It begins with a random number of one bit less.
const COUNTER_BITS: u32 = 26;
const COUNTER: u64 = (1 << COUNTER_BITS) - 1;
/// The bits of the counter before the variant; the others follow it.
const BEFORE_VARIANT: u32 = 12;
const AFTER_VARIANT: u32 = COUNTER_BITS - BEFORE_VARIANT;
const RANDOM_BITS: u32 = 48;

/// The lower bits of the last time, and the last counter.
static LAST: AtomicU64 = AtomicU64::new(0);

/// A UUIDv7 (RFC 9562 §5.7): 48 bits of `now`, a counter (§6.2, method 1) and 48 random bits.
pub(crate) fn uuid_v7(now: Timestamp) -> Uuid {
    let millis = u64::try_from(now.as_millis()).unwrap_or(0);
    let counter = count(millis);
    let random = fastrand::u64(..) >> (u64::BITS - RANDOM_BITS);
    Uuid::from_u128(
        u128::from(millis) << 80
            | 7 << 76
            | u128::from(counter >> AFTER_VARIANT) << 64
            | 2 << 62
            | u128::from(counter & ((1 << AFTER_VARIANT) - 1)) << RANDOM_BITS
            | u128::from(random),
    )
}

/// The counter of the next identifier of this millisecond.
fn count(millis: u64) -> u64 {
    let first = fastrand::u64(..) & (COUNTER >> 1);
    let next = |last: u64| {
        let counter = if last >> COUNTER_BITS == (millis << COUNTER_BITS) >> COUNTER_BITS {
            (last & COUNTER) + 1
        } else {
            first
        };
        (millis << COUNTER_BITS) | (counter & COUNTER)
    };
    let mut last = LAST.load(Ordering::Relaxed);
    loop {
        let new = next(last);
        match LAST.compare_exchange_weak(last, new, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return new & COUNTER,
            Err(other) => last = other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_sort_by_time_and_then_by_age() {
        let at = |millis| Timestamp::from_millis(millis);
        let (late, early) = (
            uuid_v7(at(1_767_225_600_001)),
            uuid_v7(at(1_767_225_600_000)),
        );
        assert!(early < late);
        for id in [early, late] {
            assert_eq!(
                (id.get_version_num(), id.get_variant()),
                (7, uuid::Variant::RFC4122)
            );
        }
        assert_eq!(late.as_u128() >> 80, 1_767_225_600_001);
        let made: Vec<_> = (0..100_000).map(|_| uuid_v7(at(5))).collect();
        assert!(made.is_sorted() && made.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
