//! The outcome of accepting events.

use crate::domain::EventId;
use crate::queue::EnqueueError;
use crate::routing::NoRecipient;

/// Maximum number of deliveries of one group.
pub(super) const MAX_DELIVERIES: usize = 10_000;

/// An event that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The event's id; for a duplicate, the id of the earlier event.
    pub id: EventId,
    /// Whether the event was already stored. A duplicate adds nothing.
    pub duplicate: bool,
}

/// Why a group of events was refused. Nothing of the group is stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// An event has no recipient, and no default is configured.
    #[error("event {index}: {NoRecipient}")]
    NoRecipient {
        /// Index of the event in the group.
        index: usize,
    },
    /// A producer chose an id from the range reserved for webhooks.
    #[error(
        "event {id}: ids that begin with \"{}\" are reserved for webhooks",
        EventId::OF_HOOKS
    )]
    HookId {
        /// Index of the event in the group.
        index: usize,
        /// The id.
        id: EventId,
    },
    /// The group makes more than 10,000 deliveries.
    #[error("the events make more than {} deliveries", MAX_DELIVERIES)]
    TooMany,
    /// The queue refused the group.
    #[error(transparent)]
    Queue(#[from] EnqueueError),
}

impl Refusal {
    /// Value of the label `outcome` in `jobbell_events_total`.
    pub(super) const fn outcome(&self) -> &'static str {
        match self {
            Self::NoRecipient { .. } | Self::HookId { .. } | Self::TooMany => "invalid",
            Self::Queue(EnqueueError::Conflict { .. } | EnqueueError::KeyTaken) => "conflict",
            Self::Queue(EnqueueError::Superseded { .. }) => "duplicate",
            Self::Queue(_) => "refused",
        }
    }

    /// Whether the same group may be accepted later.
    pub const fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Queue(EnqueueError::Full | EnqueueError::Busy | EnqueueError::Store(_))
        )
    }
}
