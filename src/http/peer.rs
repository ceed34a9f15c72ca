//! Both ends of a connection, as handlers see them: an extension of every request.

use std::net::{IpAddr, SocketAddr};

/// Who is connected, and to which of our addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A TCP connection.
    Tcp {
        /// The other end: the client, or the proxy in front of us.
        remote: SocketAddr,
        /// Our end. It is the address that was dialled, also where the socket listens on all of
        /// them.
        local: SocketAddr,
    },
    /// A unix socket. The file's permissions say who can connect.
    Unix,
}

impl Peer {
    /// The address of the other end; a unix socket has none.
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
