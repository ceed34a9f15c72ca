//! A request that waits to be stored.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::Instant;

use crate::domain::Timestamp;
use crate::queue::prepared::PreparedRequest;
use crate::queue::{EnqueueError, Enqueued};

/// A request that waits to be stored.
pub(super) struct Waiting {
    pub(super) request: PreparedRequest,
    pub(super) now: Timestamp,
    pub(super) since: Instant,
    pub(super) reply: oneshot::Sender<Answer>,
}

pub(super) type Answer = Result<Vec<Enqueued>, EnqueueError>;

impl Waiting {
    pub(super) fn answer(self, answer: Answer) {
        // Fails only if the caller has given up.
        drop(self.reply.send(answer));
    }

    /// The names that no two requests of a statement may share.
    pub(super) fn names(&self) -> impl Iterator<Item = (u8, &str)> {
        let entries = &self.request.entries;
        let ids = entries.iter().map(|entry| (0, entry.id.as_str()));
        let others = entries.iter().flat_map(|entry| &entry.excludes);
        let key = self.request.key.iter().map(|key| (1, key.name.as_str()));
        ids.chain(others.map(|id| (0, id.as_str()))).chain(key)
    }

    pub(super) fn bytes(&self) -> usize {
        let entries = self.request.entries.iter();
        entries.map(|entry| entry.payload.len()).sum()
    }
}

impl Waiting {
    pub(super) fn age(&self) -> Duration {
        self.since.elapsed()
    }
}

/// How many requests may wait.
const INBOX: usize = 4096;

/// The requests that wait to be stored.
#[derive(Debug, Clone)]
pub(super) struct Intake(pub(super) mpsc::Sender<Waiting>);

/// What tasks take requests from.
pub(super) type Inbox = Arc<Mutex<mpsc::Receiver<Waiting>>>;

impl Intake {
    pub(super) fn new() -> (Self, Inbox) {
        let (sender, receiver) = mpsc::channel(INBOX);
        (Self(sender), Arc::new(Mutex::new(receiver)))
    }
}
