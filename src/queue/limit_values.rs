//! What limits over all nodes are made of.

use std::time::Duration;

use crate::clock::since_boot;

/// How long a node may use a connection that others wait for.
pub const TURN: Duration = Duration::from_secs(1);

/// The most mails in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateCap {
    /// Mails of both lanes.
    pub mails: u32,
    /// How many of them are kept for urgent mails.
    pub urgent: u32,
    /// The period.
    pub per: Duration,
}

/// How many mails may be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Available {
    /// Mails of the normal lane.
    pub normal: u64,
    /// Mails of both lanes.
    pub all: u64,
    /// When there may be permits for normal mails, if there are none.
    pub more_in: Option<Duration>,
}

/// A circuit breaker is open, or half-open after the pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// The end, since boot.
    pub until: Duration,
    /// The length of the pause.
    pub step: Duration,
    /// Why the server is left alone.
    pub why: String,
    /// Whether another node's mail is trying the server.
    pub is_probed: bool,
}

impl Pause {
    /// How long the pause still lasts.
    pub fn left(&self) -> Duration {
        self.until.saturating_sub(since_boot())
    }
}

/// Whether a mail may try the server after the pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// It is the only one.
    Granted,
    /// The breaker is closed again.
    Closed,
    /// Another mail tries it, or the pause is not over, or the database cannot be asked.
    Denied,
}

/// The other nodes that use a server's connections, or wait for one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Others {
    /// How many there are.
    pub nodes: usize,
    /// How many connections those want that have less than their fair share.
    pub wanted: usize,
}
