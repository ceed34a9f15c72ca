//! The test mail. Services treat thin, repetitive test mails as spam (163 blocks accounts for
//! days), so it has a specific subject and text, an HTML part, a Date and a Message-ID.

use crate::cli::i18n::tr;
use crate::config::Config;
use crate::domain::{DeliveryId, Email, Locale, Mailbox, Recipient, Timestamp};
use crate::render::locale::fill;
use crate::render::{RenderError, Renderer, TestMail};

/// Builds the test mail for one server. It contains nothing about logins.
pub(super) fn write(
    config: &Config,
    locale: Locale,
    server: &str,
    from: &Mailbox,
    to: &Recipient,
    now: Timestamp,
) -> Result<Email, RenderError> {
    let host = hostname::get()
        .ok()
        .and_then(|name| name.into_string().ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned());
    let time = now
        .to_jiff()
        .to_zoned(config.render.timezone.clone())
        .strftime("%Y-%m-%d %H:%M:%S %Z")
        .to_string();
    let mail = TestMail {
        headline: fill(
            tr(locale, "Email from {} works", "{} 的邮件可以送达"),
            &host,
        ),
        paragraphs: paragraphs(locale, &host, server),
        facts: facts(locale, &host, server, &time),
    };
    let (text, html) = Renderer::new(config.render.clone()).test_mail(&mail, locale, to)?;
    let delivery = DeliveryId::new(now);
    let subject = match locale {
        Locale::En => format!("Test of mail server {server} at {time}"),
        Locale::ZhCn => format!("{}，{time}", fill("邮件服务器 {} 测试", server)),
    };
    Ok(Email {
        delivery,
        message_id: format!("{}@{}", delivery.0.simple(), from.address.domain()),
        date: now,
        from: from.clone(),
        reply_to: config.render.reply_to.clone(),
        to: to.clone(),
        subject: format!("{}{subject}", config.render.subject_prefix),
        text,
        html,
        inline: Vec::new(),
        headers: crate::cli::auto_reply_headers(delivery),
    })
}

fn paragraphs(locale: Locale, host: &str, server: &str) -> Vec<String> {
    match locale {
        Locale::En => vec![
            format!(
                "You are reading this because someone ran `jobbell test-email` on {host} to check that its notifications arrive. They do: the mail server {server} accepted this email and delivered it to you."
            ),
            "From now on Jobbell can tell you when a job is done, or why it failed. If this email landed in spam, mark it as not spam. No need to reply."
                .to_owned(),
        ],
        Locale::ZhCn => vec![
            format!(
                "您收到这封邮件，是因为有人在 {host} 上运行了 `jobbell test-email`，想确认通知邮件能否送达。答案是可以：{}",
                fill("邮件服务器 {} 接收了这封邮件，并送到了您的邮箱。", server)
            ),
            "此后，任务完成或失败时，Jobbell 都能通知到您。如果这封邮件在垃圾箱里，请把它标记为“非垃圾邮件”。无需回复。".to_owned(),
        ],
    }
}

fn facts(locale: Locale, host: &str, server: &str, time: &str) -> Vec<(&'static str, String)> {
    vec![
        (tr(locale, "Sent by", "发送主机"), host.to_owned()),
        (tr(locale, "Mail server", "邮件服务器"), server.to_owned()),
        (tr(locale, "Time", "时间"), time.to_owned()),
        (
            tr(locale, "Program", "程序"),
            concat!("Jobbell ", env!("CARGO_PKG_VERSION")).to_owned(),
        ),
    ]
}
