//! What can go wrong with an open store.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use super::Settlement;
use crate::domain::{EventId, State};

/// Why the store did not do what it was asked for. Nothing of the request was done, unless said
/// otherwise.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The queue was closed, or is closing.
    #[error("the store is closed")]
    Closed,
    /// Too many requests wait for the store; try again in a moment.
    #[error("too many requests are waiting for the store")]
    Busy,
    /// The disk or the database refuses. The transaction was rolled back.
    #[error("the store could not {doing}: {source}")]
    Failed {
        /// What was being done, as `write`.
        doing: &'static str,
        /// What SQLite or the system said.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The database file, or its log, is not where it was when it was opened. Ends when it is put
    /// back.
    #[error(
        "{path} was {found} while the store was open; put it back, or restart the daemon when the right file is in its place"
    )]
    Displaced {
        /// The file.
        path: PathBuf,
        /// What has become of it.
        found: &'static str,
    },
    /// The question took longer than one may.
    #[error("the question takes too long")]
    TooSlow,
    /// A row holds something that this version does not understand.
    #[error("the store holds an event that cannot be read: {source}")]
    Unreadable {
        /// What was wrong with it.
        source: Arc<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    /// The same in a few words for somebody outside, who is to know nothing of this machine's
    /// files.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Closed => "the daemon is stopping",
            Self::Busy => "too many requests wait for the disk",
            Self::Displaced { .. } => "the store's file was removed or replaced",
            Self::TooSlow => "the question takes too long",
            Self::Failed { source, .. } if source.is::<NoInodes>() => {
                "the file system has no free inodes"
            }
            Self::Failed { .. } => "the disk refuses to write",
            Self::Unreadable { .. } => "the store holds an event that cannot be read",
        }
    }

    pub(super) fn failed(doing: &'static str, source: impl Error + Send + Sync + 'static) -> Self {
        Self::Failed {
            doing,
            source: Arc::new(source),
        }
    }
}

/// The file system has room for bytes but not for another file.
#[derive(Debug, thiserror::Error)]
#[error("{}", super::space::NO_INODES)]
pub(super) struct NoInodes;

/// Why a group of events was not taken. None of the group is.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EnqueueError {
    /// An id of the group is taken by an event with other content.
    #[error("the event {id} is on record with other content")]
    Conflict {
        /// Which event of the group, from 0.
        index: usize,
        /// The event that is on record.
        id: EventId,
    },
    /// The group's key names another group.
    #[error("the key is on record for another request")]
    KeyTaken,
    /// `queue.max_pending` would be exceeded.
    #[error("the queue is full")]
    Full,
    /// Too many requests wait for the store.
    #[error("too many requests are waiting for the store")]
    Busy,
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Nothing was settled; the settlements come back, to be handed in again.
#[derive(Debug, thiserror::Error)]
#[error("cannot settle: {error}")]
pub struct SettleError {
    /// Why.
    #[source]
    pub error: StoreError,
    /// What was handed in. Empty only if the store's thread died with them.
    pub settlements: Vec<Settlement>,
}

/// Why a delivery cannot be retried or cancelled by hand.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OperatorError {
    /// No such delivery.
    #[error("there is no such delivery")]
    NotFound,
    /// It is in a state that forbids it.
    #[error("the delivery is {state}")]
    Conflict {
        /// The state it is in.
        state: State,
    },
    /// Its event's payload was removed, so there is nothing to make a mail of.
    #[error(
        "the event's content is no longer stored: codes and links go when their mail has ended, everything else after queue.payload_retention"
    )]
    PayloadRemoved,
    /// It was retried by hand less than a minute ago.
    #[error("the delivery was retried by hand less than a minute ago; try again in {} s", wait.as_secs().max(1))]
    TooSoon {
        /// How long until it may be again.
        wait: std::time::Duration,
    },
    /// What its mail says is worthless by now.
    #[error("the time that its message may be sent in is over")]
    Expired,
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a page cannot be listed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ListError {
    /// The cursor is not one that this queue gave out.
    #[error("not a cursor of this list; begin again without one")]
    Cursor,
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}
