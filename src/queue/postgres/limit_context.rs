//! What all limits of a node use.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::store::Shared;

/// What all limits of a node use.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) shared: Arc<Shared>,
    pub(super) closed: CancellationToken,
    /// Notified when more may be sent than before.
    pub(super) changed: Notify,
    /// Wakes the poll.
    pub(super) poll: Notify,
}

impl Context {
    /// Whether this node may send: what it holds is not granted to others as long as it lives.
    pub(super) fn is_alive(&self) -> bool {
        let life = self.shared.life.load();
        life.as_ref().is_some_and(|life| !life.fence.is_over())
    }
}
