//! Trusted proxies (`server.trusted_proxies`).

use std::net::IpAddr;
#[cfg(feature = "server")]
use std::sync::Arc;

#[cfg(feature = "server")]
use arc_swap::ArcSwap;
#[cfg(feature = "server")]
use axum::http::HeaderMap;
use ipnet::IpNet;

/// Header in which proxies append the client's address.
#[cfg(feature = "server")]
const FORWARDED_FOR: &str = "x-forwarded-for";
/// Maximum number of addresses that are read, from the end.
#[cfg(feature = "server")]
const MAX_HOPS: usize = 16;

/// One entry of `server.trusted_proxies`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proxy {
    /// Any client of the unix socket.
    UnixSocket,
    /// An address or a network.
    Network(IpNet),
}

impl Proxy {
    /// Parses `unix`, an address, or a network such as `10.0.0.0/8`.
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

/// The active trusted proxies. Clones share them.
#[cfg(feature = "server")]
#[derive(Debug, Clone, Default)]
pub struct Proxies(Arc<ArcSwap<Vec<Proxy>>>);

#[cfg(feature = "server")]
impl Proxies {
    /// Replaces the list, starting with the next request.
    pub fn replace(&self, proxies: &[Proxy]) {
        self.0.store(Arc::new(proxies.to_vec()));
    }

    /// Whether a client is a trusted proxy; a unix socket has no address.
    pub(super) fn contain(&self, address: Option<IpAddr>) -> bool {
        self.0.load().iter().any(|proxy| proxy.is(address))
    }

    /// The client's address according to trusted proxies: the last address in `X-Forwarded-For`
    /// that is not a trusted proxy. `None` without the header, or if it is malformed.
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

/// Parses an address, optionally in brackets and with a port.
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

/// Whether the request was forwarded, by a trusted proxy or another one.
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
    fn entries_parse_as_address_network_or_unix() {
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
    fn client_is_the_last_untrusted_address() {
        let proxies = ["10.0.0.0/8", "unix"];
        assert_eq!(client(&proxies, &["1.2.3.4"]).as_deref(), Some("1.2.3.4"));
        assert_eq!(
            client(&proxies, &["6.6.6.6, 1.2.3.4, 10.0.0.7"]).as_deref(),
            Some("1.2.3.4"),
            "claims of the client come first"
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
