//! Errors of an open queue.

use std::error::Error;
use std::sync::Arc;

use crate::domain::{EventId, State};

/// Why a verb failed. It changed nothing, unless its documentation says otherwise.
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
        /// The action, such as `write`.
        doing: &'static str,
        /// The error of SQLite or the system.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// A database on another machine cannot be used at the moment.
    #[error("the database cannot be used: {source}")]
    Unavailable {
        /// Why.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// An operator has asked this node to drain: it accepts no events.
    #[error("this node is draining")]
    Draining,
    /// The database was moved or replaced while the queue was open. Recovers when it is restored.
    #[error("{0}")]
    Displaced(Arc<dyn Error + Send + Sync>),
    /// The query exceeded its time limit.
    #[error("the question takes too long")]
    TooSlow,
    /// This version cannot read a row.
    #[error("the store holds an event that cannot be read: {source}")]
    Unreadable {
        /// The error of the parser.
        source: Arc<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    /// A short reason for clients, without paths of this machine.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Closed => "the daemon is stopping",
            Self::Busy => "too many requests wait for the disk",
            Self::Unavailable { .. } => "the database cannot be used",
            Self::Draining => "this node is draining, post to another one",
            Self::Displaced(_) => "the store's file was removed or replaced",
            Self::TooSlow => "the question takes too long",
            Self::Failed { source, .. } if source.is::<NoInodes>() => {
                "the file system has no free inodes"
            }
            Self::Failed { .. } => "the disk refuses to write",
            Self::Unreadable { .. } => "the store holds an event that cannot be read",
        }
    }

    /// Logs what could not be done. The queue itself logs an outage of the database, once.
    pub fn log(&self, undone: &str) {
        match self {
            Self::Unavailable { .. } => tracing::debug!("{undone}: {self}"),
            _ => tracing::warn!("{undone}: {self}"),
        }
    }

    /// The database cannot be used at the moment.
    #[cfg(feature = "postgres")]
    pub(super) fn unavailable(source: impl Error + Send + Sync + 'static) -> Self {
        Self::Unavailable {
            source: Arc::new(source),
        }
    }

    pub(super) fn failed(doing: &'static str, source: impl Error + Send + Sync + 'static) -> Self {
        Self::Failed {
            doing,
            source: Arc::new(source),
        }
    }
}

/// The file system has free bytes but no free inodes.
#[derive(Debug, thiserror::Error)]
#[error(
    "the file system has free bytes but no free inodes: remove files from it, or make it with more inodes"
)]
pub(super) struct NoInodes;

/// Why a group of events was refused, all of it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EnqueueError {
    /// An id is on record with other content.
    #[error("the event {id} is on record with other content")]
    Conflict {
        /// Which event of the group, from 0.
        index: usize,
        /// The event that is on record.
        id: EventId,
    },
    /// Another end of the same job is on record, which stands ([`NewEvent::excludes`](super::NewEvent::excludes)).
    #[error("the job has already ended with the event {id}")]
    Superseded {
        /// Which event of the group, from 0.
        index: usize,
        /// The event that is on record.
        id: EventId,
    },
    /// The key is on record for another group.
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

/// Why an operator cannot retry, cancel or suppress a delivery.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OperatorError {
    /// No such delivery.
    #[error("there is no such delivery")]
    NotFound,
    /// Its state does not allow it.
    #[error("the delivery is {state}")]
    Conflict {
        /// Its state.
        state: State,
    },
    /// The payload of its event was removed, so no mail can be rendered.
    #[error(
        "the event's content is no longer stored: codes and links go when their mail has ended, everything else after queue.payload_retention"
    )]
    PayloadRemoved,
    /// It was retried by the operator less than a minute ago.
    #[error("the delivery was retried by hand less than a minute ago; try again in {} s", wait.as_secs().max(1))]
    TooSoon {
        /// How long until it may be retried.
        wait: std::time::Duration,
    },
    /// The TTL of its message is over.
    #[error("the time that its message may be sent in is over")]
    Expired,
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a page cannot be listed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ListError {
    /// This list did not issue the cursor.
    #[error("not a cursor of this list; begin again without one")]
    Cursor,
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}
