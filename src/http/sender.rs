//! Who sent a request, as far as is known: an extension of every request.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

use super::Peer;
use super::proxies::{self, Proxies};
use super::seat::Seat;
use super::shares;

/// The sender of one request. Clones are the same sender.
///
/// A sender is proven by a good token, or by the secret or signature that a hook asks for. Until
/// then its body may take only a part of `server.body_budget`, and its connection is the first to
/// give way.
#[derive(Debug, Clone)]
pub struct Sender {
    client: Option<IpAddr>,
    is_local: bool,
    is_forwarded: bool,
    /// The address that a trusted proxy forwards the request for, as it is counted.
    counted_as: Option<IpAddr>,
    proven: Arc<AtomicBool>,
    seat: Arc<Seat>,
}

impl Sender {
    /// The sender of a request that came over this connection.
    pub(super) fn of(peer: Peer, headers: &HeaderMap, proxies: &Proxies, seat: &Arc<Seat>) -> Self {
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
            proven: Arc::default(),
            seat: Arc::clone(seat),
        }
    }

    /// A sender of whom nothing is known, for a request that did not come through
    /// [`serve`](super::serve()).
    fn unknown() -> Self {
        let seat = Arc::new(Seat::new(Instant::now(), None));
        Self {
            client: None,
            is_local: false,
            is_forwarded: false,
            counted_as: None,
            proven: Arc::default(),
            seat,
        }
    }

    /// The address that it sends from: that of the connection, or behind a trusted proxy the one
    /// that the proxy names. A unix socket has none.
    pub fn address(&self) -> Option<IpAddr> {
        self.client
    }

    /// Whether it runs on this machine: it is connected by loopback or by a unix socket, and no
    /// proxy says that it forwards the request.
    pub fn is_on_this_machine(&self) -> bool {
        self.is_local && !self.is_forwarded
    }

    /// The address under which the request counts beside its connection's own.
    pub(super) fn counted_as(&self) -> Option<IpAddr> {
        self.counted_as
    }

    /// Notes that it has proven who it is.
    pub fn prove(&self) {
        self.trust();
        self.seat.prove();
    }

    /// Notes that it needs no proof, because it is on this machine and nobody is asked for a token.
    /// Its bodies count as those of proven senders; its connections give way as all others do, for
    /// there are none with a better claim.
    pub(super) fn trust(&self) {
        self.proven.store(true, Ordering::Relaxed);
    }

    /// Whether it has proven who it is, or needs not.
    pub fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
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
            &Arc::new(Seat::new(Instant::now(), None)),
        )
    }

    #[test]
    fn only_what_no_proxy_forwards_comes_from_this_machine() {
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
    fn only_a_trusted_proxy_names_another_address() {
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
    fn proof_holds_for_one_request() {
        let proxies = Proxies::default();
        let seat = Arc::new(Seat::new(Instant::now(), None));
        let first = Sender::of(Peer::Unix, &HeaderMap::new(), &proxies, &seat);
        first.prove();
        let second = Sender::of(Peer::Unix, &HeaderMap::new(), &proxies, &seat);
        assert_eq!(
            (
                first.is_proven(),
                second.is_proven(),
                second.is_on_this_machine()
            ),
            (true, false, true)
        );
    }
}
