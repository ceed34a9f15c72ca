//! `jobbell test-email`: sends one mail the same way as the daemon, reports each step, and gives
//! advice if one fails.

mod row;
mod rows;
mod show;
mod test_mail;

use clap::Args;
use serde_json::{Value, json};

use super::explained_error::{ExplainedError, spoken};
use super::i18n::{terminal_locale, tr};
use super::servers::{Chosen, Servers};
use super::{DONE, FAILED, block_on, columns, failed, usage_error};
use crate::clock::Clock;
use crate::config::{Message, Sources};
use crate::domain::{Email, Failure, Locale, Receipt, Recipient, Stage};
use crate::telemetry::terminal::Styled;
use crate::transport::smtp::{Depth, Smtp, Tls};
use crate::transport::{Kind, Settings, Transport};
use row::{Mark, Row};
use rows::View;
use show::Tested;

/// The servers to test, and the extent of the test.
#[derive(Debug, Default, Args)]
pub(super) struct Options {
    /// Recipient of the test email [default: the first of smtp.to, else the sender]
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    /// Test this server [default: the first]
    #[arg(long, value_name = "NAME", conflicts_with = "all")]
    server: Option<String>,
    /// Test every server
    #[arg(long)]
    all: bool,
    /// Stop before DATA; nothing is sent
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Tests the servers and prints the result of each step.
pub(super) fn run(sources: &Sources, options: &Options) -> u8 {
    let servers = match Servers::load(sources) {
        Ok(servers) => servers,
        Err(status) => return status,
    };
    let locale = terminal_locale();
    let to = match options.to.as_deref().map(Recipient::parse).transpose() {
        Ok(to) => to.or_else(|| servers.config.routes.default_to.first().cloned()),
        Err(error) => {
            let error = Message::from(error);
            return usage_error(format_args!("--to: {}", error.text(locale)));
        }
    };
    let chosen = match (options.all, options.server.as_deref()) {
        (true, _) => servers.all(),
        (false, name) => match servers.named(name, locale) {
            Ok(one) => vec![one],
            Err(why) => return usage_error(why),
        },
    };
    if let Some(to) = to.as_ref().filter(|to| !servers.config.routes.allows(to)) {
        return failed(super::not_allowed(to, locale));
    }
    match block_on(test(&servers, &chosen, to.as_ref(), options)) {
        Ok(status) => status,
        Err(error) => failed(error),
    }
}

async fn test(
    servers: &Servers,
    chosen: &[Chosen<'_>],
    to: Option<&Recipient>,
    options: &Options,
) -> u8 {
    let locale = terminal_locale();
    let width = columns::terminal_width();
    let mut out = Styled(anstream::stdout());
    let off = tr(
        locale,
        "note: smtp.enable is false, so the daemon sends nothing; the test continues anyway",
        "提示：smtp.enable 为 false，守护进程不会发信；测试照常进行",
    );
    if servers.switched_off && !options.json {
        eprintln!("{off}");
    }
    let mut records: Vec<Value> = Vec::new();
    let mut working = 0;
    for one in chosen {
        let tested = one_server(servers, one, to, options.dry_run).await;
        working += usize::from(tested.trouble.is_none());
        if options.json {
            records.push(show::record(&tested));
        } else if show::write(&mut out, &tested, locale, width).is_err() {
            break;
        } else if chosen.len() > 1 {
            println!();
        }
    }
    let ok = working == chosen.len();
    if options.json {
        let answer = json!({ "ok": ok, "dry_run": options.dry_run, "enabled": !servers.switched_off, "servers": records });
        println!("{answer:#}");
    } else if chosen.len() > 1 {
        match locale {
            Locale::En => println!("{working} of {} servers work.", chosen.len()),
            Locale::ZhCn => println!("{} 个服务器中有 {working} 个可用。", chosen.len()),
        }
    }
    if ok { DONE } else { FAILED }
}

async fn one_server(
    servers: &Servers,
    chosen: &Chosen<'_>,
    to: Option<&Recipient>,
    dry_run: bool,
) -> Tested {
    let (config, locale) = (&servers.config, terminal_locale());
    let from = &chosen.settings.common.from;
    let to = to.unwrap_or(&from.address);
    let mut tested = Tested {
        name: chosen.name().to_owned(),
        place: place(chosen.settings, locale),
        address: address(chosen.settings),
        from: from.address.masked(),
        to: to.masked(),
        rows: Vec::new(),
        trouble: None,
        service: None,
        receipt: None,
        message_id: String::new(),
    };
    let result = match test_mail::write(
        config,
        config.render.locale,
        chosen.name(),
        from,
        to,
        Clock::System.now(),
    ) {
        Ok(email) => {
            tested.message_id.clone_from(&email.message_id);
            walk(servers, chosen, &email, dry_run, &mut tested.rows).await
        }
        Err(error) => Err(super::servers::unusable(&error)),
    };
    match result {
        Ok(receipt) => tested.receipt = receipt,
        Err(failure) => {
            tested.service = chosen
                .settings
                .as_smtp()
                .and_then(|smtp| smtp.provider)
                .filter(|_| failure.stage == Stage::Auth);
            tested.trouble = Some(ExplainedError::from(&failure));
        }
    }
    tested
}

async fn walk(
    servers: &Servers,
    chosen: &Chosen<'_>,
    email: &Email,
    dry_run: bool,
    rows: &mut Vec<Row>,
) -> Result<Option<Receipt>, Failure> {
    let transport = servers.transport(chosen)?;
    let result = if let Transport::Smtp(server) = &transport {
        by_smtp(server, email, dry_run, terminal_locale(), rows).await
    } else {
        by_api(&transport, email, dry_run, terminal_locale(), rows).await
    };
    transport.close().await;
    result
}

async fn by_smtp(
    server: &Smtp,
    email: &Email,
    dry_run: bool,
    locale: Locale,
    rows: &mut Vec<Row>,
) -> Result<Option<Receipt>, Failure> {
    let trace = server
        .trace(if dry_run {
            Depth::Envelope(email)
        } else {
            Depth::Mail(email)
        })
        .await;
    let view = View {
        trace: &trace,
        settings: server.settings(),
        dry_run,
        now: Clock::System.now(),
        locale,
    };
    rows.extend(view.rows());
    trace.result
}

/// A server with an HTTP API has a single step, the call.
async fn by_api(
    transport: &Transport,
    email: &Email,
    dry_run: bool,
    locale: Locale,
    rows: &mut Vec<Row>,
) -> Result<Option<Receipt>, Failure> {
    let started = std::time::Instant::now();
    let result = if dry_run {
        transport.probe().await.map(|()| None)
    } else {
        transport.send(email).await.map(Some)
    };
    let (mark, line) = match &result {
        Ok(Some(receipt)) => (Mark::Done, spoken(&receipt.reply)),
        Ok(None) => (
            Mark::Done,
            tr(
                locale,
                "key accepted; not sent (--dry-run)",
                "密钥有效；未发送（--dry-run）",
            )
            .to_owned(),
        ),
        Err(failure) => (
            Mark::Failed,
            failure
                .reply
                .as_ref()
                .map_or_else(|| failure.detail.clone(), spoken),
        ),
    };
    let mut row = row::row("api", mark, Some(started.elapsed()), vec![line]);
    let reply = match &result {
        Ok(receipt) => receipt.as_ref().map(|receipt| &receipt.reply),
        Err(failure) => failure.reply.as_ref(),
    };
    row.facts
        .extend(reply.map(|reply| ("reply".to_owned(), json!(reply))));
    rows.push(row);
    result
}

fn place(settings: &Settings, locale: Locale) -> String {
    match &settings.kind {
        Kind::Smtp(smtp) => {
            let encryption = match smtp.tls {
                Tls::Implicit => tr(locale, "implicit TLS", "全程 TLS"),
                Tls::Starttls => tr(locale, "STARTTLS required", "必须 STARTTLS"),
                Tls::Opportunistic => tr(locale, "STARTTLS when offered", "可用时 STARTTLS"),
                Tls::None => tr(locale, "not encrypted", "不加密"),
            };
            format!(
                "{} {} {} · {encryption}",
                smtp.host,
                tr(locale, "port", "端口"),
                smtp.port
            )
        }
        Kind::DirectMail(account) => {
            format!("Aliyun DirectMail · {} · HTTP API", account.region)
        }
    }
}

fn address(settings: &Settings) -> Value {
    match &settings.kind {
        Kind::Smtp(smtp) => {
            let tls = match smtp.tls {
                Tls::Implicit => "implicit",
                Tls::Starttls => "starttls",
                Tls::Opportunistic => "auto",
                Tls::None => "none",
            };
            json!({ "host": smtp.host, "port": smtp.port, "tls": tls })
        }
        Kind::DirectMail(account) => json!({ "api": "directmail", "region": account.region }),
    }
}
