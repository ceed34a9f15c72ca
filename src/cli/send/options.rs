//! The options of `jobbell send`, and the configuration that they make.

use std::path::PathBuf;

use clap::Args;

use super::super::CONFIG;
use super::super::i18n::{terminal_locale, tr};
use super::super::servers::Servers;
use super::password;
use crate::config::{Report, Sources};
use crate::domain::{Locale, Mailbox};

/// Arguments of `jobbell send`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// Sender: an address, or "Name <address>" [default: smtp.from]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) from: Option<String>,
    /// Recipients, each gets a separate email; repeatable, or a comma-separated list [default:
    /// smtp.to]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) to: Vec<String>,
    /// Subject
    #[arg(long)]
    pub(super) subject: String,
    /// The text; - reads it from standard input
    #[arg(long, required_unless_present = "html")]
    pub(super) text: Option<String>,
    /// An HTML file; without --text, the text part is derived from it
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Use only this configured server [default: the first that accepts the email]
    #[arg(long, value_name = "NAME")]
    pub(super) server: Option<String>,
    #[command(flatten)]
    pub(super) connection: Connection,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Keys of `[smtp]` set on the command line; they override the configuration.
#[derive(Debug, Args)]
#[group(id = "connection", multiple = true, conflicts_with = "server")]
pub(super) struct Connection {
    /// Mail server
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// Port
    #[arg(long)]
    port: Option<String>,
    /// auto, implicit, starttls or none
    #[arg(long)]
    tls: Option<String>,
    /// Root certificate to trust, a PEM file
    #[arg(long, value_name = "FILE")]
    tls_ca_file: Option<String>,
    /// Preset of a mail service; fills in host, port and tls
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Login name
    #[arg(long)]
    username: Option<String>,
    /// A file with the password [default: $SMTP_PASSWORD, else a prompt at the terminal]
    #[arg(long, value_name = "FILE")]
    password_file: Option<String>,
    /// The password itself; every user of this machine can see it in the process list
    #[arg(
        long,
        value_name = "PASSWORD",
        conflicts_with = "password_file",
        hide = true
    )]
    pub(super) insecure_password: Option<String>,
    /// Timeout per step, such as 10s
    #[arg(long)]
    timeout: Option<String>,
}

impl Connection {
    /// Each given option: key, value, and the name of its source.
    pub(super) fn overrides(&self) -> impl Iterator<Item = (String, String, String)> {
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

pub(super) fn with_overrides(
    sources: &Sources,
    options: &Options,
    from: Option<&Mailbox>,
) -> Sources {
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

/// The configuration with the command line on top, after prompting for a missing password.
pub(super) fn prepared(
    sources: &Sources,
    options: &Options,
    from: Option<&Mailbox>,
) -> Result<(Servers, Locale), u8> {
    let locale = terminal_locale();
    if options.connection.insecure_password.is_some() {
        let (en, zh) = (
            "warning: every user of this machine can see a password among the arguments; use --password-file or SMTP_PASSWORD",
            "警告：本机所有用户都能看到命令行参数中的密码；请使用 --password-file 或 SMTP_PASSWORD",
        );
        eprintln!("{}", tr(locale, en, zh));
    }
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
            let sender = &mut settings.common.from;
            sender.address = from.address.clone();
            if from.name.is_some() {
                sender.name.clone_from(&from.name);
            }
        }
    }
    Ok((servers, locale))
}

/// Prints the configuration's problems, or, without a file, the missing options.
fn refused(report: &Report, locale: Locale) -> u8 {
    let is_missing = |key: &str| matches!(key, "smtp.host" | "smtp.from");
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
            || !(problem.place.is_empty() || is_missing(&problem.key) && problem.found.is_none())
    }) {
        eprintln!("{}", problem.said(locale));
    }
    if !options.is_empty() {
        let (en, zh) = (
            "no mail server configured; pass",
            "没有可用的发信配置；请指定",
        );
        eprintln!(
            "jobbell: {} {}",
            tr(locale, en, zh),
            options.join(tr(locale, " and ", " 和 "))
        );
    }
    CONFIG
}
