//! How the writer tells dispatch that something may be due.

use tokio::sync::Notify;

/// One waiter and any number of callers. A call while nobody waits is kept, so none is lost between
/// a claim that found nothing and the wait.
#[derive(Debug, Default)]
pub(super) struct Notifier(Notify);

impl Notifier {
    pub(super) fn call(&self) {
        self.0.notify_one();
    }

    pub(super) async fn called(&self) {
        self.0.notified().await;
    }
}
