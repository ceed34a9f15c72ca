//! The server's capabilities according to its EHLO reply, and our name in EHLO.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The offered mechanisms of `AUTH` that we support (RFC 4954).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are independent of each other"
)]
pub(super) struct Mechanisms {
    /// `PLAIN` (RFC 4616).
    pub plain: bool,
    /// `LOGIN`: not a standard, but the only one that some servers offer.
    pub login: bool,
    /// `XOAUTH2` of Google and Microsoft.
    pub xoauth2: bool,
    /// Whether any mechanism was offered, supported or not.
    pub any: bool,
}

/// The extensions in an EHLO reply that we use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are independent of each other"
)]
pub(super) struct Capabilities {
    /// Commands may be sent in one write (RFC 2920).
    pub pipelining: bool,
    /// `SIZE` is supported (RFC 1870).
    pub size: bool,
    /// The maximum message size in octets, if the server has one.
    pub max_size: Option<u64>,
    /// Addresses and headers may be UTF-8 (RFC 6531).
    pub smtputf8: bool,
    /// The connection can be encrypted (RFC 3207).
    pub starttls: bool,
    /// `BDAT` is supported (RFC 3030).
    pub chunking: bool,
    /// The offered login mechanisms.
    pub auth: Mechanisms,
}

impl Capabilities {
    /// Parses the texts of an EHLO reply, joined by `\n`. The first line is the server's greeting.
    /// Keywords are case-insensitive.
    ///
    /// `AUTH=LOGIN PLAIN`, the form in drafts before RFC 2554, is read like `AUTH LOGIN PLAIN`,
    /// because some servers send nothing else.
    pub(super) fn parse(lines: &[u8]) -> Self {
        let mut found = Self::default();
        for line in lines.split(|byte| *byte == b'\n').skip(1) {
            let line = String::from_utf8_lossy(line).to_ascii_uppercase();
            let mut words = line
                .split(|c: char| c.is_ascii_whitespace() || c == '=')
                .filter(|word| !word.is_empty());
            match words.next().unwrap_or_default() {
                "PIPELINING" => found.pipelining = true,
                "SIZE" => {
                    found.size = true;
                    found.max_size = words
                        .next()
                        .and_then(|limit| limit.parse().ok())
                        .filter(|limit| *limit > 0);
                }
                "SMTPUTF8" => found.smtputf8 = true,
                "STARTTLS" => found.starttls = true,
                "CHUNKING" => found.chunking = true,
                "AUTH" => words.for_each(|word| found.auth.add(word)),
                _ => {}
            }
        }
        found
    }
}

impl Mechanisms {
    fn add(&mut self, name: &str) {
        self.any = true;
        match name {
            "PLAIN" => self.plain = true,
            "LOGIN" => self.login = true,
            "XOAUTH2" => self.xoauth2 = true,
            _ => {}
        }
    }
}

/// The default name in EHLO: the host name if it is fully qualified, else the local address as a
/// literal (RFC 5321 §4.1.4).
pub(super) fn own_name(host: Option<&str>, local: SocketAddr) -> String {
    let qualified =
        |name: &&str| name.contains('.') && !name.starts_with("localhost") && is_domain(name);
    let literal = || match local.ip().to_canonical() {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    };
    host.filter(qualified).map_or_else(literal, str::to_owned)
}

/// Whether `name` is valid in EHLO: a domain in ASCII or an address literal (RFC 5321 §4.1.2,
/// §4.1.3).
pub fn is_helo_name(name: &str) -> bool {
    let literal = |text: &str| match text.strip_prefix("IPv6:") {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => text.parse::<Ipv4Addr>().is_ok(),
    };
    match name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(text) => literal(text),
        None => is_domain(name),
    }
}

/// Letters, digits and hyphens, in labels of at most 63 characters.
fn is_domain(name: &str) -> bool {
    let label = |label: &str| {
        let plain = label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (1..=63).contains(&label.len()) && plain && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_known_in_any_case() {
        let found = Capabilities::parse(
            b"mx at your service\nPipelining\nsize 73400320\nStartTLS\nauth login Plain XOAUTH XOAUTH2\nAUTH=LOGIN\n8bitmime\nSmtpUtf8\nchunking",
        );
        let auth = Mechanisms {
            plain: true,
            login: true,
            xoauth2: true,
            any: true,
        };
        assert_eq!(
            found,
            Capabilities {
                pipelining: true,
                size: true,
                max_size: Some(73_400_320),
                smtputf8: true,
                starttls: true,
                chunking: true,
                auth
            }
        );
    }

    #[test]
    fn auth_with_an_equals_sign_is_understood() {
        let auth = Mechanisms {
            plain: true,
            login: true,
            xoauth2: false,
            any: true,
        };
        for line in [
            "AUTH=LOGIN PLAIN",
            "auth=plain login",
            "AUTH= LOGIN PLAIN",
            "AUTH LOGIN\nAUTH=PLAIN",
        ] {
            assert_eq!(
                Capabilities::parse(format!("hi\n{line}").as_bytes()).auth,
                auth,
                "{line}"
            );
        }
    }

    #[test]
    fn size_without_a_number_or_zero_is_unlimited() {
        let size = |reply: &[u8]| {
            let found = Capabilities::parse(reply);
            (found.size, found.max_size)
        };
        assert_eq!(size(b"hi\nSIZE 0"), (true, None));
        assert_eq!(size(b"hi\nSIZE"), (true, None));
        assert_eq!(size(b"STARTTLS\nSIZEABLE"), (false, None));
    }

    #[test]
    fn greeting_of_the_server_is_not_a_keyword() {
        assert!(!Capabilities::parse(b"STARTTLS is my name").starttls);
    }

    #[test]
    fn unqualified_host_is_named_by_its_address() {
        let v4 = "192.0.2.7:5000".parse().unwrap();
        assert_eq!(own_name(Some("mail.example.org"), v4), "mail.example.org");
        for name in [
            Some("box"),
            Some("localhost.localdomain"),
            Some("a b.c"),
            Some("绘.影"),
            Some("a..b"),
            None,
        ] {
            assert_eq!(own_name(name, v4), "[192.0.2.7]");
        }
        assert_eq!(
            own_name(None, "[2001:db8::1]:5000".parse().unwrap()),
            "[IPv6:2001:db8::1]"
        );
    }

    #[test]
    fn helo_name_is_a_domain_or_an_address_literal() {
        for name in [
            "bell.example.com",
            "box",
            "xn--fiqs8s.cn",
            "[192.0.2.7]",
            "[IPv6:2001:db8::1]",
        ] {
            assert!(is_helo_name(name), "{name}");
        }
        for name in [
            "",
            "a b",
            "a..b",
            "-a.b",
            "绘.影",
            "192.0.2.7\r\nMAIL FROM:<a@b.c>",
            "[192.0.2]",
            "[2001:db8::1]",
            "[box]",
            "a_b.example",
        ] {
            assert!(!is_helo_name(name), "{name}");
        }
    }
}
