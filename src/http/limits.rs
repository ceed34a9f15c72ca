//! Limits of connections.

use std::time::Duration;

use super::fd_limit;

/// Limits of a connection. Every wait on a client is bounded here or, for bodies, in
/// [`super::body`].
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Maximum number of connections. The default, 768, fits the usual limit of 1,024 open files.
    pub connections: usize,
    /// Time until the first byte of a new connection.
    pub first_byte: Duration,
    /// Time from the first byte of a request to the end of its head.
    pub head: Duration,
    /// How far a request's body may fall behind 1 KiB per second, even while connections are free.
    pub stall: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// Time until the client reads the next part of a response.
    pub write: Duration,
    /// Time from the stop signal until all connections are closed.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connections: 768,
            first_byte: seconds(10),
            head: seconds(10),
            stall: seconds(5),
            idle: seconds(60),
            write: seconds(30),
            drain: seconds(10),
        }
    }
}

impl Limits {
    /// The default, with no more connections than the process may have open files for.
    pub fn fitting() -> Self {
        let limits = Self::default();
        Self {
            connections: fd_limit::connections(limits.connections),
            ..limits
        }
    }
}
