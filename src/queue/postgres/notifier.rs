//! Asks for notifications of other nodes; see `listen`.

use tokio::sync::Notify;

/// Sends notifications.
#[derive(Debug)]
pub(super) struct Notifier {
    /// Tells the own notifications from those of others.
    sender: String,
    pub(super) work: Notify,
    pub(super) nodes: Notify,
}

impl Default for Notifier {
    fn default() -> Self {
        Self {
            sender: format!("{:016x}", fastrand::u64(..)),
            work: Notify::new(),
            nodes: Notify::new(),
        }
    }
}

impl Notifier {
    /// Tells this process from others.
    pub(super) fn id(&self) -> &str {
        &self.sender
    }

    /// Other nodes may find work. Several calls within a moment become one notification.
    pub(super) fn wake(&self) {
        self.work.notify_one();
    }

    /// This node has come or gone.
    pub(super) fn nodes_changed(&self) {
        self.nodes.notify_one();
    }
}
