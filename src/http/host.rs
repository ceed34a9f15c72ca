//! Hosts in `Host`, `Origin` and `server.hosts`. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Maximum length of a host name (RFC 1035 §2.3.4).
const MAX_NAME: usize = 253;

/// A host: an address in canonical form, or an ASCII name in lower case without a trailing dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// An IP address in the usual notation; `0x7f.1` is a name.
    Ip(IpAddr),
    /// A name.
    Name(String),
}

/// A host with an optional port (RFC 9110 §7.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// The host.
    pub host: Host,
    /// The port, when there is one.
    pub port: Option<u16>,
}

impl Host {
    /// Parses a host without a port; Unicode names become ASCII.
    pub fn parse(text: &str) -> Option<Self> {
        let ascii = if text.is_ascii() {
            text.to_owned()
        } else {
            idna::domain_to_ascii_strict(text).ok()?
        };
        let bare = ascii
            .parse::<Ipv6Addr>()
            .map_or(ascii, |address| format!("[{address}]"));
        Authority::parse(&bare)
            .filter(|authority| authority.port.is_none() && !bare.ends_with(':'))
            .map(|authority| authority.host)
    }

    /// Whether it is a loopback name or address.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Ip(address) => address.is_loopback(),
            Self::Name(name) => name == "localhost",
        }
    }
}

impl Authority {
    /// Reads `host`, `host:port`, `[v6]` and `[v6]:port`. Anything else is `None`: user names,
    /// paths, percent-encoding, zones.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix('[') {
            let (address, rest) = rest.split_once(']')?;
            let digits = if rest.is_empty() {
                rest
            } else {
                rest.strip_prefix(':')?
            };
            let host = Host::Ip(IpAddr::V6(address.parse().ok()?).to_canonical());
            return Some(Self {
                host,
                port: port(digits).ok()?,
            });
        }
        let (name, digits) = text.split_once(':').unwrap_or((text, ""));
        let name = name.strip_suffix('.').unwrap_or(name);
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(plain) {
            return None;
        }
        let host = name.parse::<Ipv4Addr>().map_or_else(
            |_| Host::Name(name.to_ascii_lowercase()),
            |address| Host::Ip(address.into()),
        );
        Some(Self {
            host,
            port: port(digits).ok()?,
        })
    }
}

impl Authority {
    /// Parses a `Host` header: everything that [`Authority::parse`] accepts, and any other
    /// registered name (RFC 3986 §3.2.2), such as the percent-encoded path of a socket, which is
    /// never one of our names. A comma is rejected, because it may join several values.
    pub fn of_host(text: &str) -> Option<Self> {
        Self::parse(text).or_else(|| {
            let (name, digits) = text.split_once(':').unwrap_or((text, ""));
            is_registered_name(name).then_some(())?;
            Some(Self {
                host: Host::Name(name.to_ascii_lowercase()),
                port: port(digits).ok()?,
            })
        })
    }
}

fn is_registered_name(name: &str) -> bool {
    let mut parts = name.split('%');
    let plain = |part: &str| {
        part.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(&b))
    };
    let encoded = |part: &str| {
        part.split_at_checked(2).is_some_and(|(digits, rest)| {
            digits.bytes().all(|b| b.is_ascii_hexdigit()) && plain(rest)
        })
    };
    (1..=MAX_NAME).contains(&name.len()) && parts.next().is_some_and(plain) && parts.all(encoded)
}

/// Parses an optional port.
fn port(text: &str) -> Result<Option<u16>, std::num::ParseIntError> {
    // `parse` would accept a sign.
    let digits = if text.starts_with('+') { "-" } else { text };
    if digits.is_empty() {
        Ok(None)
    } else {
        digits.parse().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(String, Option<u16>)> {
        Authority::parse(text).map(|authority| {
            let host = match authority.host {
                Host::Ip(address) => format!("ip {address}"),
                Host::Name(name) => name,
            };
            (host, authority.port)
        })
    }

    #[test]
    fn hosts_parse_in_every_notation_of_http() {
        for (text, host, port) in [
            ("LocalHost", "localhost", None),
            ("localhost.:8000", "localhost", Some(8000)),
            ("localhost:", "localhost", None),
            ("127.0.0.1", "ip 127.0.0.1", None),
            ("127.0.0.1.:1", "ip 127.0.0.1", Some(1)),
            ("[::1]:8000", "ip ::1", Some(8000)),
            ("[0:0:0:0:0:0:0:1]", "ip ::1", None),
            ("[::ffff:127.0.0.1]", "ip 127.0.0.1", None),
            ("127.0.0.1.evil.org", "127.0.0.1.evil.org", None),
            ("0x7f.1", "0x7f.1", None),
            ("2130706433", "2130706433", None),
            ("0177.0.0.1", "0177.0.0.1", None),
        ] {
            assert_eq!(parsed(text), Some((host.to_owned(), port)), "{text}");
        }
    }

    #[test]
    fn malformed_hosts_are_refused() {
        for text in [
            "",
            ".",
            ":80",
            "a:b",
            "a:99999",
            "a:+1",
            "a:80:80",
            "::1",
            "[::1",
            "[::1]x",
            "[fe80::1%25lo]",
            "u@localhost",
            "local host",
            "a/b",
            "%6c",
            "a,b",
            "ü",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    #[test]
    fn configured_hosts_have_no_port_and_may_be_unicode() {
        assert_eq!(
            Host::parse("Bell.Example.COM."),
            Some(Host::Name("bell.example.com".to_owned()))
        );
        assert_eq!(
            Host::parse("glöckchen.example"),
            Some(Host::Name("xn--glckchen-o4a.example".to_owned()))
        );
        assert_eq!(Host::parse("::1"), Host::parse("[::1]"));
        for text in ["a:80", "a:", "http://a", "*.example.com", "a b", ""] {
            assert_eq!(Host::parse(text), None, "{text}");
        }
    }
}
