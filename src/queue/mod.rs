//! The durable queue: what was accepted stays until it has ended.
//!
//! One row of `deliveries` is one delivery; its states and the ways between them:
//!
//! ```text
//!        enqueue (a known id or key: the earlier answer, no new row)
//!            │
//!            ▼              claim(now): new token, attempts + 1, due_at := now + lease
//!   ┌─▶ queued(due_at) ───────────────────────────────▶ sending(token, due_at = until)
//!   │      │      ▲ ▲                                     │ settle (the token must match)
//!   │cancel│      │ └── RetryAt(t) / Released (attempts-1) ┤
//!   │      │      └──── lease ran out: the next claim has it ┤
//!   │      │      └──── the daemon died: again after a pause  ┤
//!   │      ▼                                               ├──▶ sent        (final)
//!   │  cancelled (final)      suppressed (final, at intake)└──▶ dead(reason) (final)
//!   └───────── retry by hand (dead or cancelled; attempts := 0)
//! ```
//!
//! `due_at` means one thing: nobody may claim the row before. Accepted deliveries are always the
//! sum over the six states ([`Counts::balanced`]). [`Queue`] is what the other rooms use; how it is
//! kept is the business of `sqlite`, whose page says what is durable when. Every verb takes the
//! time; none asks for it.

mod check_report;
mod claimer;
mod counts;
mod error;
mod lease;
mod notify;
mod open_error;
mod operator;
mod prepared;
mod record;
mod rendering;
mod settings;
mod space;
mod sqlite;
mod thumbnails;
mod unmapped;
mod upkeep;
mod vault;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use check_report::CheckReport;
pub use claimer::StandingClaim;
pub use counts::{CountCheck, Counts};
pub use error::{EnqueueError, ListError, OperatorError, SettleError, StoreError};
pub use lease::{ClaimLimit, Lease, SentCount, Settled, Settlement};
pub use open_error::{BackupError, OpenError};
pub use prepared::{Enqueued, NewEvent};
pub use record::{
    AttemptRecord, DeliveryRecord, EventRecord, Filter, Page, PictureRecord, RedactBatch,
};
pub use settings::Settings;
pub use thumbnails::PendingThumbnails;
pub use unmapped::{UnmappedPayload, UnmappedRecord};

use crate::domain::{Clock, DeliveryId, EventId, Lane, Timestamp};
use sqlite::Store;

/// Whether the store takes and keeps what it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Ready,
    /// It does not, and why. Ends by itself with the next write that succeeds.
    Failing(String),
}

/// The queue. Clones share one store; the last one that goes closes it, losing nothing that was
/// acknowledged.
///
/// Verbs that write go through one thread, which takes all that waits, writes it in one transaction
/// and answers when that is on disk. A verb whose future is dropped may still be carried out.
#[derive(Debug, Clone)]
pub struct Queue {
    store: Arc<Store>,
}

impl Queue {
    /// Opens the queue for the daemon, making directory and database if they were never there, and
    /// takes back every lease: whoever held one is dead, for the lock is ours. The server may have
    /// taken such a mail, so it rests for [`Settings::recovery_delay`], and its attempt is on record
    /// as uncertain. Blocks on the disk.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing is half-done.
    pub fn open(settings: &Settings, clock: &Clock) -> Result<Self, OpenError> {
        Store::open(settings, clock.now()).map(Self::of)
    }

    /// Opens an existing queue to change it from the command line while no daemon runs. Takes the
    /// lock too; makes no database and leaves leases as they are.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_reader(settings: &Settings) -> Result<Self, OpenError> {
        Store::open_existing(settings).map(Self::of)
    }

    /// Opens an existing queue to read it, also beside a running daemon, and keeps nobody from
    /// starting one. Verbs that write fail with [`StoreError::Closed`].
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_to_read(settings: &Settings) -> Result<Self, OpenError> {
        Store::open_to_read(settings).map(Self::of)
    }

    /// Examines an existing queue without changing it, beside a running daemon too; `copy` is a
    /// backup to be examined in its place. Takes time in proportion to its size. Blocks on the
    /// disk.
    ///
    /// # Errors
    /// When there is none to examine. What is wrong with one that can be opened is in the
    /// [`CheckReport`].
    pub fn check(settings: &Settings, copy: Option<&Path>) -> Result<CheckReport, OpenError> {
        match copy {
            Some(copy) => sqlite::check(copy, settings),
            None => sqlite::check(&sqlite::find(settings)?, settings),
        }
    }

    /// Copies an existing queue to a new file, complete as of one moment, beside a running daemon
    /// too; says what a check of the copy came to. Blocks on the disk.
    ///
    /// # Errors
    /// See [`BackupError`]; nothing of the copy is left then.
    pub fn backup(settings: &Settings, to: &Path) -> Result<CheckReport, BackupError> {
        sqlite::backup(settings, to)
    }

    /// A queue that lives in memory and is gone with its last clone; same code, same SQL.
    ///
    /// # Errors
    /// When there is no memory or no thread for it.
    pub fn in_memory(max_pending: u64) -> Result<Self, OpenError> {
        Store::in_memory(max_pending).map(Self::of)
    }

    fn of(store: Store) -> Self {
        Self {
            store: Arc::new(store),
        }
    }

    /// Takes a group of events, all or none. When this returns `Ok`, they are on disk (fsynced).
    ///
    /// `key` is the producer's name for the whole group (`Idempotency-Key` or `webhook-id`), at
    /// most 200 characters; one name space for both and for all sources. A known key with the same
    /// events in the same order makes each of them a [`Enqueued::Duplicate`] of what was answered
    /// then. So is an event whose id is known with the same content, also within the group; a key
    /// that comes with it is remembered too.
    ///
    /// # Errors
    /// [`EnqueueError::KeyTaken`] when the key is known with any other group,
    /// [`EnqueueError::Conflict`] when an id is known with other content; [`EnqueueError::Full`]
    /// and [`EnqueueError::Busy`] ask for patience; nothing was taken then.
    pub async fn enqueue(
        &self,
        group: Vec<NewEvent>,
        key: Option<String>,
        now: Timestamp,
    ) -> Result<Vec<Enqueued>, EnqueueError> {
        self.store.enqueue(group, key, now).await
    }

    /// Marks a mail as being made, until what this returns is dropped. When the process dies before
    /// that, [`Queue::open`] knows which mail it was: a mail that does this three times is given
    /// up.
    #[must_use]
    pub fn rendering(&self, id: DeliveryId) -> impl Sized + '_ {
        self.store.rendering.begin(id)
    }

    /// Takes due deliveries, urgent ones first, then by due time. Each lease holds until `now +
    /// lease`.
    ///
    /// # Errors
    /// When the store refuses; nothing is claimed then.
    pub async fn claim(
        &self,
        limit: ClaimLimit,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Lease>, StoreError> {
        self.store.claim(limit, lease, now).await
    }

    /// Ends leases: verdicts and tries go on record, one answer for each settlement in order.
    ///
    /// # Errors
    /// When the store refuses: nothing is recorded and the settlements come back.
    pub async fn settle(
        &self,
        settlements: Vec<Settlement>,
        now: Timestamp,
    ) -> Result<Vec<Settled>, SettleError> {
        self.store.settle(settlements, now).await
    }

    /// The earliest moment, `now` or later, at which a claim may find something: the first due time
    /// of what waits, or the end of a lease.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        Ok(self
            .store
            .next_due(Lane::ALL)
            .await?
            .map(|due| due.max(now)))
    }

    /// The same of one lane.
    ///
    /// # Errors
    /// As [`Queue::next_due`].
    pub async fn next_due_in(
        &self,
        lane: Lane,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let lanes = match lane {
            Lane::Urgent => &[Lane::Urgent],
            Lane::Normal => &[Lane::Normal],
        };
        Ok(self.store.next_due(lanes).await?.map(|due| due.max(now)))
    }

    /// What the servers were given after a moment at most a day ago, oldest first. It is recorded
    /// with the settlements, in the same commit; mails that were under way when the program died
    /// count from the next start on.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn send_history(&self, after: Timestamp) -> Result<Vec<SentCount>, StoreError> {
        self.store.send_history(after).await
    }

    /// Waits until something may be due that was not before: enqueued, retried, or back in the
    /// queue, and not handed to the claim that stays; or until that claim was tried and found
    /// nothing. For one waiter; a call in its absence is kept. Has no bound of its own: wait for
    /// [`Queue::next_due`] beside it.
    pub async fn wait_for_work(&self) {
        self.store.wait_for_work().await;
    }

    /// An event with its deliveries, if it is on record.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn find(&self, id: &EventId) -> Result<Option<EventRecord>, StoreError> {
        self.store.find(id.clone()).await
    }

    /// Those of these events that are on record, each with its source.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn sources_of(
        &self,
        ids: Vec<EventId>,
    ) -> Result<Vec<(EventId, String)>, StoreError> {
        self.store.sources_of(ids).await
    }

    /// A delivery with its tries, if it is on record.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn find_delivery(
        &self,
        id: DeliveryId,
    ) -> Result<Option<DeliveryRecord>, StoreError> {
        self.store.find_delivery(id).await
    }

    /// One page of deliveries, newest first; `limit` is held between 1 and 500. Deliveries that
    /// come in meanwhile do not shift later pages.
    ///
    /// # Errors
    /// When `cursor` is none that this list gave out, or the store cannot be read.
    pub async fn list(
        &self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page, ListError> {
        self.store.list(filter.clone(), cursor, limit).await
    }

    /// The numbers by state as of the last commit; touches no disk.
    ///
    /// # Errors
    /// When the queue is closed.
    #[expect(
        clippy::unused_async,
        reason = "a database that others use too will have to be asked"
    )]
    pub async fn counts(&self) -> Result<Counts, StoreError> {
        self.store.counts()
    }

    /// Counts every row and compares; takes time in proportion to the rows.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn verify_counts(&self) -> Result<CountCheck, StoreError> {
        self.store.verify_counts().await
    }

    /// For each lane, how long ago the oldest queued delivery became due; zero when nothing is due.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn oldest_due(&self, now: Timestamp) -> Result<Vec<(Lane, Duration)>, StoreError> {
        self.store.oldest_due(now).await
    }

    /// Returns as soon as the writer has answered, whatever it said; a watchdog bounds the wait.
    pub async fn ping(&self) {
        self.store.ping().await;
    }

    /// How the last write went. While it failed, asking also has the store try again.
    pub fn health(&self) -> Health {
        self.store.health()
    }

    /// Carries out what waits, writes everything into the database file, and gives the lock back.
    /// Later verbs fail with [`StoreError::Closed`].
    pub async fn close(&self) {
        self.store.close().await;
    }
}
