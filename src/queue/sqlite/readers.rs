//! Connections that read beside the writer, opened on demand, at most two of a kind.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use super::files::Files;
use super::read::ReadError;
use crate::queue::StoreError;

/// The most concurrent reads.
const READERS: u32 = 2;
/// SQLite instructions between two checks of the time limit: a fraction of a millisecond.
const STEPS: std::ffi::c_int = 10_000;

#[derive(Debug)]
pub(super) struct Readers {
    files: Files,
    /// How long one read may take, and how long it may wait for a connection.
    limit: Option<Duration>,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(files: Files, limit: Option<Duration>) -> Self {
        Self {
            files,
            limit,
            idle: Mutex::new(Vec::new()),
            permits: Arc::new(Semaphore::new(READERS as usize)),
        }
    }

    /// Runs a read on a blocking thread, to its end even if the future is dropped.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = self.turn().await?;
        let readers = Arc::clone(self);
        let work = move || {
            readers.files.watch.check()?;
            let kept = readers.idle().pop();
            let mut conn = kept
                .map_or_else(|| readers.files.database.reader(), Ok)
                .map_err(ReadError::from)?;
            readers.bound(&mut conn).map_err(ReadError::from)?;
            let result = read(&conn)?;
            // After an error the connection is dropped: the next read opens a new one.
            readers.idle().push(conn);
            drop(permit);
            Ok(result)
        };
        spawn_blocking(work)
            .await
            .map_err(|error| StoreError::failed("read", error))?
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let turn = Arc::clone(&self.permits).acquire_owned();
        let turn = match self.limit {
            Some(limit) => tokio::time::timeout(limit, turn)
                .await
                .map_err(|_| StoreError::Busy)?,
            None => turn.await,
        };
        turn.map_err(|_| StoreError::Closed)
    }

    /// Makes SQLite interrupt the next read at the time limit.
    fn bound(&self, conn: &mut Connection) -> rusqlite::Result<()> {
        let Some(limit) = self.limit else {
            return Ok(());
        };
        let end = Instant::now() + limit;
        conn.progress_handler(STEPS, Some(move || Instant::now() >= end))
    }

    /// Waits for running reads, closes the connections and refuses later reads.
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
