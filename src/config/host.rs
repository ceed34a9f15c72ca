//! The address and encryption of a mail server: `host`, `port`, `tls`, `helo_name`.

use super::layers::BUILT_IN;
use super::message::{Message, message};
use super::values::{Refusal, Values};
use crate::transport::providers::Provider;
use crate::transport::smtp::{self, Tls};

/// The host name, from the key or the provider. A missing one is a problem if it is `needed`.
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
        let message = message!(
            "provider \"{0}\" has a host for each region; set it, as in host = \"email-smtp.eu-west-1.amazonaws.com\"",
            "provider \"{0}\" 各地域的主机不同；请设置 host，例如 host = \"email-smtp.eu-west-1.amazonaws.com\"",
            preset.name
        );
        let place = values.origin(&provider);
        values.findings.problem(&place, &path, message);
    } else if needed && !values.has(&provider) {
        let [en, zh] = match home {
            "smtp" => [
                "disable mails with smtp.enable = false",
                "用 smtp.enable = false 关闭发信",
            ],
            _ => ["remove this table", "删去该表"],
        };
        let message = message!(
            "there is no mail server; set {path} to its name or {provider} to a known service, or {en}",
            "没有邮件服务器；请设置 {path}，或把 {provider} 设为已知服务，或{zh}"
        );
        values.missing(home, "host", message);
    }
    None
}

/// A host name in ASCII, or an address.
fn host_name(text: &str) -> Result<String, Refusal> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    if bare.parse::<std::net::IpAddr>().is_ok() {
        return Ok(bare.to_owned());
    }
    let mistakes = [
        (
            "://",
            ["omit the scheme and the slashes", "请去掉协议和斜杠"],
        ),
        (
            ":",
            ["set the port with the key port", "端口请用 port 设置"],
        ),
        (
            "@",
            [
                "this is a mail address, not a server",
                "这是邮箱地址，不是服务器",
            ],
        ),
    ];
    if let Some((_, message)) = mistakes.iter().find(|(mark, _)| text.contains(mark)) {
        return Err(Some(Message::from(*message)));
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

/// The name in EHLO. A backup without one uses the primary's, because it is the name of this machine.
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
    /// Whether `tls = "none"` is set explicitly.
    pub plain_login: bool,
}

/// Reads port and encryption. `tls = "auto"` depends on the port. The default port is the provider's,
/// or the usual one of the encryption.
pub(super) fn encryption(values: &mut Values, home: &str, preset: Option<&Provider>) -> Encryption {
    let (port_path, tls_path) = (format!("{home}.port"), format!("{home}.tls"));
    let chosen = match values.choice(&tls_path) {
        Some("implicit") => Some(Tls::Implicit),
        Some("starttls") => Some(Tls::Starttls),
        Some("none") => Some(Tls::None),
        _ => None,
    };
    let plain_login = chosen == Some(Tls::None);
    if values.has(&port_path) {
        let port = values.whole(&port_path).unwrap_or_default();
        let preset_tls = preset
            .filter(|preset| preset.port == port)
            .map(|preset| preset.tls);
        return Encryption {
            port,
            tls: chosen.or(preset_tls).unwrap_or_else(|| Tls::auto(port)),
            plain_login,
        };
    }
    let preset = preset.filter(|preset| chosen.is_none_or(|tls| tls == preset.tls));
    let (port, origin) = match (preset, chosen) {
        (Some(preset), _) => (preset.port, format!("provider \"{}\"", preset.name)),
        (None, Some(Tls::Implicit)) => (465, "usual with tls = \"implicit\"".to_owned()),
        (None, _) => (587, BUILT_IN.to_owned()),
    };
    if values.has(&format!("{home}.host")) {
        values.supply(&port_path, &origin, &port.to_string());
    }
    Encryption {
        port,
        tls: chosen
            .or(preset.map(|preset| preset.tls))
            .unwrap_or_else(|| Tls::auto(port)),
        plain_login,
    }
}
