//! Where a mail server is and how the connection to it is encrypted: `host`, `port`, `tls`,
//! `helo_name`.

use super::values::Values;
use crate::transport::providers::Provider;
use crate::transport::smtp::{self, Tls};

/// The host name: the key, else the provider's.
pub(super) fn host(
    values: &mut Values,
    home: &str,
    preset: Option<&Provider>,
    needed: bool,
) -> Option<String> {
    let path = format!("{home}.host");
    if values.has(&path) {
        return values.parsed(&path, host_name);
    }
    if let Some((name, host)) =
        preset.and_then(|preset| preset.host.map(|host| (preset.name, host)))
    {
        values.supply(&path, &format!("provider \"{name}\""), host);
        return Some(host.to_owned());
    }
    let provider = format!("{home}.provider");
    if let Some(preset) = preset {
        let place = values.origin(&provider);
        let message = format!(
            "provider \"{}\" has a host for each region; give it, as in host = \"email-smtp.eu-west-1.amazonaws.com\"",
            preset.name
        );
        values.findings.problem(&place, &path, message);
    } else if needed && !values.has(&provider) {
        let place = values.home(home, "host");
        let (advice, zh) = if home == "smtp" {
            (
                "; or switch mails off with smtp.enable = false",
                "，或用 smtp.enable = false 关闭发信",
            )
        } else {
            ("; or take this table out", "，或删去该表")
        };
        let message = format!(
            "there is no mail server; set {path} to its name, or {provider} to a known service{advice} / 没有邮件服务器；请设置 {path}，或把 {provider} 设为已知服务{zh}"
        );
        values.findings.problem(&place, &path, message);
    }
    None
}

/// A host name in ASCII, or an address.
fn host_name(text: &str) -> Result<String, Option<String>> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    if bare.parse::<std::net::IpAddr>().is_ok() {
        return Ok(bare.to_owned());
    }
    if text.contains("://") {
        return Err(Some("leave the scheme and the slashes out".to_owned()));
    }
    if text.contains(':') {
        return Err(Some("the port belongs into the key port".to_owned()));
    }
    if text.contains('@') {
        return Err(Some(
            "this is an address of a person, not of a server".to_owned(),
        ));
    }
    let ascii = idna::domain_to_ascii(text).unwrap_or_default();
    let label_ok = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let name = ascii.strip_suffix('.').unwrap_or(&ascii);
    if name.len() <= 253 && name.split('.').all(label_ok) {
        Ok(name.to_owned())
    } else {
        Err(None)
    }
}

/// The name in EHLO; a backup's is the primary's where it has none of its own, since it names this
/// machine.
pub(super) fn helo_name(values: &mut Values, home: &str) -> Option<String> {
    let own = format!("{home}.helo_name");
    let path = if values.has(&own) {
        own
    } else {
        "smtp.helo_name".to_owned()
    };
    values.parsed(&path, |text| {
        let name = match text.parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V4(address)) => format!("[{address}]"),
            Ok(std::net::IpAddr::V6(address)) => format!("[IPv6:{address}]"),
            Err(_) if text.starts_with('[') => text.to_owned(),
            Err(_) => {
                idna::domain_to_ascii(text.strip_suffix('.').unwrap_or(text)).unwrap_or_default()
            }
        };
        if smtp::is_helo_name(&name) {
            Ok(name)
        } else {
            Err(None)
        }
    })
}

/// Port and encryption of a server.
pub(super) struct Encryption {
    pub port: u16,
    pub tls: Tls,
    /// `tls = "none"` was written by hand.
    pub plain_login: bool,
}

/// Port and encryption. A `tls` of `auto` follows the port; without a port it is the provider's, or
/// the usual one of the encryption.
pub(super) fn encryption(values: &mut Values, home: &str, preset: Option<&Provider>) -> Encryption {
    let (port_path, tls_path) = (format!("{home}.port"), format!("{home}.tls"));
    let said = match values.choice(&tls_path) {
        Some("implicit") => Some(Tls::Implicit),
        Some("starttls") => Some(Tls::Starttls),
        Some("none") => Some(Tls::None),
        _ => None,
    };
    let plain_login = said == Some(Tls::None);
    if values.has(&port_path) {
        let port = values
            .whole(&port_path)
            .and_then(|port| u16::try_from(port).ok())
            .unwrap_or_default();
        let preset_tls = preset
            .filter(|preset| preset.port == port)
            .map(|preset| preset.tls);
        return Encryption {
            port,
            tls: said.or(preset_tls).unwrap_or_else(|| Tls::auto(port)),
            plain_login,
        };
    }
    let preset = preset.filter(|preset| said.is_none_or(|tls| tls == preset.tls));
    let (port, origin) = match (preset, said) {
        (Some(preset), _) => (preset.port, format!("provider \"{}\"", preset.name)),
        (None, Some(Tls::Implicit)) => (465, "usual with tls = \"implicit\"".to_owned()),
        (None, _) => (587, super::layers::BUILT_IN.to_owned()),
    };
    if values.has(&format!("{home}.host")) {
        values.supply(&port_path, &origin, &port.to_string());
    }
    Encryption {
        port,
        tls: said
            .or(preset.map(|preset| preset.tls))
            .unwrap_or_else(|| Tls::auto(port)),
        plain_login,
    }
}
