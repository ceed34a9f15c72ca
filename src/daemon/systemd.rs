//! What systemd wants to hear, and the sockets that it may hand over (`sd_notify(3)`,
//! `sd_listen_fds(3)`).
//!
//! Outside systemd all of this does nothing.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::queue::Queue;

/// Reports that the daemon accepts events.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Says that the configuration is being read again; [`ready`] ends it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => debug!("no monotonic time for systemd: {error}"),
    }
}

/// Says that the daemon is stopping.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!("systemd cannot be told {states:?}: {error}");
    }
}

/// Feeds systemd's watchdog at half its interval, while the store's writer still answers; systemd
/// restarts the daemon when it does not.
pub async fn watchdog(queue: Queue, stop: CancellationToken) {
    let Some(interval) = sd_notify::watchdog_enabled() else {
        return stop.cancelled().await;
    };
    let beat = (interval / 2).max(Duration::from_millis(50));
    loop {
        // A failing disk is not cured by a restart; a writer that hangs is.
        if tokio::time::timeout(beat, queue.ping()).await.is_ok() {
            tell(&[NotifyState::Watchdog]);
        } else {
            warn!("the store's writer does not answer; the watchdog is not fed");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(beat) => {}
        }
    }
}
