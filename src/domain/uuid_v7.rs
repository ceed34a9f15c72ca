//! Identifiers that sort by time.

use uuid::Uuid;

use super::Timestamp;

/// A UUIDv7 (RFC 9562 §5.7): 48 bits of `now`, the rest random.
pub(crate) fn uuid_v7(now: Timestamp) -> Uuid {
    let millis = u64::try_from(now.as_millis()).unwrap_or(0);
    let mut random = [0; 10];
    fastrand::fill(&mut random);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}
