//! Proxies in front of us whose word about their clients' addresses counts
//! (`server.trusted_proxies`).

use std::net::IpAddr;
#[cfg(feature = "server")]
use std::sync::Arc;

#[cfg(feature = "server")]
use arc_swap::ArcSwap;
#[cfg(feature = "server")]
use axum::http::HeaderMap;
use ipnet::IpNet;

/// The header in which a proxy names its client, and before it what the client claimed.
#[cfg(feature = "server")]
const FORWARDED_FOR: &str = "x-forwarded-for";
/// The most addresses of that header that are looked at, from its end.
#[cfg(feature = "server")]
const MAX_HOPS: usize = 16;

/// One entry of `server.trusted_proxies`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proxy {
    /// Whoever connects over the unix socket.
    UnixSocket,
    /// An address or a network.
    Network(IpNet),
}

impl Proxy {
    /// Reads `unix`, an address, or a network as `10.0.0.0/8`.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "unix" {
            return Some(Self::UnixSocket);
        }
        let address = || {
            text.parse::<IpAddr>()
                .ok()
                .map(|address| IpNet::from(address.to_canonical()))
        };
        text.parse::<IpNet>()
            .ok()
            .or_else(address)
            .map(Self::Network)
    }

    #[cfg(feature = "server")]
    fn is(self, address: Option<IpAddr>) -> bool {
        match (self, address) {
            (Self::UnixSocket, None) => true,
            (Self::Network(network), Some(address)) => network.contains(&address),
            _ => false,
        }
    }
}

/// The trusted proxies in force. Clones share them.
#[cfg(feature = "server")]
#[derive(Debug, Clone, Default)]
pub struct Proxies(Arc<ArcSwap<Vec<Proxy>>>);

#[cfg(feature = "server")]
impl Proxies {
    /// Puts this list in force, from the next request on.
    pub fn replace(&self, proxies: &[Proxy]) {
        self.0.store(Arc::new(proxies.to_vec()));
    }

    /// Whether the other end of a connection is one of them; a unix socket has no address.
    pub(super) fn contain(&self, address: Option<IpAddr>) -> bool {
        self.0.load().iter().any(|proxy| proxy.is(address))
    }

    /// The address for which a trusted proxy forwards a request: the last one in `X-Forwarded-For`
    /// that is not a trusted proxy's own. `None` when the header is missing, or when what stands
    /// there is no address.
    pub(super) fn client(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let lines: Vec<&str> = headers
            .get_all(FORWARDED_FOR)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .collect();
        let mut client = None;
        for hop in lines
            .iter()
            .rev()
            .flat_map(|line| line.rsplit(','))
            .take(MAX_HOPS)
        {
            let Some(address) = parse_hop(hop.trim()) else {
                return client;
            };
            client = Some(address);
            if !self.contain(client) {
                return client;
            }
        }
        client
    }
}

/// An address, also in brackets and with a port.
#[cfg(feature = "server")]
fn parse_hop(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let with_port = || {
        text.parse::<std::net::SocketAddr>()
            .ok()
            .map(|address| address.ip())
    };
    bare.parse()
        .ok()
        .or_else(with_port)
        .map(|address: IpAddr| address.to_canonical())
}

/// Whether a proxy forwards this request, trusted or not.
#[cfg(feature = "server")]
pub(super) fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(FORWARDED_FOR)
        || headers.contains_key(axum::http::header::FORWARDED)
        || headers.contains_key(axum::http::header::VIA)
}

#[cfg(feature = "server")]
#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &[&str], lines: &[&str]) -> Option<String> {
        let proxies = Proxies::default();
        proxies.replace(
            &trusted
                .iter()
                .map(|text| Proxy::parse(text).unwrap())
                .collect::<Vec<_>>(),
        );
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        proxies.client(&headers).map(|address| address.to_string())
    }

    #[test]
    fn entries_are_addresses_networks_or_the_unix_socket() {
        for good in [
            "unix",
            "127.0.0.1",
            "::1",
            "10.0.0.0/8",
            "2001:db8::/32",
            "::ffff:10.1.2.3",
        ] {
            assert!(Proxy::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "localhost",
            "10.0.0.0/33",
            "10.0.0.1:80",
            "*",
            "unix:/run/x",
        ] {
            assert!(Proxy::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn client_is_the_last_address_that_is_not_a_trusted_proxy() {
        let proxies = ["10.0.0.0/8", "unix"];
        assert_eq!(client(&proxies, &["1.2.3.4"]).as_deref(), Some("1.2.3.4"));
        assert_eq!(
            client(&proxies, &["6.6.6.6, 1.2.3.4, 10.0.0.7"]).as_deref(),
            Some("1.2.3.4"),
            "what the client claims comes before"
        );
        assert_eq!(
            client(&proxies, &["6.6.6.6", "1.2.3.4"]).as_deref(),
            Some("1.2.3.4"),
            "several lines are one list"
        );
        assert_eq!(
            client(&proxies, &["[2001:db8::1]:4711"]).as_deref(),
            Some("2001:db8::1")
        );
        assert_eq!(
            client(&proxies, &["::ffff:1.2.3.4"]).as_deref(),
            Some("1.2.3.4")
        );
        assert_eq!(
            client(&proxies, &["10.0.0.1, 10.0.0.2"]).as_deref(),
            Some("10.0.0.1")
        );
        assert_eq!(client(&proxies, &["1.2.3.4, unknown"]), None);
        assert_eq!(
            client(&proxies, &["secret, 10.0.0.2"]).as_deref(),
            Some("10.0.0.2")
        );
        assert_eq!(client(&proxies, &[]), None);
    }
}
