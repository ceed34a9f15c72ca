//! What stands ready to deliver: the servers in order with their health, the renderer, the retry policy.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::failover::{self, Breaker};
use super::{RetryPolicy, Settings};
use crate::domain::{ServerName, Timestamp};
use crate::render::Renderer;
use crate::transport::Transport;

/// The shortest lease. It only ever runs out when a task was lost, so there is no hurry; and a large mail that moves on slowly but steadily
/// may take longer than all time limits together.
const SHORTEST_LEASE: Duration = Duration::from_hours(2);

/// A mail server and its health.
#[derive(Debug)]
pub struct Server {
    /// How mails get there.
    pub transport: Transport,
    breaker: Mutex<Breaker>,
}

impl Server {
    /// A server in use.
    pub fn new(transport: Transport, breaker: Breaker) -> Self {
        Self { transport, breaker: Mutex::new(breaker) }
    }

    /// Its health, for a look or a note; never held across a wait.
    pub fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything that an attempt needs; replaced as a whole when the configuration is read again.
#[derive(Debug)]
pub struct Line {
    /// The servers in the order in which they are tried.
    pub servers: Vec<Server>,
    /// Makes mails of events.
    pub renderer: Renderer,
    /// When to try again.
    pub policy: RetryPolicy,
    /// The most attempts under way.
    pub concurrency: usize,
    /// The switch: while it is off nothing is claimed.
    pub enabled: bool,
    /// How long a lease lasts: it outlasts the sum of the time limits on all servers that one attempt may walk through.
    pub lease: Duration,
    retired: CancellationToken,
}

/// How many mails may be claimed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// As many as there is room for.
    Wide,
    /// One, to try a server that has rested.
    Probe,
    /// None before this moment: every server rests.
    At(Timestamp),
    /// None: the switch is off, or there is no server.
    Closed,
}

impl Line {
    /// Puts servers, renderer and settings together.
    pub fn new(servers: Vec<Server>, renderer: Renderer, settings: &Settings, enabled: bool) -> Self {
        let longest: Duration = servers.iter().map(|server| server.transport.longest_try()).sum();
        let (policy, concurrency, retired) = (settings.retry.clone(), settings.concurrency.max(1), CancellationToken::new());
        Self { servers, renderer, policy, concurrency, enabled, lease: longest.max(SHORTEST_LEASE), retired }
    }

    /// Lets no further mail begin and closes idle connections, which takes 3 s at most; mails under way end as they would.
    pub async fn retire(self: Arc<Self>) {
        self.retired.cancel();
        let mut closing = JoinSet::new();
        for index in 0..self.servers.len() {
            let line = Arc::clone(&self);
            closing.spawn(async move {
                if let Some(server) = line.servers.get(index) {
                    server.transport.close().await;
                }
            });
        }
        while closing.join_next().await.is_some() {}
    }

    /// Whether mails that have not begun go back into the queue.
    pub fn is_retired(&self) -> bool {
        self.retired.is_cancelled()
    }

    /// Says how many mails may be claimed now.
    pub fn opening(&self, now: Timestamp) -> Opening {
        if !self.enabled || self.servers.is_empty() {
            return Opening::Closed;
        }
        let breakers = || self.servers.iter().map(|server| *server.breaker());
        if breakers().any(|breaker| breaker.is_closed()) {
            return Opening::Wide;
        }
        match breakers().map(|breaker| breaker.closed_until(now)).min().flatten() {
            Some(until) => Opening::At(until),
            None => Opening::Probe,
        }
    }

    /// The servers in the order in which a mail tries them.
    pub fn order(&self, same_server: Option<&ServerName>) -> impl Iterator<Item = &Server> {
        let names: Vec<&str> = self.servers.iter().map(|server| &**server.transport.name()).collect();
        let order = failover::order(&names, same_server.map(|name| &**name));
        order.into_iter().filter_map(|index| self.servers.get(index))
    }
}
