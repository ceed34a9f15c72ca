//! The signals that the daemon handles.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::warn;

/// Reloads the configuration.
pub(super) const SIGHUP: &str = "SIGHUP";

/// Listens for SIGTERM, SIGINT and SIGHUP.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The name of the next signal.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.hangup.recv() => SIGHUP,
        }
    }

    /// The next SIGTERM or SIGINT.
    pub(super) async fn next_stop(&mut self) -> &'static str {
        loop {
            match self.next().await {
                SIGHUP => warn!("SIGHUP ignored: the daemon is stopping"),
                name => return name,
            }
        }
    }
}
