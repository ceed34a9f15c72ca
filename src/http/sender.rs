//! The sender of a request, an extension of every request.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

use super::Peer;
use super::connection_state::ConnectionState;
use super::proxies::{self, Proxies};
use super::shares;

/// The sender of one request. Clones are the same sender.
///
/// A sender is authenticated by a valid token, or by a webhook's secret or signature. Until then
/// its body may use only a part of `server.body_budget`, and its connection is evicted first.
#[derive(Debug, Clone)]
pub struct Sender {
    client: Option<IpAddr>,
    is_local: bool,
    is_forwarded: bool,
    /// The client address that a trusted proxy names, as it is counted.
    counted_as: Option<IpAddr>,
    authenticated: Arc<AtomicBool>,
    state: Arc<ConnectionState>,
}

impl Sender {
    /// The sender of a request on this connection.
    pub(super) fn of(
        peer: Peer,
        headers: &HeaderMap,
        proxies: &Proxies,
        state: &Arc<ConnectionState>,
    ) -> Self {
        let address = peer.address();
        let is_local = address.is_none_or(|address| address.is_loopback());
        let is_forwarded = proxies::is_forwarded(headers);
        let named = if proxies.contain(address) {
            proxies.client(headers)
        } else {
            None
        };
        let counted_as = named.and_then(shares::counted_as);
        Self {
            client: named.or(address),
            is_local,
            is_forwarded,
            counted_as,
            authenticated: Arc::default(),
            state: Arc::clone(state),
        }
    }

    /// An unknown sender, for requests that did not come through [`serve`](super::serve()).
    fn unknown() -> Self {
        let state = Arc::new(ConnectionState::new(Instant::now(), None));
        Self {
            client: None,
            is_local: false,
            is_forwarded: false,
            counted_as: None,
            authenticated: Arc::default(),
            state,
        }
    }

    /// The client's address: of the connection, or as a trusted proxy names it. `None` for a unix
    /// socket.
    pub fn address(&self) -> Option<IpAddr> {
        self.client
    }

    /// Whether the client runs on this machine: it is connected by loopback or unix socket, and the
    /// request was not forwarded.
    pub fn is_on_this_machine(&self) -> bool {
        self.is_local && !self.is_forwarded
    }

    /// The address that the request counts under, in addition to its connection's.
    pub(super) fn counted_as(&self) -> Option<IpAddr> {
        self.counted_as
    }

    /// Marks the sender as authenticated.
    pub fn mark_authenticated(&self) {
        self.trust();
        self.state.mark_authenticated();
    }

    /// Marks the sender as trusted without authentication, because it runs on this machine and
    /// there are no tokens. Its bodies get the full budget; its connections are evicted like all
    /// others.
    pub(super) fn trust(&self) {
        self.authenticated.store(true, Ordering::Relaxed);
    }

    /// Whether the sender is authenticated or trusted.
    pub fn is_authenticated(&self) -> bool {
        self.authenticated.load(Ordering::Relaxed)
    }
}

impl<S: Sync> FromRequestParts<S> for Sender {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts
            .extensions
            .get()
            .cloned()
            .unwrap_or_else(Self::unknown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::proxies::Proxy;

    fn sender(remote: &str, headers: &[(&'static str, &str)]) -> Sender {
        let proxies = Proxies::default();
        proxies.replace(&[
            Proxy::parse("127.0.0.2").unwrap(),
            Proxy::parse("10.0.0.0/8").unwrap(),
        ]);
        let peer = Peer::Tcp {
            remote: (remote.parse::<IpAddr>().unwrap(), 1).into(),
            local: ([127, 0, 0, 1], 2).into(),
        };
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    axum::http::HeaderName::from_static(name),
                    value.parse().unwrap(),
                )
            })
            .collect();
        Sender::of(
            peer,
            &headers,
            &proxies,
            &Arc::new(ConnectionState::new(Instant::now(), None)),
        )
    }

    #[test]
    fn forwarded_requests_are_not_local() {
        assert!(sender("127.0.0.1", &[]).is_on_this_machine());
        assert!(!sender("192.0.2.1", &[]).is_on_this_machine());
        for header in ["x-forwarded-for", "forwarded", "via"] {
            assert!(
                !sender("127.0.0.1", &[(header, "127.0.0.1")]).is_on_this_machine(),
                "{header}"
            );
        }
    }

    #[test]
    fn only_trusted_proxies_name_the_client() {
        let address = |remote, value| {
            sender(remote, &[("x-forwarded-for", value)])
                .address()
                .unwrap()
                .to_string()
        };
        assert_eq!(address("192.0.2.1", "1.2.3.4"), "192.0.2.1");
        assert_eq!(address("10.0.0.1", "1.2.3.4"), "1.2.3.4");
        assert_eq!(address("127.0.0.2", "6.6.6.6, 1.2.3.4"), "1.2.3.4");
        assert_eq!(address("127.0.0.2", "nobody"), "127.0.0.2");
    }

    #[test]
    fn authentication_holds_for_one_request() {
        let proxies = Proxies::default();
        let state = Arc::new(ConnectionState::new(Instant::now(), None));
        let first = Sender::of(Peer::Unix, &HeaderMap::new(), &proxies, &state);
        first.mark_authenticated();
        let second = Sender::of(Peer::Unix, &HeaderMap::new(), &proxies, &state);
        assert_eq!(
            (
                first.is_authenticated(),
                second.is_authenticated(),
                second.is_on_this_machine()
            ),
            (true, false, true)
        );
    }
}
