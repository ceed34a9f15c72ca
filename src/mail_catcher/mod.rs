//! A small SMTP server that keeps all mails and shows them on web pages: the demo's inbox, and an
//! independent check in tests.
//!
//! It never forwards a mail. It is strict where a client's mistake could go unnoticed (line ends,
//! dots, line lengths, command order) and bounded everywhere (connections, line and mail sizes,
//! mails kept, timeouts). It has no TLS, since it only serves loopback.
//!
//! ```text
//! wire (bytes ⇄ lines) → command (parse) → session (protocol state) → store → mime → pages
//! ```

mod command;
mod mime;
pub mod pages;
mod session;
mod store;
mod wire;
mod words;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use mime::{Mail, Picture, Shown};
pub use store::{Store, Stored};

/// Limits of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum bytes of one mail after dot-unstuffing; announced as `SIZE` (RFC 1870).
    pub max_message: usize,
    /// Maximum number of mails kept; the oldest is dropped first.
    pub max_kept: usize,
    /// Maximum bytes of all kept mails; the oldest is dropped first, the newest is always kept.
    pub max_kept_bytes: usize,
    /// Maximum number of connections; further ones get a 421 and are closed.
    pub max_connections: usize,
    /// Maximum recipients of one mail; RFC 5321 section 4.5.3.1.8 requires at least 100.
    pub max_recipients: usize,
    /// Maximum time without progress of a client.
    pub idle: Duration,
    /// Maximum time for receiving one mail's content.
    pub data: Duration,
    /// Whether `AUTH PLAIN` and `AUTH LOGIN` are offered; any credentials are accepted.
    pub login: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message: 10 * 1024 * 1024,
            max_kept: 200,
            max_kept_bytes: 64 * 1024 * 1024,
            max_connections: 64,
            max_recipients: 100,
            idle: Duration::from_mins(5),
            data: Duration::from_mins(10),
            login: true,
        }
    }
}

/// The server; see [`MailCatcher::start`].
#[derive(Debug)]
pub struct MailCatcher;

impl MailCatcher {
    /// Listens on `address` (port 0 picks a free one) and keeps all mails; `now` returns
    /// milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn start(
        address: SocketAddr,
        limits: Limits,
        now: impl Fn() -> i64 + Send + Sync + 'static,
    ) -> io::Result<MailCatcherHandle> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let store = Store::new(limits.max_kept, limits.max_kept_bytes, now);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(accept(
            listener,
            store.clone(),
            limits,
            stop.clone(),
            tasks.clone(),
        ));
        tasks.close();
        Ok(MailCatcherHandle {
            address,
            store,
            tasks,
            stop: stop.drop_guard(),
        })
    }
}

/// A running server; dropping it stops the listener and all sessions.
#[derive(Debug)]
pub struct MailCatcherHandle {
    address: SocketAddr,
    store: Store,
    tasks: TaskTracker,
    stop: DropGuard,
}

impl MailCatcherHandle {
    /// The bound address, with the actual port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The kept mails; clones share them and outlive the server.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Stops the listener and all sessions, and waits for them.
    pub async fn stop(self) {
        drop(self.stop);
        self.tasks.wait().await;
    }
}

async fn accept(
    listener: TcpListener,
    store: Store,
    limits: Limits,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let places = Arc::new(Semaphore::new(limits.max_connections));
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let Ok((stream, _)) = accepted else {
            // Probably out of file descriptors: wait until some are closed.
            if stop
                .run_until_cancelled(tokio::time::sleep(Duration::from_millis(50)))
                .await
                .is_none()
            {
                return;
            }
            continue;
        };
        let place = Arc::clone(&places).try_acquire_owned().ok();
        let (store, stop) = (store.clone(), stop.clone());
        tasks.spawn(async move {
            let full = place.is_none();
            stop.run_until_cancelled(converse(stream, store, limits, full))
                .await;
            drop(place);
        });
    }
}

async fn converse(stream: TcpStream, store: Store, limits: Limits, full: bool) {
    // Otherwise the last short reply of a pipelined group waits for the client's delayed
    // acknowledgement. A failure only costs time.
    stream.set_nodelay(true).ok();
    if full {
        session::turn_away(stream).await;
    } else {
        session::Session::new(stream, store, limits).run().await;
    }
}

#[cfg(test)]
mod tests;
