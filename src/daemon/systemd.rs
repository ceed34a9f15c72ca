//! Notifications to systemd (`sd_notify(3)`). Without systemd they do nothing.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::queue::Queue;

/// Reports that the daemon accepts events.
pub(super) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// Reports a reload of the configuration; [`ready`] ends it.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => debug!("cannot read the monotonic clock for systemd: {error}"),
    }
}

/// Reports the shutdown.
pub(super) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!("cannot notify systemd of {states:?}: {error}");
    }
}

/// Notifies systemd's watchdog at half its interval while the store's writer responds; otherwise
/// systemd restarts the daemon.
pub(super) async fn watchdog(queue: Queue, stop: CancellationToken) {
    let Some(interval) = sd_notify::watchdog_enabled() else {
        return stop.cancelled().await;
    };
    let beat = (interval / 2).max(Duration::from_millis(50));
    loop {
        // Any answer counts: a restart helps if the writer hangs, but not if the disk fails.
        if tokio::time::timeout(beat, queue.ping()).await.is_ok() {
            notify(&[NotifyState::Watchdog]);
        } else {
            warn!("the queue's writer does not respond; systemd's watchdog is not notified");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(beat) => {}
        }
    }
}
