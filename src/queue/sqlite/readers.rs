//! At most two connections that read beside the writer, opened when first needed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::place::Place;
use super::read::ReadError;
use crate::queue::StoreError;

/// The most reads at a time; more wait their turn.
const READERS: u32 = 2;

#[derive(Debug)]
pub(super) struct Readers {
    place: Place,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(place: Place) -> Self {
        Self { place, idle: Mutex::new(Vec::new()), permits: Arc::new(Semaphore::new(READERS as usize)) }
    }

    /// Runs a read on a thread that may block. It ends by itself even if nobody waits for it any more.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let readers = Arc::clone(self);
        let work = move || {
            let kept = readers.idle().pop();
            let conn = kept.map_or_else(|| readers.place.reader(), Ok).map_err(ReadError::from)?;
            let result = read(&conn)?;
            // After an error the connection goes: the next read begins with a fresh one.
            readers.idle().push(conn);
            drop(permit);
            Ok(result)
        };
        spawn_blocking(work).await.map_err(|error| StoreError::failed("read", error))?
    }

    /// Waits for reads under way, closes the connections, refuses later reads.
    pub(super) async fn close(&self) {
        if let Ok(_all) = self.permits.acquire_many(READERS).await {
            self.permits.close();
            self.idle().clear();
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
