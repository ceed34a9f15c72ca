//! Which `Host` and `Origin` belong to this server.

use axum::http::{HeaderMap, HeaderValue, header};

use super::host::{Authority, Host};
use super::{Peer, Settings};

/// The names of this server.
#[derive(Debug)]
pub(super) struct OwnNames {
    hosts: Vec<Host>,
    /// The origin of `server.public_url`.
    public: Option<Origin>,
}

#[derive(Debug, PartialEq, Eq)]
struct Origin {
    https: bool,
    host: Host,
    port: u16,
}

impl Origin {
    /// Parses an `Origin` header (RFC 6454 §6.1). `null` and schemes without hosts are rejected.
    fn parse(text: &str) -> Option<Self> {
        let (https, rest) = match text.split_once("://")? {
            ("http", rest) => (false, rest),
            ("https", rest) => (true, rest),
            _ => return None,
        };
        let Authority { host, port } = Authority::parse(rest)?;
        Some(Self {
            https,
            host,
            port: port.unwrap_or_else(|| usual_port(https)),
        })
    }
}

const fn usual_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

impl OwnNames {
    pub(super) fn new(settings: &Settings) -> Self {
        let public = settings
            .public_url
            .as_ref()
            .and_then(|url| Origin::parse(&url.origin().ascii_serialization()));
        Self {
            hosts: settings.hosts.clone(),
            public,
        }
    }

    /// Whether this name is ours on this connection.
    pub(super) fn covers(&self, host: &Host, peer: Option<Peer>) -> bool {
        let dialled = match (host, peer) {
            (Host::Ip(ip), Some(Peer::Tcp { local, .. })) => *ip == local.ip().to_canonical(),
            _ => false,
        };
        dialled || host.is_loopback() || self.is_configured(host)
    }

    fn is_configured(&self, host: &Host) -> bool {
        self.hosts.contains(host)
            || self
                .public
                .as_ref()
                .is_some_and(|public| public.host == *host)
    }

    /// Whether neither Fetch Metadata nor `Origin` indicates another origin.
    pub(super) fn is_origin(
        &self,
        headers: &HeaderMap,
        host: &Authority,
        peer: Option<Peer>,
    ) -> bool {
        let same_site = |value: &HeaderValue| matches!(value.as_bytes(), b"same-origin" | b"none");
        let ours = |value: &HeaderValue| {
            value
                .to_str()
                .ok()
                .and_then(Origin::parse)
                .is_some_and(|origin| self.owns(&origin, host, peer))
        };
        headers.get_all("sec-fetch-site").iter().all(same_site)
            && headers.get_all(header::ORIGIN).iter().all(ours)
    }

    /// Whether an origin is ours. Another port of this machine is another program, so the port must
    /// be the requested one, the listening one, or, for a configured name, the default one.
    fn owns(&self, origin: &Origin, host: &Authority, peer: Option<Peer>) -> bool {
        let usual = origin.port == usual_port(origin.https);
        let asked = host.port.map_or(usual, |port| port == origin.port);
        let listened = matches!(peer, Some(Peer::Tcp { local, .. }) if local.port() == origin.port);
        let at_port = asked || listened || (usual && self.is_configured(&origin.host));
        self.public.as_ref() == Some(origin) || (at_port && self.covers(&origin.host, peer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> OwnNames {
        let hosts = ["bell.example.com", "192.0.2.7"]
            .map(|host| Host::parse(host).unwrap())
            .to_vec();
        OwnNames {
            hosts,
            public: Origin::parse("https://bell.example.org:8443"),
        }
    }

    fn at(local: &str) -> Peer {
        Peer::Tcp {
            remote: ([192, 0, 2, 1], 5).into(),
            local: local.parse().unwrap(),
        }
    }

    #[test]
    fn own_names_are_loopback_local_address_and_configured_hosts() {
        let covers = |host: &str| {
            names().covers(
                &Authority::parse(host).unwrap().host,
                Some(at("10.0.0.5:8000")),
            )
        };
        for host in [
            "localhost",
            "LOCALHOST.:1",
            "127.0.0.1",
            "127.1.2.3",
            "[::1]",
            "10.0.0.5:8000",
            "10.0.0.5",
            "bell.example.com",
            "192.0.2.7",
            "bell.example.org",
        ] {
            assert!(covers(host), "{host}");
        }
        for host in [
            "evil.org",
            "localhost.evil.org",
            "127.0.0.1.evil.org",
            "evil.localhost",
            "0x7f.1",
            "10.0.0.6",
            "0.0.0.0",
            "[::]",
            "x.bell.example.com",
        ] {
            assert!(!covers(host), "{host}");
        }
    }

    #[test]
    fn origins_are_compared_with_own_names() {
        let owns = |origin: &str, host: &str| {
            let host = Authority::parse(host).unwrap();
            Origin::parse(origin)
                .is_some_and(|origin| names().owns(&origin, &host, Some(at("127.0.0.1:8000"))))
        };
        for (origin, host) in [
            ("http://127.0.0.1:8000", "127.0.0.1:8000"),
            ("http://localhost:8000", "127.0.0.1:8000"),
            ("http://localhost:9000", "localhost:9000"),
            ("https://bell.example.com", "127.0.0.1:8000"),
            ("https://bell.example.org:8443", "127.0.0.1:8000"),
        ] {
            assert!(owns(origin, host), "{origin} at {host}");
        }
        for (origin, host) in [
            ("http://evil.org", "evil.org"),
            ("http://localhost:3000", "127.0.0.1:8000"),
            ("http://bell.example.com:3000", "127.0.0.1:8000"),
            ("http://bell.example.org:8443", "bell.example.com"),
            ("null", "127.0.0.1:8000"),
            ("file://", "127.0.0.1:8000"),
            ("http://localhost:8000@evil.org", "127.0.0.1:8000"),
        ] {
            assert!(!owns(origin, host), "{origin} at {host}");
        }
    }
}
