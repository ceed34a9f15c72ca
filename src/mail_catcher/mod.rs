//! A small SMTP server that keeps what it gets and shows it on a page: the demo's inbox and a
//! second opinion in tests.
//!
//! It takes mails and never passes one on. It is strict where a sender could go wrong unnoticed
//! (line ends, dots, line lengths, command order) and bounded everywhere (connections, line and
//! mail sizes, mails kept, waits). No TLS: it is for loopback.
//!
//! ```text
//! wire (bytes ⇄ lines) → command (line → meaning) → session (the conversation) → store → mime → pages
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

/// How much a mailbox takes and how long it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes that one mail may have, dots removed; announced as `SIZE` (RFC 1870).
    pub max_message: usize,
    /// The most mails that are kept; the oldest goes first.
    pub max_kept: usize,
    /// The most bytes that the kept mails may have together; the oldest goes first, the newest
    /// always stays.
    pub max_kept_bytes: usize,
    /// The most connections at a time; one more is told 421 and closed.
    pub max_connections: usize,
    /// The most recipients of one mail; RFC 5321 section 4.5.3.1.8 asks for at least 100.
    pub max_recipients: usize,
    /// The longest silence in which a peer may say its next word or take our answer.
    pub idle: Duration,
    /// The longest time in which one mail's content must have arrived.
    pub data: Duration,
    /// Whether `AUTH PLAIN` and `AUTH LOGIN` are offered; any name and any password are then right.
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

/// The mailbox server; [`MailCatcher::start`] is all there is to it.
#[derive(Debug)]
pub struct MailCatcher;

impl MailCatcher {
    /// Listens on `address` (port 0 takes any free one) and keeps what comes; `now` gives
    /// milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// The address cannot be listened on.
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

/// A running mailbox; dropping it ends the listener and every conversation.
#[derive(Debug)]
pub struct MailCatcherHandle {
    address: SocketAddr,
    store: Store,
    tasks: TaskTracker,
    stop: DropGuard,
}

impl MailCatcherHandle {
    /// Where it listens, with the port that was really taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has kept; clones share the same mails and outlive the server.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Ends the listener and every conversation at once, and waits until they are gone.
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
            // Out of file descriptors, most likely: time for others to close some, then on.
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
    // Without it the last short answer of a pipelined group waits for the peer's delayed
    // acknowledgement. Failing is only slower.
    stream.set_nodelay(true).ok();
    if full {
        session::turn_away(stream).await;
    } else {
        session::Session::new(stream, store, limits).run().await;
    }
}

#[cfg(test)]
mod tests;
