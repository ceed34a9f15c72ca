//! `[smtp]` and `[[smtp.backup]]`: the mail servers.

use super::host::{Encryption, encryption, helo_name, host};
use super::server::common;
use super::values::Values;
use super::{Sources, credentials, directmail, login, preset, sender};
use crate::domain::Mailbox;
use crate::transport::providers::Provider;
use crate::transport::{Kind, Settings, smtp};

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
        from.as_ref(),
        reply_to.clone(),
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
            values.warn(
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
                own_from.as_ref(),
                own_reply,
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

/// One server; `None` when it has no host or something about it is wrong. `needed` makes a missing
/// host a problem.
fn server(
    values: &mut Values,
    sources: &Sources,
    home: &str,
    needed: bool,
    from: Option<&Mailbox>,
    reply_to: Vec<Mailbox>,
) -> Option<Settings> {
    let preset = preset::read(values, home);
    preset::limits(values, home, preset.as_ref());
    let sender = from.cloned().or_else(sender::nobody)?;
    let common = common(values, home, sender, reply_to);
    let kind = if directmail::is_wanted(values, home, preset.as_ref()) {
        Kind::DirectMail(directmail::server(values, sources, home)?)
    } else {
        directmail::unused(values, home);
        let from = from.filter(|_| needed);
        Kind::Smtp(by_smtp(values, sources, home, preset, needed, from)?)
    };
    Some(Settings { common, kind })
}

/// The keys of SMTP; `None` when there is no host. The login is checked against `from`.
fn by_smtp(
    values: &mut Values,
    sources: &Sources,
    home: &str,
    preset: Option<Provider>,
    needed: bool,
    from: Option<&Mailbox>,
) -> Option<smtp::Settings> {
    let key = |name: &str| format!("{home}.{name}");
    let host = host(values, home, preset.as_ref(), needed);
    let Encryption {
        port,
        tls,
        plain_login,
    } = encryption(values, home, preset.as_ref());
    let login = login::read(values, sources, home, preset.as_ref(), needed);
    if let (Some(login), Some(from)) = (&login, from) {
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
        provider: preset.map(|preset| preset.name),
        host: host.clone().unwrap_or_default(),
        port,
        tls,
        plain_login,
        tls_ca_file: credentials::certificate(values, sources, &key("tls_ca_file")),
        helo_name: helo_name(values, home),
        login,
        max_mails_per_connection: values
            .whole(&key("max_mails_per_connection"))
            .and_then(|mails| u32::try_from(mails).ok())
            .unwrap_or(1),
        timeout: values.span(&key("timeout")),
    };
    host.map(|_| settings)
}

/// Servers without a name are called by their host, or `directmail`; no two may be called the same.
fn distinct_names(values: &mut Values, list: &mut [Settings]) {
    let mut taken: Vec<String> = list
        .iter()
        .map(|server| server.common.name.to_string())
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
    for server in list
        .iter_mut()
        .filter(|server| server.common.name.is_empty())
    {
        let plain = match &server.kind {
            Kind::Smtp(settings) => settings.host.as_str(),
            Kind::DirectMail(_) => "directmail",
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
        server.common.name = name.as_str().into();
        taken.push(name);
    }
}
