//! Shutdown of the dispatcher: releases what has not started, waits for sends in progress and
//! settles their results.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, warn};

use super::{Dispatcher, settle};
use crate::queue::StoreError;

/// The pause before settling again if the store failed.
const SETTLE_AGAIN: Duration = Duration::from_millis(500);
/// How long aborted sends may take to end.
const ABORT_GRACE: Duration = Duration::from_secs(1);
/// How long returning the connections to the other nodes may take.
const RETURN_TIMEOUT: Duration = Duration::from_secs(2);

impl Dispatcher {
    /// Releases what has not started and waits for the sends in progress. Those that take longer
    /// than `grace` are aborted, with an uncertain result.
    pub(super) async fn shut_down(&mut self, grace: Duration) {
        self.withdraw().await;
        let drain = Arc::clone(&self.current).drain();
        let ((), ()) = tokio::join!(drain, self.finish_running(grace));
        if !self.running.is_empty() {
            warn!(
                "aborting {} sends that are still in progress after {} s",
                self.running.len(),
                grace.as_secs()
            );
            self.abort.cancel();
            self.finish_running(ABORT_GRACE).await;
            // An attempt that does not end even then keeps its lease, which is recovered at the
            // next start.
            self.running.abort_all();
        }
        let returned = async { while self.keepers.join_next().await.is_some() {} };
        drop(tokio::time::timeout(RETURN_TIMEOUT, returned).await);
        if !self.finished.is_empty() {
            error!(
                "could not record {} delivery results; these mails may be sent again",
                self.finished.len()
            );
        }
    }

    /// Waits for the running attempts, and settles each as soon as it ends, because the process may
    /// be killed at any time.
    async fn finish_running(&mut self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        while self.settle_finished().await && !(self.running.is_empty() && self.finished.is_empty())
        {
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

    /// Settles what has finished. If the store fails, keeps it for the next call: mails whose
    /// results are not stored are sent again. Returns `false` if the store is closed.
    async fn settle_finished(&mut self) -> bool {
        let settlements = std::mem::take(&mut self.finished);
        let settled = settle(&self.queue, &self.metrics, settlements, self.clock.now());
        if let Err(failed) = settled.await {
            warn!(
                "could not record {} delivery results: {}",
                failed.settlements.len(),
                failed.error
            );
            self.finished = failed.settlements;
            return !matches!(failed.error, StoreError::Closed);
        }
        true
    }
}
