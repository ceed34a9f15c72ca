//! The HTTP server: serves any router on TCP or a unix socket, within limits.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::secret::Secret;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A unix socket's path (`unix:/run/jobbell/jobbell.sock`).
    Unix(PathBuf),
}

/// The `[server]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen.
    pub listen: Listen,
    /// Bearer tokens that may post and read; none means that everybody may.
    pub tokens: Vec<Secret>,
    /// The most bytes that a request's body may have.
    pub max_body: usize,
}
