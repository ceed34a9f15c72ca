//! Checks `Host` and `Origin` before every route.
//!
//! A web page under a foreign name that resolves to our address (DNS rebinding) reaches us like any
//! local program; only `Host` and `Origin` reveal it. So both must be ours unless a token or a
//! webhook's secret authenticates the caller.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::host::{Authority, Host};
use super::{Access, Peer, Problem, Sender, Settings, Why};

/// Health probes may use any name.
const HEALTH: [&str; 3] = ["/livez", "/readyz", "/health"];
/// Webhooks have other means of authentication; they check `Host` and `Origin` themselves if
/// necessary.
const HOOKS: &str = "/v1/hooks/";

/// What the connection and the head say about the caller, an extension of every request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Visitor {
    /// The addresses of the connection.
    pub peer: Option<Peer>,
    host_is_ours: bool,
    origin_is_ours: bool,
}

impl Visitor {
    /// Checks that `Host` is ours.
    ///
    /// # Errors
    /// 421 for any other name.
    pub fn check_host(self) -> Result<(), Problem> {
        let advice = "unknown Host: use a loopback name or the listening address, add the name to server.hosts, or send a token";
        if self.host_is_ours {
            Ok(())
        } else {
            Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, advice).because(Why::Host))
        }
    }

    /// Checks that the request does not come from a web page of another origin.
    ///
    /// # Errors
    /// 403 if it does.
    pub fn check_origin(self) -> Result<(), Problem> {
        let advice = "request from a web page of another origin; configure server.tokens and send one, or add the page's host to server.hosts";
        if self.origin_is_ours {
            Ok(())
        } else {
            Err(Problem::new(StatusCode::FORBIDDEN, advice).because(Why::Origin))
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = std::convert::Infallible;

    /// Without [`guard`], nothing is ours.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get().copied().unwrap_or_default())
    }
}

/// Rejects requests without exactly one `Host`, and, if there are no tokens, those with a foreign
/// one; slows down guessing.
pub async fn guard(State(access): State<Access>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    let visitor = match visitor(&access, peer, &request) {
        Ok(visitor) => visitor,
        Err(problem) => return problem.into_response(),
    };
    let address = request
        .extensions()
        .get::<Sender>()
        .and_then(Sender::address);
    let path = request.uri().path();
    let is_open = HEALTH.contains(&path) || path.starts_with(HOOKS);
    if !access.has_tokens()
        && !is_open
        && let Err(problem) = visitor.check_host()
    {
        return problem.into_response();
    }
    request.extensions_mut().insert(visitor);
    access.slow_down(address, next.run(request).await).await
}

fn visitor(access: &Access, peer: Option<Peer>, request: &Request) -> Result<Visitor, Problem> {
    let host = host(request.headers())?;
    let target = match request.uri().authority() {
        Some(authority) => Some(Authority::parse(authority.as_str()).ok_or_else(bad_host)?),
        None => None,
    };
    let ours = access.names();
    let host_is_ours = peer == Some(Peer::Unix)
        || std::iter::once(&host)
            .chain(&target)
            .all(|authority| ours.covers(&authority.host, peer));
    Ok(Visitor {
        peer,
        host_is_ours,
        origin_is_ours: ours.is_origin(request.headers(), &host, peer),
    })
}

/// The `Host` of a request, which must be unique (RFC 9112 §3.2).
fn host(headers: &HeaderMap) -> Result<Authority, Problem> {
    let mut all = headers.get_all(header::HOST).iter();
    match (all.next().and_then(|value| value.to_str().ok()), all.next()) {
        (Some(text), None) => Authority::of_host(text).ok_or_else(bad_host),
        _ => Err(bad_host()),
    }
}

fn bad_host() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "send exactly one Host: a name or an address, optionally with a port",
    )
    .because(Why::Host)
}

/// The names of this server.
#[derive(Debug)]
pub(super) struct Names {
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

impl Names {
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
    fn covers(&self, host: &Host, peer: Option<Peer>) -> bool {
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
    fn is_origin(&self, headers: &HeaderMap, host: &Authority, peer: Option<Peer>) -> bool {
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

    fn names() -> Names {
        let hosts = ["bell.example.com", "192.0.2.7"]
            .map(|host| Host::parse(host).unwrap())
            .to_vec();
        Names {
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
