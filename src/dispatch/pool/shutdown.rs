//! The end of the dispatcher: nothing begins any more, what is under way ends, what it came to is
//! settled.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, warn};

use super::{Dispatcher, settle};
use crate::queue::StoreError;

/// The pause before a store that cannot write is asked again while stopping.
const SETTLE_AGAIN: Duration = Duration::from_millis(500);
/// How long mails that are cut off may take to notice.
const ABORT_GRACE: Duration = Duration::from_secs(1);

impl Dispatcher {
    /// Gives back what has not begun, and waits for the mails under way; those that take too long
    /// are cut off, and it stays open whether they were taken.
    pub(super) async fn shut_down(&mut self, grace: Duration) {
        self.withdraw().await;
        let drain = Arc::clone(&self.current).drain();
        let ((), ()) = tokio::join!(drain, self.last_mails(grace));
        if !self.running.is_empty() {
            warn!(
                "{} mails were still under way when the time to stop was over, and are cut off",
                self.running.len()
            );
            self.abort.cancel();
            self.last_mails(ABORT_GRACE).await;
            // What does not even end when it is cut off stays leased, and is taken back at the next
            // start.
            self.running.abort_all();
        }
        if !self.finished.is_empty() {
            error!(
                "what became of {} mails could not be stored",
                self.finished.len()
            );
        }
    }

    /// Settles mails as they end, for a second signal may come at any time.
    async fn last_mails(&mut self, at_most: Duration) {
        let deadline = Instant::now() + at_most;
        while self.settle_last().await && !(self.running.is_empty() && self.finished.is_empty()) {
            tokio::select! {
                Some(done) = self.running.join_next() => self.finish(done),
                () = tokio::time::sleep(SETTLE_AGAIN), if !self.finished.is_empty() => {}
                () = tokio::time::sleep_until(deadline) => return,
            }
            while let Some(done) = self.running.try_join_next() {
                self.finish(done);
            }
        }
    }

    /// Settles what has ended; a store that cannot write is asked again, for what it does not note
    /// now is sent once more. `false` when it is closed.
    async fn settle_last(&mut self) -> bool {
        let settlements = std::mem::take(&mut self.finished);
        let settled = settle(&self.queue, &self.metrics, settlements, self.clock.now());
        if let Err(failed) = settled.await {
            warn!(
                "what became of {} mails cannot be stored: {}",
                failed.settlements.len(),
                failed.error
            );
            self.finished = failed.settlements;
            return !matches!(failed.error, StoreError::Closed);
        }
        true
    }
}
