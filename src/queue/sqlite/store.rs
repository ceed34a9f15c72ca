//! The handle of an open store.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::files::Files;
use super::readers::Readers;
use super::redact::Cursor;
use super::request::{Answer, Pending, Request};
use super::shared::Shared;
use crate::clock::Clock;
use crate::domain::Timestamp;
use crate::queue::held::HeldLeases;
use crate::queue::rendering::Rendering;
use crate::queue::{Counts, Health, StoreError};

/// How many requests may wait for the writer.
pub(super) const INBOX: usize = 4096;
/// How long a verb waits for a free place among them; producers do not wait at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// The handle of an open store: the rest of the crate holds it while the writer thread works.
///
/// Fields drop in this order: without a sender the thread ends, and then it is joined, so that the
/// lock is free once the last handle is dropped.
#[derive(Debug)]
pub(in crate::queue) struct Store {
    pub(super) inbox: mpsc::Sender<Request>,
    pub(super) readers: Arc<Readers>,
    /// Separate connections, because a list may take long.
    pub(super) lists: Arc<Readers>,
    pub(super) shared: Arc<Shared>,
    pub(super) files: Files,
    pub(super) closed: AtomicBool,
    pub(super) redact_cursor: Mutex<Cursor>,
    pub(in crate::queue) rendering: Rendering,
    pub(super) thread: Thread,
}

/// The writer thread, joined on drop.
#[derive(Debug)]
pub(super) struct Thread(pub(super) Mutex<Option<JoinHandle<()>>>);

impl Thread {
    fn take(&self) -> Option<JoinHandle<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some(thread) = self.take() {
            drop(thread.join());
        }
    }
}

/// Whether a request waits for a place in the inbox.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum IfFull {
    Wait,
    Refuse,
}

impl Store {
    /// Sends a request to the writer and waits for its answer. The input is returned with an error,
    /// unless the thread died with it.
    pub(super) async fn call<I, R>(
        &self,
        request: fn(Pending<I, R>) -> Request,
        input: I,
        now: Timestamp,
        if_full: IfFull,
    ) -> Result<R, (Option<I>, StoreError)> {
        let place = match self.reserve(if_full).await {
            Ok(place) => place,
            Err(error) => return Err((Some(input), error)),
        };
        let (pending, answer): (_, oneshot::Receiver<Answer<I, R>>) = Pending::new(input, now);
        place.send(request(pending));
        match answer.await {
            Ok(answer) => answer.map_err(|(input, error)| (Some(input), error)),
            Err(_) => Err((None, StoreError::Closed)),
        }
    }

    /// [`Store::call`] for a verb that does not need its input back.
    pub(super) async fn write<I, R>(
        &self,
        request: fn(Pending<I, R>) -> Request,
        input: I,
        now: Timestamp,
    ) -> Result<R, StoreError> {
        self.call(request, input, now, IfFull::Wait)
            .await
            .map_err(|(_, error)| error)
    }

    pub(super) async fn reserve(
        &self,
        if_full: IfFull,
    ) -> Result<mpsc::Permit<'_, Request>, StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        match self.inbox.try_reserve() {
            Ok(place) => Ok(place),
            Err(mpsc::error::TrySendError::Closed(())) => Err(StoreError::Closed),
            Err(mpsc::error::TrySendError::Full(())) if if_full == IfFull::Refuse => {
                Err(StoreError::Busy)
            }
            Err(mpsc::error::TrySendError::Full(())) => {
                match tokio::time::timeout(PATIENCE, self.inbox.reserve()).await {
                    Ok(place) => place.map_err(|_| StoreError::Closed),
                    Err(_) => Err(StoreError::Busy),
                }
            }
        }
    }

    /// The leases of a new claimer.
    #[expect(clippy::unused_self, reason = "a store of several nodes knows them")]
    pub(in crate::queue) fn held_by_claimer(&self) -> HeldLeases {
        HeldLeases::default()
    }

    pub(in crate::queue) fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    #[expect(
        clippy::unused_async,
        reason = "a database that other nodes use too has to be asked"
    )]
    pub(in crate::queue) async fn counts(&self) -> Result<Counts, StoreError> {
        if self.closed.load(Ordering::Acquire) {
            Err(StoreError::Closed)
        } else {
            Ok(self.shared.status().counts)
        }
    }

    pub(in crate::queue) fn health(&self) -> Health {
        if self.inbox.is_closed() {
            return Health::Failing(StoreError::Closed.to_string());
        }
        let failing = self.shared.status().failing.clone();
        let reason = match failing {
            Some(reason) => reason,
            None => match self.files.watch.check() {
                Ok(()) => return Health::Ready,
                Err(displaced) => displaced.to_string(),
            },
        };
        // Producers stop while the queue is not ready, so there may be no other write; a full inbox
        // needs no probe. The writer logs a displaced file when it finds it.
        drop(self.inbox.try_send(Request::Probe));
        Health::Failing(reason)
    }

    /// Completes when the writer accepts no more requests.
    pub(in crate::queue) async fn closed(&self) {
        self.inbox.closed().await;
    }

    pub(in crate::queue) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.readers.close().await;
        self.lists.close().await;
        if let Some(thread) = self.thread.take() {
            // Fails only when the thread has ended already.
            drop(self.inbox.send(Request::Stop).await);
            drop(tokio::task::spawn_blocking(move || drop(thread.join())).await);
        }
    }
}
