//! A wake-up call between tasks.

use tokio::sync::Notify;

/// One waiter and any number of callers. A call without a waiter is stored, so none is lost between
/// an empty result and the wait.
#[derive(Debug, Default)]
pub(super) struct Notifier(Notify);

impl Notifier {
    pub(super) fn notify(&self) {
        self.0.notify_one();
    }

    pub(super) async fn notified(&self) {
        self.0.notified().await;
    }
}
