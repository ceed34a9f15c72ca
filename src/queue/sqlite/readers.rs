//! Connections that read beside the writer, opened when first needed: at most two of a kind.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use super::Files;
use super::read::ReadError;
use crate::queue::StoreError;

/// The most reads at a time; more wait their turn.
const READERS: u32 = 2;
/// How many steps of SQLite's machine pass between two looks at the clock: a fraction of a
/// millisecond.
const STEPS: std::ffi::c_int = 10_000;

#[derive(Debug)]
pub(super) struct Readers {
    files: Files,
    /// How long one read may take, and how long it may wait for its turn.
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

    /// Runs a read on a thread that may block. It ends by itself even if nobody waits for it any
    /// more.
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
                .map_or_else(|| readers.files.place.reader(), Ok)
                .map_err(ReadError::from)?;
            readers.bound(&mut conn).map_err(ReadError::from)?;
            let result = read(&conn)?;
            // After an error the connection goes: the next read begins with a fresh one.
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

    /// Has SQLite break off the next read when its time is over.
    fn bound(&self, conn: &mut Connection) -> rusqlite::Result<()> {
        let Some(limit) = self.limit else {
            return Ok(());
        };
        let end = Instant::now() + limit;
        conn.progress_handler(STEPS, Some(move || Instant::now() >= end))
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
