//! What stands ready to deliver: the servers in order with their health, the renderer, the retry policy.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::failover::{self, Breaker};
use super::{RetryPolicy, Settings};
use crate::domain::{ServerName, Timestamp};
use crate::render::Renderer;
use crate::transport::Transport;

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
        Self { servers, renderer, policy: settings.retry.clone(), concurrency: settings.concurrency.max(1), enabled }
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
