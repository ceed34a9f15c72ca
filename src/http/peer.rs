//! The addresses of a connection: an extension of every request.

use std::net::{IpAddr, SocketAddr};

/// The two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A TCP connection.
    Tcp {
        /// The client, or a proxy.
        remote: SocketAddr,
        /// The local address that the client connected to, even if the socket listens on all
        /// addresses.
        local: SocketAddr,
    },
    /// A unix socket, protected by file permissions.
    Unix,
}

impl Peer {
    /// The client's address; `None` for a unix socket.
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Self::Tcp { remote, .. } => Some(remote.ip().to_canonical()),
            Self::Unix => None,
        }
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { remote, .. } => remote.ip().to_canonical().fmt(f),
            Self::Unix => f.write_str("unix socket"),
        }
    }
}
