//! `[smtp]` and `[[smtp.backup]]`: the mail servers.

use std::path::PathBuf;
use std::time::Duration;

use super::credentials::{self, is_placeholder};
use super::values::Values;
use super::{Sources, directmail, login, preset, sender};
use crate::domain::Mailbox;
use crate::transport::Settings;
use crate::transport::providers::Provider;
use crate::transport::smtp::{self, RateLimit, Tls};

/// What the configuration says of mail servers.
pub(super) struct Servers {
    /// `smtp.enable`.
    pub enabled: bool,
    /// Primary first; empty when there is none and none is needed.
    pub list: Vec<Settings>,
    /// Whom mails come from.
    pub from: Option<Mailbox>,
    /// Where answers go.
    pub reply_to: Vec<Mailbox>,
}

/// Reads all servers.
pub(super) fn read(values: &mut Values, sources: &Sources) -> Servers {
    let enabled = values.flag("smtp.enable");
    let needed = enabled && values.complete();
    let from = sender::primary(values, needed);
    let reply_to = sender::reply_to(values, "smtp.reply_to");
    let primary = server(
        values,
        sources,
        "smtp",
        needed,
        Correspondents {
            from: from.clone(),
            reply_to: reply_to.clone(),
        },
    );
    let mut list: Vec<Settings> = primary.into_iter().collect();
    missing_backups(values);
    for index in 0..values.backups() {
        let home = format!("smtp.backup[{index}]");
        let wanted = values.flag(&format!("{home}.enable"));
        let own_from = sender::backup(values, &home, from.as_ref());
        let own_reply = Some(sender::reply_to(values, &format!("{home}.reply_to")))
            .filter(|own| !own.is_empty())
            .unwrap_or_else(|| reply_to.clone());
        let to = format!("{home}.to");
        if values.has(&to) {
            let place = values.origin(&to);
            values.findings.warn(
                &place,
                &to,
                "recipients are read from smtp.to only; this has no effect",
            );
        }
        list.extend(
            server(
                values,
                sources,
                &home,
                needed && wanted,
                Correspondents {
                    from: own_from,
                    reply_to: own_reply,
                },
            )
            .filter(|_| wanted),
        );
    }
    distinct_names(values, &mut list);
    Servers {
        enabled,
        list,
        from,
        reply_to,
    }
}

fn missing_backups(values: &mut Values) {
    for index in values.gaps() {
        let variable = format!("$JOBBELL_SMTP__BACKUP__{index}__HOST");
        values.findings.problem(
            &variable,
            &format!("smtp.backup[{index}]"),
            "a later backup is set, but nothing is said of this one; number them from 0",
        );
    }
}

/// Whom a server's mails come from, and where answers go.
pub(super) struct Correspondents {
    pub from: Option<Mailbox>,
    pub reply_to: Vec<Mailbox>,
}

/// What every server has, whichever way mails reach it.
pub(super) struct Common {
    pub name: String,
    pub tls_ca_file: Option<PathBuf>,
    pub max_connections: usize,
    pub timeout: Duration,
    pub rate_limit: Option<RateLimit>,
    pub cooldown: Duration,
    pub cooldown_max: Duration,
}

impl Common {
    fn read(values: &mut Values, sources: &Sources, home: &str) -> Self {
        let key = |name: &str| format!("{home}.{name}");
        let (cooldown, cooldown_max) =
            super::check::pauses(values, &key("cooldown"), &key("cooldown_max"));
        Self {
            name: values
                .parsed(&key("name"), |text| plain_name(text, 64))
                .unwrap_or_default(),
            tls_ca_file: credentials::certificate(values, sources, &key("tls_ca_file")),
            max_connections: values.count(&key("max_connections")),
            timeout: values.span(&key("timeout")),
            rate_limit: values.rate(&key("rate_limit")),
            cooldown,
            cooldown_max,
        }
    }
}

/// One server; `None` when it has no host or something about it is wrong. `needed` makes a missing
/// host a problem.
fn server(
    values: &mut Values,
    sources: &Sources,
    home: &str,
    needed: bool,
    with: Correspondents,
) -> Option<Settings> {
    let locale = super::check::locale(values);
    let preset = preset::read(values, home);
    preset::limits(values, home, preset.as_ref());
    let common = Common::read(values, sources, home);
    let from = with.from.clone().or_else(sender::nobody)?;
    if directmail::is_wanted(values, home, preset.as_ref()) {
        return directmail::server(
            values,
            sources,
            home,
            Correspondents {
                from: Some(from),
                ..with
            },
            common,
            locale,
        )
        .map(Settings::DirectMail);
    }
    directmail::unused(values, home);
    let host = host(values, home, preset.as_ref(), needed);
    let Encryption {
        port,
        tls,
        plain_login,
    } = encryption(values, home, preset.as_ref());
    let login = login::read(values, sources, home, preset.as_ref(), needed);
    if let (Some(login), Some(from), true) = (&login, &with.from, needed) {
        preset::sender(
            values,
            home,
            preset.as_ref(),
            host.as_deref().unwrap_or_default(),
            login.username(),
            &from.address,
        );
    }
    let settings = smtp::Settings {
        name: common.name.into(),
        provider: preset.map(|preset| preset.name),
        host: host.clone().unwrap_or_default(),
        port,
        tls,
        plain_login,
        tls_ca_file: common.tls_ca_file,
        helo_name: helo_name(values, home),
        login,
        from,
        reply_to: with.reply_to,
        max_connections: common.max_connections,
        max_mails_per_connection: values
            .whole(&format!("{home}.max_mails_per_connection"))
            .and_then(|mails| u32::try_from(mails).ok())
            .unwrap_or(1),
        timeout: common.timeout,
        rate_limit: common.rate_limit,
        cooldown: common.cooldown,
        cooldown_max: common.cooldown_max,
        locale,
    };
    host.map(|_| Settings::Smtp(settings))
}

fn host(
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
fn helo_name(values: &mut Values, home: &str) -> Option<String> {
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

struct Encryption {
    port: u16,
    tls: Tls,
    /// `tls = "none"` was written by hand.
    plain_login: bool,
}

/// Port and encryption. A `tls` of `auto` follows the port; without a port it is the provider's, or
/// the usual one of the encryption.
fn encryption(values: &mut Values, home: &str, preset: Option<&Provider>) -> Encryption {
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

/// The login name.
pub(super) fn username(values: &mut Values, home: &str) -> Option<String> {
    let path = format!("{home}.username");
    let name = values.parsed(&path, |text| plain_name(text, 320))?;
    if is_placeholder(&name) {
        let place = values.origin(&path);
        values.findings.warn(&place, &path, "this looks like the placeholder of a sample configuration; the mail server will refuse it");
    }
    Some(name)
}

/// Text of one line and bounded length.
pub(super) fn plain_name(text: &str, most: usize) -> Result<String, Option<String>> {
    let good = text.chars().count() <= most && !text.chars().any(char::is_control);
    if good { Ok(text.to_owned()) } else { Err(None) }
}

/// Servers without a name are called by their host, or `directmail`; no two may be called the same.
fn distinct_names(values: &mut Values, list: &mut [Settings]) {
    let mut taken: Vec<String> = list
        .iter()
        .map(|server| server.name().to_string())
        .filter(|name| !name.is_empty())
        .collect();
    taken.sort();
    if let Some(pair) = taken.windows(2).find(|pair| pair.first() == pair.last()) {
        let name = pair.first().cloned().unwrap_or_default();
        let place = values.home("smtp", "name");
        values.findings.problem(
            &place,
            "smtp.name",
            format!(
                "two servers are called \"{}\"; give each a name of its own",
                name.escape_debug()
            ),
        );
    }
    for server in list.iter_mut().filter(|server| server.name().is_empty()) {
        let plain = match server {
            Settings::Smtp(settings) => settings.host.as_str(),
            Settings::DirectMail(_) => "directmail",
        };
        let numbered = |n: usize| {
            if n == 1 {
                plain.to_owned()
            } else {
                format!("{plain} ({n})")
            }
        };
        let name = (1..=taken.len() + 1)
            .map(numbered)
            .find(|name| !taken.contains(name))
            .unwrap_or_default();
        server.rename(&name);
        taken.push(name);
    }
}
