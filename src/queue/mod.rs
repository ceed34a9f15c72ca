//! The durable queue of deliveries.
//!
//! One row of `deliveries` is one delivery. Its states and transitions:
//!
//! ```text
//!        enqueue (known id or key: the earlier answer, no new row)
//!            │
//!            ▼              claim(now): new token, attempts + 1, due_at := now + lease
//!   ┌─▶ queued(due_at) ───────────────────────────────▶ sending(token, due_at = until)
//!   │      │      ▲ ▲                                     │ settle (token must match)
//!   │cancel│      │ └── RetryAt(t) / Released (attempts-1) ┤
//!   │      │      └──── lease expired: the next claim takes it ┤
//!   │      │      └──── node ended: queued again after a pause ─┤
//!   │      ▼                                               ├──▶ sent        (final)
//!   │  cancelled              suppressed (final)           └──▶ dead(reason)
//!   └───────── retry by the operator (dead or cancelled; attempts := 0)
//! ```
//!
//! `transition` computes what each of them changes in the row. `due_at` is the earliest time at
//! which the row may be claimed. Deliveries are conserved:
//! accepted is always the sum over the six states ([`Counts::balanced`]). [`Queue`] is the
//! interface; the backend is `sqlite`, whose documentation defines when data is durable.
//!
//! Verbs take the store time of [`Queue::clock`] as an argument, and leases contain store time.
//! Records and [`Filter`] are for people and contain wall time.

/// Calls a method of the backend's store.
macro_rules! on_store {
    ($queue:expr, $store:ident => $call:expr) => {
        match &*$queue.0 {
            crate::queue::Backend::Sqlite($store) => $call,
            #[cfg(feature = "postgres")]
            crate::queue::Backend::Postgres($store, _) => $call,
        }
    };
}

mod claimer;
mod counts;
pub mod doctor;
mod error;
mod held;
mod lease;
mod limit_values;
pub mod limits;
mod maintenance;
#[cfg(feature = "postgres")]
mod moved;
#[cfg(feature = "postgres")]
pub mod moving;
mod node_record;
pub mod nodes;
mod open;
mod operator;
#[cfg(feature = "postgres")]
pub mod postgres;
mod prepared;
mod reading;
mod record;
mod rendering;
mod settings;
pub mod sqlite;
mod symptom;
mod thumbnails;
#[cfg(feature = "postgres")]
mod tokens;
mod transition;
mod unmapped;
mod vault;

use std::sync::Arc;
use std::time::Duration;

pub use claimer::Claimer;
pub use counts::{CountCheck, Counts};
pub use error::{EnqueueError, ListError, OperatorError, StoreError};
pub use lease::{ClaimLimit, LEASE, Lease, SentCount, SettleError, Settled, Settlement};
pub use maintenance::{Maintenance, Retention};
pub use node_record::{NodeRecord, NodeStatus};
pub use nodes::NodesError;
pub use open::OpenError;
pub use prepared::{Enqueued, NewEvent};
pub use record::{AttemptRecord, DeliveryRecord, EventRecord, Filter, Page, PictureRecord};
#[cfg(feature = "postgres")]
pub use settings::PostgresSettings;
pub use settings::{Location, Settings};
pub use symptom::{Bilingual, Examination, Symptom, TableSize};
pub use thumbnails::ThumbnailJob;
#[cfg(feature = "postgres")]
pub use tokens::RefreshTokens;
pub use unmapped::{UnmappedPayload, UnmappedRecord};

use crate::clock::Clock;
use crate::domain::{DeliveryId, Lane, Timestamp};
use sqlite::Store;

/// Whether the queue can write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It can write.
    Ready,
    /// It cannot write, for this reason. Ends with the next successful write.
    Failing(String),
}

/// The queue. Clones share one store, which is closed with the last clone; acknowledged data is
/// kept.
///
/// Writing verbs go through one thread, which runs all waiting requests in one transaction and
/// answers after the commit. A verb whose future is dropped may still take effect.
#[derive(Debug, Clone)]
pub struct Queue(Arc<Backend>);

/// The database that keeps a queue.
#[derive(Debug)]
enum Backend {
    Sqlite(Store),
    #[cfg(feature = "postgres")]
    Postgres(postgres::Store, limits::SharedLimits),
}

impl Queue {
    /// The clock whose store time the queue uses.
    pub fn clock(&self) -> &Clock {
        on_store!(self, store => store.clock())
    }

    fn of(store: Store) -> Self {
        Self(Arc::new(Backend::Sqlite(store)))
    }

    /// Stores a group of events, all or none. They are on disk (fsynced) when this returns `Ok`.
    ///
    /// `key` is the name that the producer gives the whole group (`Idempotency-Key` or
    /// `webhook-id`), at most 200 characters, in one name space for all sources. A known key with
    /// the same events in the same order is answered with [`Enqueued::Duplicate`] of the earlier
    /// answer. So is an event whose id is known with the same content, also within the group; its
    /// key is stored too.
    ///
    /// # Errors
    /// [`EnqueueError::KeyTaken`] when the key is known with any other group,
    /// [`EnqueueError::Conflict`] when an id is known with other content;
    /// [`EnqueueError::Superseded`] when an event that it excludes is on record; [`EnqueueError::Full`]
    /// and [`EnqueueError::Busy`] ask the caller to try again later. Nothing is stored then.
    pub async fn enqueue(
        &self,
        group: Vec<NewEvent>,
        key: Option<String>,
        now: Timestamp,
    ) -> Result<Vec<Enqueued>, EnqueueError> {
        on_store!(self, store => store.enqueue(group, key, now).await)
    }

    /// Marks a mail as being rendered until the returned value is dropped. If the process dies
    /// before, [`Queue::open`] finds the mark; a mail that kills the process three times becomes
    /// dead.
    #[must_use]
    pub fn rendering(&self, id: DeliveryId) -> impl Sized + '_ {
        on_store!(self, store => store.rendering.begin(id))
    }

    /// Claims due deliveries, urgent ones first, then by due time. Each lease holds until `now +
    /// lease`.
    ///
    /// # Errors
    /// When the write fails; nothing is claimed then.
    pub async fn claim(
        &self,
        limit: ClaimLimit,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Lease>, StoreError> {
        on_store!(self, store => store.claim(limit, lease, now).await)
    }

    /// Ends leases and records their attempts and outcomes. Returns one answer for each settlement,
    /// in order.
    ///
    /// # Errors
    /// When the write fails: nothing is recorded, and the error contains the settlements.
    pub async fn settle(
        &self,
        settlements: Vec<Settlement>,
        now: Timestamp,
    ) -> Result<Vec<Settled>, SettleError> {
        on_store!(self, store => store.settle(settlements, now).await)
    }

    /// The mails handed to each server after a time at most a day ago, oldest first. They are
    /// recorded in the commit of the settlements; mails in flight when the program died count from
    /// the next start.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn send_history(&self, after: Timestamp) -> Result<Vec<SentCount>, StoreError> {
        on_store!(self, store => store.send_history(after).await)
    }

    /// The counts by state after the last commit. Does not touch the disk; in PostgreSQL, it asks the
    /// database.
    ///
    /// # Errors
    /// When the queue is closed.
    pub async fn counts(&self) -> Result<Counts, StoreError> {
        on_store!(self, store => store.counts().await)
    }

    /// Counts all rows and compares them with the stored counts.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn verify_counts(&self) -> Result<CountCheck, StoreError> {
        on_store!(self, store => store.verify_counts().await)
    }

    /// How long ago the oldest due delivery of each lane became due; zero if there is none.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn oldest_due(&self, now: Timestamp) -> Result<Vec<(Lane, Duration)>, StoreError> {
        on_store!(self, store => store.oldest_due(now).await)
    }

    /// Returns once the writer has answered, with success or not. Has no time limit.
    pub async fn ping(&self) {
        on_store!(self, store => store.ping().await);
    }

    /// The result of the last write. After a failed write, this also makes the store try again.
    pub fn health(&self) -> Health {
        on_store!(self, store => store.health())
    }

    /// Runs the waiting requests, writes everything to the database file and releases the lock.
    /// Later verbs fail with [`StoreError::Closed`].
    pub async fn close(&self) {
        self.limits().surrender().await;
        on_store!(self, store => store.close().await);
    }
}
