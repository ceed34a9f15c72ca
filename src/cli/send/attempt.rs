//! Sends the mails and reports the results.

use serde_json::{Value, json};

use super::super::explained_error::{self, ExplainedError};
use super::super::i18n::tr;
use super::super::servers::{Chosen, Servers};
use super::super::{DONE, FAILED, columns, usage_error};
use super::message::Message;
use super::options::Options;
use crate::clock::Clock;
use crate::domain::{Failure, FailureKind, Locale, Receipt, Recipient};
use crate::telemetry::terminal::Styled;
use crate::transport::Transport;

/// The result of sending to one recipient.
struct Sent {
    to: Recipient,
    message_id: String,
    /// All attempts in order: server and result.
    attempts: Vec<(String, Result<Receipt, Failure>)>,
}

pub(super) async fn send(
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
    let transports: Vec<(&Chosen<'_>, Result<Transport, Failure>)> = chosen
        .iter()
        .map(|one| (one, servers.transport(one)))
        .collect();
    let mut records = Vec::new();
    let mut status = DONE;
    for to in to {
        let sent = one_mail(servers, &transports, to, message).await;
        if !sent
            .attempts
            .last()
            .is_some_and(|(_, result)| result.is_ok())
        {
            status = FAILED;
        }
        if options.json {
            records.push(record(&sent));
        } else {
            tell(&sent, locale);
        }
    }
    for transport in transports
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

/// Tries the servers in order, as the daemon does within one attempt.
async fn one_mail(
    servers: &Servers,
    transports: &[(&Chosen<'_>, Result<Transport, Failure>)],
    to: &Recipient,
    message: &Message,
) -> Sent {
    let mut sent = Sent {
        to: to.clone(),
        message_id: String::new(),
        attempts: Vec::new(),
    };
    let Some((first, _)) = transports.first() else {
        return sent;
    };
    let email = message.email(
        &servers.config,
        &first.settings.common.from,
        to,
        Clock::System.now(),
    );
    for (chosen, transport) in transports {
        let result = match transport {
            Ok(transport) => transport.send(&email).await,
            Err(failure) => Err(failure.clone()),
        };
        let elsewhere = matches!(&result, Err(failure) if allows_next_server(failure.kind));
        sent.attempts.push((chosen.name().to_owned(), result));
        if !elsewhere {
            break;
        }
    }
    sent.message_id = email.message_id;
    sent
}

const fn allows_next_server(kind: FailureKind) -> bool {
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
    for (server, result) in &sent.attempts {
        match result {
            Ok(_) => println!(
                "{} {}",
                tr(locale, "Email sent to", "邮件已发送至"),
                sent.to.masked()
            ),
            Err(failure) => {
                let error = ExplainedError::from(failure);
                let failed = if sent.attempts.iter().any(|(_, result)| result.is_ok()) {
                    tr(locale, "skipped", "已跳过此服务器")
                } else {
                    tr(locale, "email not sent", "邮件未发送")
                };
                let (to, headline) = (sent.to.masked(), explained_error::headline(&error));
                match locale {
                    Locale::En => eprintln!("jobbell: {to}: {failed} ({server}, {headline})"),
                    Locale::ZhCn => eprintln!("jobbell：{to}：{failed}（{server}，{headline}）"),
                }
                // A failure to write to standard error cannot be reported.
                drop(explained_error::write(
                    &mut Styled(anstream::stderr()),
                    &error,
                    locale,
                    width,
                ));
            }
        }
    }
}

fn record(sent: &Sent) -> Value {
    let attempts: Vec<Value> = sent
        .attempts
        .iter()
        .map(|(server, result)| match result {
            Ok(receipt) => json!({ "server": server, "ok": true, "reply": receipt.reply }),
            Err(failure) => json!({ "server": server, "ok": false, "error": explained_error::record(&ExplainedError::from(failure)) }),
        })
        .collect();
    let ok = sent
        .attempts
        .last()
        .is_some_and(|(_, result)| result.is_ok());
    json!({ "to": sent.to.masked(), "ok": ok, "message_id": sent.message_id, "tries": attempts })
}
