//! Room for large bodies: all that are on their way together stay within a bound.

use std::sync::Arc;

use axum::http::{HeaderMap, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One place, in bytes.
const PLACE: usize = 64 * 1_024;
/// How many there are: 64 MiB together.
const PLACES: usize = 1_024;

/// The room. Clones share it.
#[derive(Debug, Clone)]
pub(in crate::intake) struct Large(Arc<Semaphore>);

impl Default for Large {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(PLACES)))
    }
}

impl Large {
    /// Takes room for a body that may be `beyond` bytes larger than bodies usually are, or less when it says so itself. Nobody waits for room: its
    /// sender comes again.
    pub(super) fn place(&self, beyond: usize, headers: &HeaderMap) -> Option<OwnedSemaphorePermit> {
        let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|text| text.parse::<usize>().ok());
        let places = beyond.min(announced.unwrap_or(usize::MAX)).div_ceil(PLACE);
        Arc::clone(&self.0).try_acquire_many_owned(u32::try_from(places).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_share_a_bound_and_small_ones_need_no_room() {
        let (room, mut headers) = (Large::default(), HeaderMap::new());
        let held: Vec<_> = (0..2).map(|_| room.place(32 << 20, &headers).unwrap()).collect();
        assert!(room.place(32 << 20, &headers).is_none());
        assert!(room.place(0, &headers).is_some());
        drop(held);
        headers.insert(header::CONTENT_LENGTH, 1_000.into());
        let many: Vec<_> = (0..1_024).map(|_| room.place(32 << 20, &headers)).collect();
        assert!(many.iter().all(Option::is_some) && room.place(32 << 20, &headers).is_none());
    }
}
