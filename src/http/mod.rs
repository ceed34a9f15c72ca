//! The HTTP server: serves a router on TCP or a unix socket, within limits.
//!
//! [`listen`] opens the socket, [`mod@serve`] accepts connections and bounds each one, `guard` checks
//! `Host` and `Origin`, [`auth`] authorizes, [`refusals`] counts rejected requests, [`body`]
//! reads bodies, [`problem`] is the format of every error, [`app`] combines the routers of all
//! modules. Nothing here knows about events.

#[cfg(feature = "server")]
pub mod app;
#[cfg(feature = "server")]
mod arrival;
#[cfg(feature = "server")]
pub mod auth;
#[cfg(feature = "server")]
pub mod body;
#[cfg(feature = "server")]
pub mod body_budget;
#[cfg(feature = "server")]
mod caller;
#[cfg(feature = "server")]
mod coding;
#[cfg(feature = "server")]
mod connection;
#[cfg(feature = "server")]
mod connection_state;
#[cfg(feature = "server")]
mod fd_limit;
#[cfg(feature = "server")]
mod guard;
#[cfg(feature = "server")]
mod guessing;
pub mod host;
#[cfg(feature = "server")]
mod limits;
#[cfg(feature = "server")]
pub mod listen;
#[cfg(feature = "server")]
pub mod openapi;
#[cfg(feature = "server")]
mod own_names;
#[cfg(feature = "server")]
pub mod peer;
#[cfg(feature = "server")]
pub mod problem;
pub mod proxies;
#[cfg(feature = "server")]
pub mod refusals;
#[cfg(feature = "server")]
pub mod sender;
#[cfg(feature = "server")]
pub mod serve;
#[cfg(feature = "server")]
mod shares;
#[cfg(feature = "server")]
mod stream;
pub mod tokens;
#[cfg(feature = "server")]
pub mod visitor;

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::secret::Secret;
use tokens::{Scope, Token};

#[cfg(feature = "server")]
pub use auth::{Access, Authorized};
#[cfg(feature = "server")]
pub use caller::Caller;
#[cfg(feature = "server")]
pub use limits::Limits;
#[cfg(feature = "server")]
pub use listen::{BindError, Listener};
#[cfg(feature = "server")]
pub use peer::Peer;
#[cfg(feature = "server")]
pub use problem::{Fault, Problem};
#[cfg(feature = "server")]
pub use proxies::Proxies;
pub use proxies::Proxy;
#[cfg(feature = "server")]
pub use refusals::{Refusals, Why};
#[cfg(feature = "server")]
pub use sender::Sender;
#[cfg(feature = "server")]
pub use serve::serve;
#[cfg(feature = "server")]
pub use visitor::Visitor;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A unix socket's path (`unix:/run/jobbell/jobbell.sock`).
    Unix(PathBuf),
}

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The `[server]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen.
    pub listen: Listen,
    /// Bearer tokens with all scopes. Without any token, every local process may do everything.
    pub tokens: Vec<Secret>,
    /// Bearer tokens with some scopes: `[[server.token]]`.
    pub named_tokens: Vec<Token>,
    /// Additional names of this server.
    pub hosts: Vec<host::Host>,
    /// The public URL.
    pub public_url: Option<url::Url>,
    /// Whether anyone may post and read if other machines can connect and there are no tokens.
    pub allow_anonymous: bool,
    /// Maximum length of a body, in bytes.
    pub max_body: usize,
    /// Maximum total length of all bodies, in bytes.
    pub body_budget: usize,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<Proxy>,
    /// Number of worker threads; `None` is the default.
    pub threads: Option<usize>,
}

impl Default for Settings {
    /// A free port on the loopback interface, without tokens.
    fn default() -> Self {
        Self {
            listen: Listen::Tcp(([127, 0, 0, 1], 0).into()),
            tokens: Vec::new(),
            named_tokens: Vec::new(),
            hosts: Vec::new(),
            public_url: None,
            allow_anonymous: false,
            max_body: 1 << 20,
            body_budget: 64 << 20,
            trusted_proxies: Vec::new(),
            threads: None,
        }
    }
}

impl Settings {
    /// Whether a public socket must not open: there are no tokens, and anonymous access is not
    /// allowed.
    pub fn wants_tokens(&self) -> bool {
        !self.has_tokens() && !self.allow_anonymous
    }

    /// Whether callers need a token.
    pub fn has_tokens(&self) -> bool {
        !self.tokens.is_empty() || !self.named_tokens.is_empty()
    }

    /// A token for our own command line: one with all scopes, or else the first one with one of
    /// these scopes, in order of preference. Comes with the index of its `[[server.token]]`.
    pub fn own_token(&self, scopes: &[Scope]) -> Option<(Option<usize>, &Secret)> {
        let named = |scope: &Scope| {
            let mut named = self
                .named_tokens
                .iter()
                .enumerate()
                .filter(|(_, token)| token.may(*scope));
            named.find_map(|(index, token)| Some((Some(index), token.value.as_ref()?)))
        };
        self.tokens
            .first()
            .map(|token| (None, token))
            .or_else(|| scopes.iter().find_map(named))
    }
}
