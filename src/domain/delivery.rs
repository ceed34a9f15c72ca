//! Deliveries: one mail to one recipient, and its states.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::named::named;
use super::uuid_v7::uuid_v7;
use super::{EventId, MailKind, Recipient, Timestamp};

/// The ID of a delivery: a UUIDv7, so that IDs sort by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeliveryId(pub Uuid);

impl DeliveryId {
    /// Generates an ID whose leading bits are `now`.
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
    /// The priority of a delivery.
    Lane {
        /// Messages of `/v1/messages`, sent first: a reader is waiting for the code or link.
        Urgent = "urgent",
        /// Job mails.
        Normal = "normal",
    }
}

named! {
    /// The state of a delivery. The numbers in the six states always add up to the number of
    /// accepted deliveries (conservation).
    State {
        /// Waits until `due_at`; not leased.
        Queued = "queued",
        /// Leased by one dispatch task until `due_at`.
        Sending = "sending",
        /// A server accepted the mail. Final.
        Sent = "sent",
        /// Given up, for a [`DeadReason`]. Final unless the operator retries it.
        Dead = "dead",
        /// Not to be sent: decided at intake, or because the recipient is no longer allowed. Final.
        Suppressed = "suppressed",
        /// Cancelled by the operator. Final unless the operator retries it.
        Cancelled = "cancelled",
    }
}

named! {
    /// Why a delivery is dead.
    DeadReason {
        /// The mail or its recipient was permanently rejected.
        Rejected = "rejected",
        /// All attempts are used up.
        Attempts = "attempts",
        /// It is older than `retry.expire_after`, or than a message's `expires_in`.
        Expired = "expired",
        /// The mail could not be rendered.
        Unrenderable = "unrenderable",
    }
}

named! {
    /// Why a delivery is suppressed.
    SuppressReason {
        /// `smtp.enable` is false and `email.disabled` is "drop".
        Disabled = "disabled",
        /// This kind of mail is turned off (`email.on_success`, `email.on_failure`).
        KindOff = "kind_off",
        /// `email.allowed_recipients` does not cover the recipient.
        NotAllowed = "not_allowed",
    }
}

/// The decision of intake for one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Send, not before this time.
    Send(Timestamp),
    /// Record, but do not send.
    Suppress(SuppressReason),
}

/// One mail for one recipient of an event, as planned at intake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its ID.
    pub id: DeliveryId,
    /// The event that it reports.
    pub event: EventId,
    /// The recipient.
    pub recipient: Recipient,
    /// The kind of mail.
    pub kind: MailKind,
    /// Its priority.
    pub lane: Lane,
    /// Whether it is sent, and the earliest time.
    pub plan: Plan,
    /// When it expires; it is not sent afterwards.
    pub expires_at: Timestamp,
    /// When it was accepted: the mail's Date.
    pub created_at: Timestamp,
    /// Its Message-ID without angle brackets, the same for every attempt on every server.
    pub message_id: String,
}
