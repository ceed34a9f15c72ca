//! What we owe one recipient, and the states that it passes through.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::named::named;
use super::uuid_v7::uuid_v7;
use super::{EventId, MailKind, Recipient, Timestamp};

/// The name of a delivery: a UUIDv7, so that later ones sort after earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeliveryId(pub Uuid);

impl DeliveryId {
    /// A new name whose leading bits are `now`.
    pub fn new(now: Timestamp) -> Self {
        Self(uuid_v7(now))
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DeliveryId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

named! {
    /// In which lane a delivery waits; `urgent` goes first.
    Lane {
        /// What `/v1/messages` takes, codes and links first of all: somebody is waiting at a
        /// screen.
        Urgent = "urgent",
        /// Job mails.
        Normal = "normal",
    }
}

named! {
    /// Where a delivery stands. Its accepted number is always the sum over these six
    /// (conservation).
    State {
        /// Waits until `due_at`; nobody holds it.
        Queued = "queued",
        /// One dispatch task holds the lease until `due_at`.
        Sending = "sending",
        /// A server has taken the mail. Final.
        Sent = "sent",
        /// Given up; the reason says why. Final unless retried by hand.
        Dead = "dead",
        /// Not to be sent: decided at intake, or because the recipient is not allowed any more.
        /// Final.
        Suppressed = "suppressed",
        /// Taken back by hand. Final unless retried by hand.
        Cancelled = "cancelled",
    }
}

named! {
    /// Why a delivery is dead.
    DeadReason {
        /// The mail or its recipient was refused for good.
        Rejected = "rejected",
        /// All attempts are used up.
        Attempts = "attempts",
        /// It grew older than `retry.expire_after`, or than a message's own `expires_in`.
        Expired = "expired",
        /// The mail could not be rendered.
        Unrenderable = "unrenderable",
    }
}

named! {
    /// Why a delivery is not to be sent.
    SuppressReason {
        /// `smtp.enable` is false and `email.disabled` is "drop".
        Disabled = "disabled",
        /// This kind of mail is turned off (`email.on_success`, `email.on_failure`).
        KindOff = "kind_off",
        /// `email.allowed_recipients` leaves the recipient out.
        NotAllowed = "not_allowed",
    }
}

/// What intake decided for one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// To be sent, not before the given moment.
    Send(Timestamp),
    /// Recorded, never sent.
    Suppress(SuppressReason),
}

/// What we owe one recipient of one event, as planned at intake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its name.
    pub id: DeliveryId,
    /// The event that it tells of.
    pub event: EventId,
    /// Where the mail goes.
    pub recipient: Recipient,
    /// Which mail.
    pub kind: MailKind,
    /// In which lane it waits.
    pub lane: Lane,
    /// Whether it is sent, and when at the earliest.
    pub plan: Plan,
    /// After this moment it is not sent any more.
    pub expires_at: Timestamp,
    /// When it was accepted; the mail's Date.
    pub created_at: Timestamp,
    /// Its Message-ID without angle brackets; fixed here, so that every attempt on every server
    /// carries the same one.
    pub message_id: String,
}
