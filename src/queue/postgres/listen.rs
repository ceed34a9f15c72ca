//! Tells other nodes that there is work.

use tokio::sync::Notify;

/// Sends notifications after commits.
#[derive(Debug, Default)]
pub(super) struct Notifier {
    pending: Notify,
}

impl Notifier {
    /// Other nodes may find work. Several calls within a moment become one notification.
    pub(super) fn wake(&self) {
        self.pending.notify_one();
    }
}
