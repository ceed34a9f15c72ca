//! `jobbell send`: one mail, at once, through a server from the command line or from the
//! configuration; nothing is queued.

mod message;
mod password;

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::explained_error::{self, ExplainedError};
use super::i18n::{terminal_locale, tr};
use super::servers::{Chosen, Servers};
use super::{CONFIG, DONE, FAILED, block_on, columns, failed, usage_error};
use crate::config::{Report, Sources};
use crate::domain::{
    AddressList, Clock, Failure, FailureKind, Locale, Mailbox, Receipt, Recipient,
};
use crate::telemetry::terminal::Styled;
use crate::transport::{Settings, Transport};
use message::Message;

/// What is sent, to whom, and how.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Whom it comes from: an address, or "Name <address>" [default: smtp.from]
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// Whom it goes to; may be given several times, or as a comma list: a mail for each [default:
    /// smtp.to]
    #[arg(long, value_name = "ADDRESS")]
    to: Vec<String>,
    /// The subject
    #[arg(long)]
    subject: String,
    /// The text; - reads it from standard input
    #[arg(long, required_unless_present = "html")]
    text: Option<String>,
    /// A file with the HTML; without --text its text twin is made of it
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Use this configured server and no other [default: the first that takes the mail]
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    #[command(flatten)]
    connection: Connection,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Keys of `[smtp]` that the command line sets; they win over the configuration's.
#[derive(Debug, Args)]
#[group(id = "connection", multiple = true, conflicts_with = "server")]
struct Connection {
    /// The mail server
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// Its port
    #[arg(long)]
    port: Option<String>,
    /// auto, implicit, starttls or none
    #[arg(long)]
    tls: Option<String>,
    /// A root certificate to trust, a PEM file
    #[arg(long, value_name = "FILE")]
    tls_ca_file: Option<String>,
    /// A known mail service; fills host, port and tls
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// The login name
    #[arg(long)]
    username: Option<String>,
    /// A file with the password; else $SMTP_PASSWORD, else it is asked for at the terminal
    #[arg(long, value_name = "FILE")]
    password_file: Option<String>,
    /// The password itself: every user of this machine can read it in the list of processes
    #[arg(
        long,
        value_name = "PASSWORD",
        conflicts_with = "password_file",
        hide = true
    )]
    insecure_password: Option<String>,
    /// The longest wait for one step, as 10s
    #[arg(long)]
    timeout: Option<String>,
}

impl Connection {
    /// Each option that was given: the key, the value, and what to call the place.
    fn overrides(&self) -> impl Iterator<Item = (String, String, String)> {
        let given = [
            ("smtp.host", &self.host, "--host"),
            ("smtp.port", &self.port, "--port"),
            ("smtp.tls", &self.tls, "--tls"),
            ("smtp.tls_ca_file", &self.tls_ca_file, "--tls-ca-file"),
            ("smtp.provider", &self.provider, "--provider"),
            ("smtp.username", &self.username, "--username"),
            ("smtp.password_file", &self.password_file, "--password-file"),
            (
                "smtp.password",
                &self.insecure_password,
                "--insecure-password",
            ),
            ("smtp.timeout", &self.timeout, "--timeout"),
        ];
        given.into_iter().filter_map(|(key, value, place)| {
            value
                .clone()
                .map(|value| (key.to_owned(), value, place.to_owned()))
        })
    }
}

/// What became of the mail to one recipient.
struct Sent {
    to: Recipient,
    message_id: String,
    /// Every try, in order: the server and what it came to.
    tries: Vec<(String, Result<Receipt, Failure>)>,
}

/// Sends the mail to each recipient and says what became of it.
pub(super) fn run(sources: &Sources, options: &Options) -> u8 {
    let from = match options.from.as_deref().map(Mailbox::parse).transpose() {
        Ok(from) => from,
        Err(error) => return usage_error(format_args!("--from: {error}")),
    };
    let to = match AddressList::read_all(options.to.iter().map(String::as_str)).recipients() {
        Ok(to) => to,
        Err(faults) => {
            let lines: Vec<String> = faults
                .iter()
                .map(|(index, error)| format!("--to, address {}: {error}", index + 1))
                .collect();
            return usage_error(lines.join("\n  "));
        }
    };
    let sources = with_overrides(sources, options, from.as_ref());
    let (servers, locale) = match prepared(&sources, options, from.as_ref()) {
        Ok(prepared) => prepared,
        Err(status) => return status,
    };
    let to = if to.is_empty() {
        servers.config.routes.default_to.clone()
    } else {
        to
    };
    if to.is_empty() {
        return usage_error(tr(
            locale,
            "nobody to send to: give --to, or set smtp.to",
            "没有收件人：请给出 --to，或设置 smtp.to",
        ));
    }
    if let Some(to) = to.iter().find(|to| !servers.config.routes.allows(to)) {
        return failed(super::not_allowed(to, locale));
    }
    let message = match Message::read(
        &options.subject,
        options.text.as_deref(),
        options.html.as_deref(),
    ) {
        Ok(message) => message,
        Err(why) => return failed(why),
    };
    match block_on(send(&servers, &to, &message, options, locale)) {
        Ok(status) => status,
        Err(error) => failed(error),
    }
}

fn with_overrides(sources: &Sources, options: &Options, from: Option<&Mailbox>) -> Sources {
    let mut sources = sources.clone();
    let switch = (
        "smtp.enable".to_owned(),
        "true".to_owned(),
        "this command".to_owned(),
    );
    sources
        .overrides
        .extend(options.connection.overrides().chain([switch]));
    if let Some(from) = from {
        sources.overrides.push((
            "smtp.from".to_owned(),
            from.address.to_string(),
            "--from".to_owned(),
        ));
        sources.overrides.extend(
            from.name
                .clone()
                .map(|name| ("smtp.from_name".to_owned(), name, "--from".to_owned())),
        );
    }
    sources
}

/// The configuration with the command line over it, with the password asked for where one is
/// missing.
fn prepared(
    sources: &Sources,
    options: &Options,
    from: Option<&Mailbox>,
) -> Result<(Servers, Locale), u8> {
    if options.connection.insecure_password.is_some() {
        eprintln!(
            "warning: a password among the arguments can be read by every user of this machine; use --password-file or SMTP_PASSWORD"
        );
    }
    let locale = terminal_locale();
    let asking = Sources {
        can_ask_password: true,
        ..sources.clone()
    };
    let loaded = crate::config::load(&asking).map_err(|report| refused(&report, locale))?;
    let sources = password::ask_if_missing(sources, &loaded, options.server.is_some(), locale)?;
    let mut servers = match sources {
        Some(sources) => Servers::load(&sources)?,
        None => Servers::of(loaded)?,
    };
    for settings in &mut servers.config.smtp {
        if let Some(from) = from {
            *sender(settings) = Mailbox {
                name: from.name.clone().or_else(|| sender(settings).name.clone()),
                address: from.address.clone(),
            };
        }
    }
    Ok((servers, locale))
}

/// Says what is wrong with the configuration; without a file, which options say what is missing.
fn refused(report: &Report, locale: Locale) -> u8 {
    let missing = |key: &str| {
        report
            .problems
            .iter()
            .any(|problem| problem.key == key || problem.key.is_empty() && problem.place.is_empty())
    };
    let options = [
        ("smtp.host", "--host NAME (--provider NAME)"),
        ("smtp.from", "--from ADDRESS"),
    ];
    let options: Vec<&str> = options
        .into_iter()
        .filter(|(key, _)| report.file.is_none() && missing(key))
        .map(|(_, option)| option)
        .collect();
    for problem in report.problems.iter().filter(|problem| {
        options.is_empty()
            || !(problem.place.is_empty() || problem.message.starts_with("there is no"))
    }) {
        eprintln!("{}", problem.said(locale));
    }
    if !options.is_empty() {
        let (en, zh) = (
            "there is no configuration that says how to send; give",
            "没有可用的发信配置；请给出",
        );
        eprintln!(
            "jobbell: {} {}",
            tr(locale, en, zh),
            options.join(tr(locale, " and ", " 和 "))
        );
    }
    CONFIG
}

const fn sender(settings: &mut Settings) -> &mut Mailbox {
    match settings {
        Settings::Smtp(smtp) => &mut smtp.from,
        Settings::DirectMail(account) => &mut account.account,
    }
}

async fn send(
    servers: &Servers,
    to: &[Recipient],
    message: &Message,
    options: &Options,
    locale: Locale,
) -> u8 {
    let of_one = options.server.is_some() || options.connection.overrides().next().is_some();
    let chosen = match servers.named(options.server.as_deref(), locale) {
        Ok(first) if of_one => vec![first],
        Ok(_) => servers.all(),
        Err(why) => return usage_error(why),
    };
    let ways: Vec<(&Chosen<'_>, Result<Transport, Failure>)> = chosen
        .iter()
        .map(|one| (one, servers.transport(one)))
        .collect();
    let mut records = Vec::new();
    let mut status = DONE;
    for to in to {
        let sent = one_mail(servers, &ways, to, message).await;
        if !sent.tries.last().is_some_and(|(_, result)| result.is_ok()) {
            status = FAILED;
        }
        if options.json {
            records.push(record(&sent));
        } else {
            tell(&sent, locale);
        }
    }
    for transport in ways
        .iter()
        .filter_map(|(_, transport)| transport.as_ref().ok())
    {
        transport.close().await;
    }
    if options.json {
        println!("{:#}", json!({ "ok": status == DONE, "mails": records }));
    }
    status
}

/// Walks the servers in order, as the daemon does within one attempt.
async fn one_mail(
    servers: &Servers,
    ways: &[(&Chosen<'_>, Result<Transport, Failure>)],
    to: &Recipient,
    message: &Message,
) -> Sent {
    let mut sent = Sent {
        to: to.clone(),
        message_id: String::new(),
        tries: Vec::new(),
    };
    let Some((first, _)) = ways.first() else {
        return sent;
    };
    let email = message.email(
        &servers.config,
        first.settings.from(),
        to,
        Clock::System.now(),
    );
    for (chosen, transport) in ways {
        let result = match transport {
            Ok(transport) => transport.send(&email).await,
            Err(failure) => Err(failure.clone()),
        };
        let elsewhere = matches!(&result, Err(failure) if goes_on(failure.kind));
        sent.tries.push((chosen.name().to_owned(), result));
        if !elsewhere {
            break;
        }
    }
    sent.message_id = email.message_id;
    sent
}

const fn goes_on(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::Unavailable { .. }
            | FailureKind::Misconfigured
            | FailureKind::RejectedHere
            | FailureKind::TooLarge
    )
}

fn tell(sent: &Sent, locale: Locale) {
    let width = columns::terminal_width();
    for (server, result) in &sent.tries {
        match result {
            Ok(_) => println!("Email sent to {}", sent.to.masked()),
            Err(failure) => {
                let trouble = ExplainedError::from(failure);
                let failed = if sent.tries.iter().any(|(_, result)| result.is_ok()) {
                    tr(locale, "passed over", "已跳过此服务器")
                } else {
                    tr(locale, "the mail was not sent", "邮件未发送")
                };
                eprintln!(
                    "jobbell: {}: {failed} ({server}, {})",
                    sent.to.masked(),
                    explained_error::headline(&trouble)
                );
                // Standard error that cannot be written to has nobody to tell.
                drop(explained_error::write(
                    &mut Styled(anstream::stderr()),
                    &trouble,
                    locale,
                    width,
                ));
            }
        }
    }
}

fn record(sent: &Sent) -> Value {
    let tries: Vec<Value> = sent
        .tries
        .iter()
        .map(|(server, result)| match result {
            Ok(receipt) => json!({ "server": server, "ok": true, "reply": receipt.reply }),
            Err(failure) => json!({ "server": server, "ok": false, "error": explained_error::record(&ExplainedError::from(failure)) }),
        })
        .collect();
    let ok = sent.tries.last().is_some_and(|(_, result)| result.is_ok());
    json!({ "to": sent.to.masked(), "ok": ok, "message_id": sent.message_id, "tries": tries })
}
