//! The HTTP server: serves any router on TCP or a unix socket, within limits.
//!
//! [`listen`] opens the door, [`mod@serve`] takes connections through it and bounds each one,
//! [`visitor`] says under which names we are asked, [`auth`] says who may enter and do what,
//! [`refusals`] counts those who may not, [`body`] reads what they bring, [`problem`] is the one
//! shape of every refusal, [`app`] puts the routers of the rooms together. Nothing here knows what
//! an event is.

#[cfg(feature = "server")]
pub mod app;
#[cfg(feature = "server")]
mod arrival;
#[cfg(feature = "server")]
pub mod auth;
#[cfg(feature = "server")]
pub mod body;
#[cfg(feature = "server")]
pub mod budget;
#[cfg(feature = "server")]
mod caller;
#[cfg(feature = "server")]
mod coding;
#[cfg(feature = "server")]
mod connection;
#[cfg(feature = "server")]
mod files;
#[cfg(feature = "server")]
mod guessing;
pub mod host;
#[cfg(feature = "server")]
pub mod listen;
#[cfg(feature = "server")]
pub mod peer;
#[cfg(feature = "server")]
pub mod problem;
pub mod proxies;
#[cfg(feature = "server")]
pub mod refusals;
#[cfg(feature = "server")]
mod seat;
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
pub use auth::{Access, Allowed};
#[cfg(feature = "server")]
pub use caller::Caller;
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
pub use serve::{Limits, serve};
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
    /// Bearer tokens with all rights; without any token everybody on this machine may do
    /// everything.
    pub tokens: Vec<Secret>,
    /// Bearer tokens with some rights: `[[server.token]]`.
    pub named_tokens: Vec<Token>,
    /// Further names under which we are asked.
    pub hosts: Vec<host::Host>,
    /// Our address as others see it.
    pub public_url: Option<url::Url>,
    /// Whether everybody may post and read where other machines reach the door and there are no
    /// tokens.
    pub allow_anonymous: bool,
    /// The most bytes that a request's body may have.
    pub max_body: usize,
    /// The most bytes that all bodies may take together.
    pub body_budget: usize,
    /// The proxies whose word about their clients' addresses counts.
    pub trusted_proxies: Vec<Proxy>,
    /// How many threads the daemon's tasks have; none leaves that to the daemon.
    pub threads: Option<usize>,
}

impl Default for Settings {
    /// A free port of this machine, for everybody on it.
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
    /// Whether a door that other machines reach stays shut: without a token for anybody, and nobody
    /// wrote that this is meant.
    pub fn wants_tokens(&self) -> bool {
        !self.has_tokens() && !self.allow_anonymous
    }

    /// Whether callers need a token.
    pub fn has_tokens(&self) -> bool {
        !self.tokens.is_empty() || !self.named_tokens.is_empty()
    }

    /// A token that our own command line may send: one with all rights, else the first with one of
    /// these, which are in order of preference. With the index of its `[[server.token]]`.
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
