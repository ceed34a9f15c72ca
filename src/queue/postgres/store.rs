//! The handle of an open store, and what its tasks share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::claims::Claims;
use super::connector::Connector;
pub(super) use super::life::Life;
pub(super) use super::mutex::lock;
use super::notifier::Notifier;
use super::pace::Pace;
use super::pending::Pending;
use super::pool::Pool;
use super::upkeep::Upkeep;
use super::waiting::Intake;
use crate::clock::Clock;
use crate::domain::Timestamp;
use crate::queue::held::HeldLeases;
use crate::queue::rendering::Rendering;
use crate::queue::vault::Vault;
use crate::queue::{Health, Settings, StoreError};

/// Connections for each kind of work. With the heartbeat and LISTEN, a node has at most eight.
pub(super) const INTAKE: u8 = 2;
const WORK: u8 = 2;
const READ: u8 = 2;

/// The handle of an open store. Its tasks end with it.
#[derive(Debug)]
pub(in crate::queue) struct Store {
    pub(super) shared: Arc<Shared>,
    pub(super) intake: Intake,
    pub(in crate::queue) rendering: Rendering,
    pub(super) tasks: Mutex<Vec<JoinHandle<()>>>,
    pub(super) closed: CancellationToken,
}

/// What the handle and the tasks of a store share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) clock: Clock,
    pub(super) connector: Arc<Connector>,
    /// Enqueues.
    pub(super) intake: Pool,
    /// Claims, settlements and other writes.
    pub(super) work: Pool,
    /// Records and lists.
    pub(super) reads: Pool,
    /// Known once the database has been reached.
    pub(super) vault: OnceLock<Vault>,
    /// The current life of this node; none before it is registered and after it has lapsed.
    pub(super) life: ArcSwapOption<Life>,
    /// The leases that this node holds, of all claimers.
    pub(super) held: HeldLeases,
    pub(super) claims: Claims,
    /// Tokens of claims whose answer was lost.
    pub(super) lost: LostTokens,
    pub(super) pending: Pending,
    pub(super) notify: Notifier,
    /// The name of this node.
    pub(super) name: String,
    pub(super) pace: Pace,
    /// How many other nodes were alive a moment ago.
    pub(super) others: AtomicUsize,
    /// Asks for a heartbeat at once.
    pub(super) beat_now: Notify,
    /// Why the node cannot work although the database answers, for example another node's name.
    pub(super) trouble: Mutex<Option<String>>,
    /// Notified when a thumbnail job is added here.
    pub(super) thumbnails: Notify,
    pub(super) upkeep: Upkeep,
}

impl Shared {
    pub(super) fn new(
        settings: &Settings,
        connector: Arc<Connector>,
        clock: &Clock,
        name: String,
        pace: Pace,
    ) -> Self {
        let pool = |size, first| Pool::new(Arc::clone(&connector), size, first);
        let writers = i16::from(INTAKE);
        Self {
            settings: settings.clone(),
            clock: clock.clone(),
            intake: pool(INTAKE, 0),
            work: pool(WORK, writers),
            reads: pool(READ, writers + i16::from(WORK)),
            vault: OnceLock::new(),
            life: ArcSwapOption::empty(),
            held: HeldLeases::default(),
            claims: Claims::new(clock),
            lost: LostTokens::default(),
            pending: Pending::default(),
            notify: Notifier::default(),
            name,
            pace,
            others: AtomicUsize::new(0),
            beat_now: Notify::new(),
            trouble: Mutex::default(),
            thumbnails: Notify::new(),
            upkeep: Upkeep::default(),
            connector,
        }
    }

    /// The injected time of a test; `None` where the time is that of the database.
    pub(super) fn given(&self, now: Timestamp) -> Option<i64> {
        matches!(self.clock, Clock::Manual { .. }).then(|| now.as_millis())
    }

    /// When this node's clock will show what the database's shows at `moment`; it showed `now` a
    /// moment ago.
    pub(super) fn local(&self, moment: Timestamp, now: Timestamp) -> Timestamp {
        match self.given(moment) {
            Some(_) => moment,
            None => {
                let wait = moment.as_millis().saturating_sub(now.as_millis());
                self.clock.now().shifted(wait)
            }
        }
    }

    /// The node whose counts a verb changes that does not need a life.
    pub(super) fn node(&self) -> i64 {
        self.life.load().as_ref().map_or(0, |life| life.node)
    }

    /// The current life, for a verb that needs it. Fails when its lease is over.
    pub(super) fn life(&self) -> Result<Arc<Life>, StoreError> {
        self.life
            .load_full()
            .filter(|life| !life.fence.is_over())
            .ok_or_else(|| StoreError::unavailable(NotReady(self.why())))
    }

    pub(super) fn vault(&self) -> Result<&Vault, StoreError> {
        self.vault
            .get()
            .ok_or_else(|| StoreError::unavailable(NotReady(self.why())))
    }

    /// Fails while events are refused: this node has no life, or is draining.
    pub(super) fn accepting(&self) -> Result<(), StoreError> {
        if self.life()?.draining.load(Ordering::Acquire) {
            return Err(StoreError::Draining);
        }
        match self.obstacle() {
            Some(obstacle) => Err(StoreError::unavailable(NotReady(obstacle))),
            None => Ok(()),
        }
    }

    /// Records what a person must mend, and logs it once.
    pub(super) fn set_trouble(&self, reason: Option<String>) {
        let mut trouble = lock(&self.trouble);
        if *trouble == reason {
            return;
        }
        match &reason {
            Some(reason) => tracing::error!("this node cannot work: {reason}"),
            None => tracing::info!("this node can work again"),
        }
        *trouble = reason;
    }

    /// What keeps this node from working, if it is known.
    fn obstacle(&self) -> Option<String> {
        let trouble = lock(&self.trouble).clone();
        trouble.or_else(|| self.connector.outage())
    }

    /// Why the store cannot work at the moment.
    fn why(&self) -> String {
        self.obstacle()
            .unwrap_or_else(|| "the node is registering at the database".to_owned())
    }
}

/// The node has no life at the moment.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotReady(String);

impl Store {
    /// The leases of a new claimer.
    pub(in crate::queue) fn held_by_claimer(&self) -> HeldLeases {
        self.shared.held.part()
    }

    /// Fails once the store is closed.
    pub(super) fn check_open(&self) -> Result<(), StoreError> {
        if self.closed.is_cancelled() {
            return Err(StoreError::Closed);
        }
        Ok(())
    }

    pub(in crate::queue) fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    pub(in crate::queue) fn health(&self) -> Health {
        if self.closed.is_cancelled() {
            return Health::Failing(StoreError::Closed.to_string());
        }
        match self.shared.life.load().as_deref() {
            Some(life) if life.draining.load(Ordering::Acquire) => {
                Health::Failing(StoreError::Draining.to_string())
            }
            Some(life) if !life.fence.is_over() => match self.shared.obstacle() {
                None => Health::Ready,
                Some(reason) => Health::Failing(reason),
            },
            _ => Health::Failing(self.shared.why()),
        }
    }

    /// Completes when the store is closed.
    pub(in crate::queue) async fn closed(&self) {
        self.closed.cancelled().await;
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.closed.cancel();
        for task in lock(&self.tasks).drain(..) {
            task.abort();
        }
    }
}

/// Tokens of claims without an answer: what they may hold must be returned to the queue.
#[derive(Debug, Default)]
pub(super) struct LostTokens(Mutex<Vec<i64>>);

impl LostTokens {
    /// The most tokens that are kept. More than that is returned when its leases are over.
    const MOST: usize = 100_000;

    pub(super) fn add(&self, tokens: impl IntoIterator<Item = i64>) {
        let mut lost = lock(&self.0);
        let room = Self::MOST.saturating_sub(lost.len());
        lost.extend(tokens.into_iter().take(room));
    }

    pub(super) fn take(&self) -> Vec<i64> {
        std::mem::take(&mut lock(&self.0))
    }
}
