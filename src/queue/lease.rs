//! Leases of deliveries, and the settlements that end them.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::StoreError;
use super::held::Holding;
use crate::clock::Fence;
use crate::domain::{
    Attempt, DeliveryId, Event, EventId, Lane, MailKind, Outcome, Recipient, ServerName, Timestamp,
};

/// How long a lease lasts. A claimer renews it for as long as the lease is not dropped.
pub const LEASE: Duration = Duration::from_mins(2);

/// How many deliveries a claim may take: urgent ones first, at most `urgent + normal`; then normal
/// ones, until there are `normal` of both.
///
/// So `normal` are the slots that either lane may fill, and `urgent` those that are kept free for
/// urgent mail however many job mails wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimLimit {
    /// Slots that only urgent deliveries may fill.
    pub urgent: usize,
    /// Slots that either lane may fill.
    pub normal: usize,
}

impl ClaimLimit {
    /// No slots: removes the pending claim.
    pub const NONE: Self = Self {
        urgent: 0,
        normal: 0,
    };
}

/// The exclusive right to try one delivery. It cannot be copied, and only the queue creates it; a
/// [`Settlement`] ends it.
///
/// It lasts until `until`, and longer while its [`Claimer`](super::Claimer) renews it. If it is
/// dropped without a settlement (its task dies), the next claim after its end takes the delivery
/// again, and the attempt counts.
pub struct Lease {
    /// The delivery.
    pub id: DeliveryId,
    /// Its event.
    pub event_id: EventId,
    /// The mail's Message-ID, without angle brackets.
    pub message_id: String,
    /// The recipient.
    pub recipient: Recipient,
    /// The kind of the mail.
    pub kind: MailKind,
    /// Its lane.
    pub lane: Lane,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The fencing token: higher for each claim of the delivery.
    pub token: u64,
    /// When it ends unless it is renewed.
    pub until: Timestamp,
    /// When the delivery was accepted; the mail's Date.
    pub created_at: Timestamp,
    /// The time after which it is not sent.
    pub expires_at: Timestamp,
    /// The server that may already have the mail, which is tried first.
    pub preferred_server: Option<ServerName>,
    pub(super) stored: Arc<StoredEvent>,
    /// The event in the store.
    pub(super) event_key: EventKey,
    /// Whether its mails include thumbnails.
    pub(super) has_thumbnails: bool,
    /// Ends the right to send before the lease is over.
    pub(super) fence: Fence,
    /// The row number of the delivery.
    pub(super) row_seq: i64,
    /// Makes the claimer renew the lease; `None` for [`Queue::claim`](super::Queue::claim).
    pub(super) holding: Option<Holding>,
}

/// An event in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventKey {
    /// Its row number.
    Row(i64),
    /// Its UUIDv7, whose time is that of its partition.
    #[cfg(feature = "postgres")]
    Id(uuid::Uuid),
}

/// A stored event. It is parsed once, however many leases share it.
pub(super) struct StoredEvent {
    json: Box<[u8]>,
    parsed: OnceLock<Result<Event, Arc<serde_json::Error>>>,
}

impl StoredEvent {
    pub(super) fn new(json: &[u8]) -> Self {
        Self {
            json: json.into(),
            parsed: OnceLock::new(),
        }
    }

    /// An event that was just accepted, which need not be parsed again.
    #[cfg(feature = "postgres")]
    pub(super) fn accepted(json: Vec<u8>, event: Event) -> Self {
        Self {
            json: json.into(),
            parsed: OnceLock::from(Ok(event)),
        }
    }

    pub(super) fn json(&self) -> &[u8] {
        &self.json
    }

    fn event(&self) -> Result<&Event, StoreError> {
        let parsed = self
            .parsed
            .get_or_init(|| serde_json::from_slice(&self.json).map_err(Arc::new));
        parsed.as_ref().map_err(|error| StoreError::Unreadable {
            source: Arc::clone(error) as _,
        })
    }
}

impl Lease {
    /// The event that the mail reports. The first call parses it, not the claim, so that the work
    /// is spread over the dispatch tasks.
    ///
    /// # Errors
    /// When this version does not understand the stored event; the delivery is then unrenderable.
    pub fn event(&self) -> Result<&Event, StoreError> {
        self.stored.event()
    }

    /// Whether the mail may still be sent. Over before another node can take the delivery; without
    /// an end if no other node shares the queue.
    pub const fn fence(&self) -> &Fence {
        &self.fence
    }

    /// Gives the lease another fence.
    #[cfg(test)]
    pub(crate) fn set_fence(&mut self, fence: Fence) {
        self.fence = fence;
    }

    /// The codes and the secret parts of links in its mail, which must not appear in records and
    /// logs.
    pub fn secrets(&self) -> Vec<String> {
        if !self.kind.holds_secret() {
            return Vec::new();
        }
        let event = self.event().ok().into_iter();
        event.flat_map(Event::secrets).map(str::to_owned).collect()
    }
}

/// Omits event, Message-ID and address, so that a stray `{:?}` leaks nothing.
impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("id", &self.id)
            .field("recipient", &self.recipient)
            .field("attempt", &self.attempt)
            .field("token", &self.token)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

/// The end of a lease: its attempts and their outcome.
#[derive(Debug)]
pub struct Settlement {
    /// The lease that ends.
    pub lease: Lease,
    /// The attempts, in order: several if several servers were tried, none if sending never began.
    pub attempts: Vec<Attempt>,
    /// The outcome.
    pub outcome: Outcome,
}

/// The number of mails handed to a server within one minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentCount {
    /// The server; `None` for mails in flight when the program died, which any server may have.
    pub server: Option<ServerName>,
    /// When the last attempt ended.
    pub last_at: Timestamp,
    /// The number of mails.
    pub mails: u32,
}

/// The result of a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Outcome and attempts are on record.
    Done,
    /// The lease had expired and the delivery was claimed again or has ended: its state is
    /// unchanged, the attempts are on record.
    Stale,
}

/// Nothing was settled. Contains the settlements, to try again.
#[derive(Debug, thiserror::Error)]
#[error("cannot settle: {error}")]
pub struct SettleError {
    /// Why.
    #[source]
    pub error: StoreError,
    /// The settlements. Empty only if the writer thread died with them.
    pub settlements: Vec<Settlement>,
}
