//! The right to try a delivery, and how it is given back.

use std::fmt;
use std::sync::Arc;

use super::StoreError;
use crate::domain::{
    Attempt, DeliveryId, Event, EventId, Lane, MailKind, Outcome, Recipient, ServerName, Timestamp,
};

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
    /// None at all: such a claim ends the one that stands.
    pub const NONE: Self = Self {
        urgent: 0,
        normal: 0,
    };
}

/// The sole right to try one delivery until `until`. Neither copied nor made outside the queue;
/// handing it in with a [`Settlement`] ends it.
///
/// If it is lost (its task dies), the next claim after `until` takes the delivery again, and the
/// attempt counts.
pub struct Lease {
    /// The delivery.
    pub id: DeliveryId,
    /// The event that it tells of.
    pub event_id: EventId,
    /// The mail's Message-ID, without angle brackets.
    pub message_id: String,
    /// Where the mail goes.
    pub recipient: Recipient,
    /// Which mail.
    pub kind: MailKind,
    /// In which lane it waited.
    pub lane: Lane,
    /// This attempt's number, from 1.
    pub attempt: u32,
    /// The fencing token: another one for each claim of the row, always higher.
    pub token: u64,
    /// When the right ends.
    pub until: Timestamp,
    /// When the delivery was accepted; the mail's Date.
    pub created_at: Timestamp,
    /// After this moment it is not sent any more.
    pub expires_at: Timestamp,
    /// The server that may already have the mail and is asked first.
    pub preferred_server: Option<ServerName>,
    pub(super) payload: Arc<[u8]>,
    /// The event's row number, when small copies of its pictures go with the mail.
    pub(super) thumbnails_of: Option<i64>,
    pub(super) row: Row,
}

/// Where the lease's delivery stands in the database, and how many attempt_rows are on record for it.
pub(super) struct Row {
    pub(super) seq: i64,
    pub(super) attempt_rows: i64,
}

impl Lease {
    /// Reads the event that the mail tells of. Done here and not at the claim, so that each
    /// dispatch task does its own share of the work.
    ///
    /// # Errors
    /// When the stored event is none that this version understands; the delivery is then
    /// unrenderable.
    pub fn event(&self) -> Result<Event, StoreError> {
        serde_json::from_slice(&self.payload).map_err(|error| StoreError::Unreadable {
            source: Arc::new(error),
        })
    }
}

impl Lease {
    /// The codes and the secret parts of links in its mail, which may stand in no record and no
    /// log.
    pub fn secrets(&self) -> Vec<String> {
        if !self.kind.holds_secret() {
            return Vec::new();
        }
        let event = self.event().ok();
        event
            .iter()
            .flat_map(Event::secrets)
            .map(str::to_owned)
            .collect()
    }
}

/// Without event, Message-ID and address, so that a stray `{:?}` gives nothing away.
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

/// A lease given back: what was tried, and the verdict.
#[derive(Debug)]
pub struct Settlement {
    /// The right that ends with this.
    pub lease: Lease,
    /// The attempt_rows, in order; several when one attempt went through several servers, none when
    /// sending never began.
    pub attempts: Vec<Attempt>,
    /// The verdict.
    pub outcome: Outcome,
}

/// Mails that a server was given within one minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentCount {
    /// Which server; none for mails that were under way when the program died: any server may have
    /// had them.
    pub server: Option<ServerName>,
    /// When the last of them ended.
    pub last_at: Timestamp,
    /// How many.
    pub mails: u32,
}

/// What became of a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Verdict and attempt_rows are on record.
    Done,
    /// The lease had run out and another claim had the delivery since: nothing was recorded.
    Stale,
}
