//! `[smtp]` and `[[smtp.backup]]`: the mail servers.

use super::host::{Encryption, encryption, helo_name, host};
use super::message::message;
use super::server::common;
use super::values::Values;
use super::{Sources, directmail, files, login, preset, sender};
use crate::domain::Mailbox;
use crate::transport::providers::Provider;
use crate::transport::{Kind, Settings, smtp};

/// The mail servers and their common settings.
pub(super) struct Servers {
    /// `smtp.enable`.
    pub enabled: bool,
    /// Primary first; empty if there is none and none is required.
    pub list: Vec<Settings>,
    /// The sender.
    pub from: Option<Mailbox>,
    /// The reply addresses.
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
        let own_reply = sender::reply_to(values, &format!("{home}.reply_to"));
        let to = format!("{home}.to");
        if values.has(&to) {
            values.warn(
                &to,
                [
                    "has no effect; recipients are read from smtp.to only",
                    "不起作用；收件人只从 smtp.to 读取",
                ],
            );
        }
        let own_reply = if own_reply.is_empty() {
            reply_to.clone()
        } else {
            own_reply
        };
        let own_from = own_from.as_ref();
        let backup = server(
            values,
            sources,
            &home,
            needed && wanted,
            own_from,
            own_reply,
        );
        list.extend(backup.filter(|_| wanted));
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
            [
                "this backup is missing, but a later one is set; number them from 0",
                "缺少该备用服务器，而后面的已设置；请从 0 开始编号",
            ],
        );
    }
}

/// One server; `None` if it has no host or is invalid. A missing host is a problem if the server is
/// `needed`.
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
    let sender = from.cloned().or_else(sender::placeholder)?;
    let common = common(values, home, sender, reply_to);
    let kind = if directmail::is_wanted(values, home, preset.as_ref()) {
        Kind::DirectMail(directmail::server(values, sources, home)?)
    } else {
        directmail::unused(values, home);
        let from = from.filter(|_| needed);
        Kind::Smtp(smtp_server(
            values,
            sources,
            home,
            preset.as_ref(),
            needed,
            from,
        )?)
    };
    Some(Settings { common, kind })
}

/// The settings of SMTP; `None` if there is no host. The login is checked against `from`.
fn smtp_server(
    values: &mut Values,
    sources: &Sources,
    home: &str,
    preset: Option<&Provider>,
    needed: bool,
    from: Option<&Mailbox>,
) -> Option<smtp::Settings> {
    let key = |name: &str| format!("{home}.{name}");
    let host = host(values, home, preset, needed);
    let Encryption {
        port,
        tls,
        plain_login,
    } = encryption(values, home, preset);
    // After the host, which tells Google's passwords from others.
    let login = login::read(values, sources, home, preset, needed);
    if let (Some(login), Some(from)) = (&login, from) {
        preset::sender(
            values,
            home,
            preset,
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
        tls_ca_file: files::certificate(values, sources, &key("tls_ca_file")),
        helo_name: helo_name(values, home),
        login,
        max_mails_per_connection: values.whole(&key("max_mails_per_connection")).unwrap_or(1),
        timeout: values.span(&key("timeout")),
    };
    host.map(|_| settings)
}

/// Names servers without a name after their host or service. Reports two servers with the same name.
fn distinct_names(values: &mut Values, list: &mut [Settings]) {
    let mut taken: Vec<String> = list
        .iter()
        .map(|server| server.common.name.to_string())
        .filter(|name| !name.is_empty())
        .collect();
    taken.sort();
    let twice = taken.windows(2).find(|pair| pair.first() == pair.last());
    if let Some(name) = twice.and_then(<[String]>::first) {
        let place = values.home("smtp", "name");
        let message = message!(
            "two servers are named \"{0}\"; give each a different name",
            "有两个服务器都名为 \"{0}\"；请使用不同的名称",
            name.escape_debug()
        );
        values.findings.problem(&place, "smtp.name", message);
    }
    for server in list
        .iter_mut()
        .filter(|server| server.common.name.is_empty())
    {
        let plain = match &server.kind {
            Kind::Smtp(settings) => settings.host.as_str(),
            Kind::DirectMail(_) => "directmail",
        };
        let numbered = |n: usize| match n {
            1 => plain.to_owned(),
            _ => format!("{plain} ({n})"),
        };
        let name = (1..=taken.len() + 1)
            .map(numbered)
            .find(|name| !taken.contains(name))
            .unwrap_or_default();
        server.common.name = name.as_str().into();
        taken.push(name);
    }
}
