//! The nodes that share a queue.

use std::time::Duration;

use serde::Serialize;

use crate::domain::Timestamp;

/// A node that shares a queue. Its JSON is that of `jobbell nodes --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeRecord {
    /// The number of its life: a restart gives it another one.
    pub id: i64,
    /// `queue.node_name`.
    pub name: String,
    /// The version of the program.
    pub version: String,
    /// Its last heartbeat, by the clock of the database.
    pub last_seen: Timestamp,
    /// How many deliveries it holds.
    pub in_flight: u64,
    /// Whether it accepts and claims nothing.
    pub draining: bool,
    /// How long ago the last heartbeat was.
    #[serde(skip)]
    pub silent: Duration,
}

impl NodeRecord {
    /// Heartbeats come every five seconds.
    const LONGEST_SILENCE: Duration = Duration::from_secs(15);

    /// Whether heartbeats are missing.
    pub fn is_silent(&self) -> bool {
        self.silent > Self::LONGEST_SILENCE
    }
}

/// This process as a node of a shared queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    /// The number of its life; 0 while it has none.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// How many deliveries it holds.
    pub in_flight: usize,
    /// How long it may still send without another heartbeat.
    pub lease_left: Duration,
    /// Whether it accepts and claims nothing.
    pub draining: bool,
}
