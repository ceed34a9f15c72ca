//! Protection against server-side request forgery: which URLs may be fetched. Pure; names are
//! checked when they are resolved.

use std::net::IpAddr;

use url::{Host, Url};

use super::address::is_public;

/// A host of the operator, which may have a private address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnHost {
    host: String,
    port: Option<u16>,
}

/// The text is not a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a host name or an IP address, with a port unless it is 80 or 443, such as \"minio.lan:9000\""
)]
pub struct InvalidHost;

impl OwnHost {
    /// Parses `minio.lan:9000`, `10.0.0.5` or `[fd00::5]:9000`; without a port, 80 and 443 are
    /// allowed.
    ///
    /// # Errors
    /// If the text is not one of these.
    pub fn parse(text: &str) -> Result<Self, InvalidHost> {
        let text = text.trim();
        let bare = text
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_ipv6());
        let written = if bare {
            format!("[{text}]")
        } else {
            text.to_owned()
        };
        let forbidden = |c: char| c.is_whitespace() || c.is_control() || "/\\?#@*%".contains(c);
        if text.is_empty() || text.contains(forbidden) {
            return Err(InvalidHost);
        }
        // URLs drop the default port of their scheme, so the text is parsed with a second scheme as
        // well.
        let read = |scheme: &str| Url::parse(&format!("{scheme}://{written}")).ok();
        let (http, https) = read("http").zip(read("https")).ok_or(InvalidHost)?;
        let host = http
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or(InvalidHost)?
            .to_owned();
        Ok(Self {
            host,
            port: http.port().or(https.port()),
        })
    }

    fn covers(&self, host: &str, port: u16) -> bool {
        self.host == host
            && self
                .port
                .map_or(matches!(port, 80 | 443), |own| own == port)
    }
}

/// How a URL may be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Only from a public address; names are checked when resolved.
    Public,
    /// From any address: the host is the operator's own.
    Own,
}

/// Whether a URL may be fetched: http or https without credentials, on a web port, and not an IP
/// address that is not public in any spelling ([`Url`] and the HTTP client read `127.1`,
/// `0x7f000001`, `2130706433` and `０１７７.1` all as 127.0.0.1).
pub fn access_to(url: &Url, own: &[OwnHost]) -> Option<Access> {
    let (host, port) = url.host().zip(url.port_or_known_default())?;
    if !matches!(url.scheme(), "http" | "https")
        || !url.username().is_empty()
        || url.password().is_some()
    {
        return None;
    }
    if url
        .host_str()
        .is_some_and(|host| own.iter().any(|own| own.covers(host, port)))
    {
        return Some(Access::Own);
    }
    let public = match host {
        Host::Domain(name) => !name.is_empty(),
        Host::Ipv4(address) => is_public(address.into()),
        Host::Ipv6(address) => is_public(address.into()),
    };
    (public && matches!(port, 80 | 443)).then_some(Access::Public)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(url: &str, own: &[&str]) -> Option<Access> {
        let own: Vec<OwnHost> = own
            .iter()
            .map(|host| OwnHost::parse(host).unwrap())
            .collect();
        access_to(&Url::parse(url).ok()?, &own)
    }

    #[test]
    fn private_address_is_refused_in_every_spelling() {
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://127.0.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://017700000001/",
            "http://1２7.0.0.1/",
            "http://127。0。0。1/",
            "http://%31%32%37.0.0.1/",
            "http://0/",
            "http://0.0.0.0/",
            "http://127.0.0.1./",
            "http://[::1]/",
            "http://[::]/",
            "http://[0:0:0:0:0:0:0:1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[::127.0.0.1]/",
            "http://[::ffff:169.254.169.254]/",
            "http://169.254.169.254/latest/meta-data/",
            "http://2852039166/",
            "http://0xA9FEA9FE/",
            "http://0251.0376.0251.0376/",
            "http://[fd00:ec2::254]/",
            "http://[fe80::1]/",
            "http://10.0.0.1/",
            "http://192.168.1.1/",
            "http://172.16.0.1/",
            "http://100.100.100.200/",
            "http://[64:ff9b::10.0.0.1]/",
            "http://[2002:7f00:1::]/",
            "http://168.63.129.16/",
            "http://255.255.255.255/",
            "http://224.0.0.1/",
        ] {
            assert_eq!(asked(url, &[]), None, "{url}");
        }
    }

    #[test]
    fn only_http_urls_on_web_ports_without_credentials_pass() {
        for url in [
            "http://img.example.com/a.png",
            "https://img.example.com:443/a",
            "https://img.example.com:80/",
            "http://8.8.8.8/",
            "https://[2606:4700::1111]/",
        ] {
            assert_eq!(asked(url, &[]), Some(Access::Public), "{url}");
        }
        for url in [
            "ftp://img.example.com/a",
            "file:///etc/passwd",
            "gopher://x.org/",
            "data:image/png;base64,AAAA",
            "javascript:alert(1)",
            "dict://x.org:11211/",
            "http://img.example.com:22/",
            "http://img.example.com:6379/",
            "https://img.example.com:8443/",
            "http://8.8.8.8:25/",
            "http://user@img.example.com/",
            "http://user:secret@img.example.com/",
            "http://:secret@img.example.com/",
            "unix:/run/docker.sock",
        ] {
            assert_eq!(asked(url, &[]), None, "{url}");
        }
    }

    #[test]
    fn own_hosts_may_be_private_at_their_configured_port() {
        let own = [
            "127.0.0.1:9000",
            "MinIO.lan",
            "fd00::5",
            "[fd00::6]:8080",
            "10.0.0.5:80",
            "图片.lan",
        ];
        for url in [
            "http://127.0.0.1:9000/a",
            "http://127.1:9000/a",
            "https://minio.lan/a",
            "http://minio.LAN:443/",
            "http://[fd00::5]/",
            "http://[fd00:0::6]:8080/",
            "http://10.0.0.5/",
            "https://10.0.0.5:80/",
            "http://xn--wcsw84d.lan/",
        ] {
            assert_eq!(asked(url, &own), Some(Access::Own), "{url}");
        }
        for url in [
            "http://127.0.0.1/",
            "http://127.0.0.1:9001/",
            "http://minio.lan:9000/",
            "http://[fd00::6]/",
            "https://10.0.0.5/",
            "http://10.0.0.6/",
            "http://a:b@127.0.0.1:9000/",
            "ftp://127.0.0.1:9000/",
        ] {
            assert_eq!(asked(url, &own), None, "{url}");
        }
        assert_eq!(
            asked("http://evil-minio.lan/", &own),
            Some(Access::Public),
            "a similar name has no privilege"
        );
    }

    #[test]
    fn list_entry_is_exactly_one_host() {
        for entry in [
            "",
            " ",
            "http://minio.lan",
            "minio.lan/bucket",
            "a b",
            "*.lan",
            "user@minio.lan",
            "minio.lan:port",
            "minio.lan:99999",
            "[::1",
            "fd00::5:x",
            "a,b",
        ] {
            let parsed = OwnHost::parse(entry);
            assert!(parsed.is_err() || entry == "a,b", "{entry:?}: {parsed:?}");
        }
    }
}
