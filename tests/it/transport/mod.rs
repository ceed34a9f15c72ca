//! One attempt on one server: what is sent, what is received, and how it is classified.

mod chunking;
mod directmail;
mod fence;
mod lettre_agrees;
mod limits;
mod local_errors;
mod login;
mod losses;
mod oauth;
mod oauth_device;
mod old_servers;
mod pool;
mod providers;
mod refusals;
mod replies;
mod tls;
mod trace;
mod wire;
mod xoauth2;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jobbell::clock::Clock;
use jobbell::domain::{DeliveryId, Email, FailureKind, Locale, Mailbox, Recipient, Timestamp};
use jobbell::secret::Secret;
use jobbell::telemetry::Metrics;
use jobbell::transport::compose::{WireMessage, compose};
use jobbell::transport::explain::Table;
use jobbell::transport::smtp::{Credentials, Login, Settings, Smtp, Tls};
use jobbell::transport::{Common, Context};

use crate::support::smtp_peer::{Builder, SmtpPeer};

/// The whole server is unreachable or refuses for now, whatever the mail.
pub(crate) const SERVER_UNAVAILABLE: FailureKind = FailureKind::Unavailable {
    retry_after: None,
    server_wide: true,
};
/// The server cannot accept this mail now, but perhaps others.
pub(crate) const MAIL_DEFERRED: FailureKind = FailureKind::Unavailable {
    retry_after: None,
    server_wide: false,
};
const PASSWORD: &str = "canary-code-7f3a";

pub(crate) fn email() -> Email {
    numbered(1)
}

pub(crate) fn numbered(number: u8) -> Email {
    Email {
        delivery: DeliveryId(
            format!("0190a0b0-c0d0-7e0f-8102-0304050607{number:02x}")
                .parse()
                .unwrap(),
        ),
        message_id: format!("mail-{number}@example.com"),
        date: Timestamp::from_millis(1_767_225_609_000),
        from: Mailbox::parse("绘影 <notify@example.com>").unwrap(),
        reply_to: Vec::new(),
        to: Recipient::parse("reader@example.org").unwrap(),
        subject: "图片已生成".to_owned(),
        text: "好了。\n.\n..\nhttps://img.example.com/a?b=c\n".to_owned(),
        html: "<p>好了。</p>\n<a href=\"https://img.example.com/a?b=c\">图片</a>\n".to_owned(),
        inline: Vec::new(),
        headers: vec![
            ("Auto-Submitted", "auto-generated".to_owned()),
            ("X-Jobbell-Event", "gen-1".to_owned()),
        ],
    }
}

/// A server that requires the login of [`with_login`].
fn with_auth() -> Builder {
    SmtpPeer::builder().login("me@example.com", PASSWORD)
}

/// Without TLS and login.
pub(crate) fn settings(port: u16) -> Settings {
    Settings {
        host: "127.0.0.1".to_owned(),
        port,
        tls: Tls::None,
        tls_ca_file: None,
        plain_login: false,
        helo_name: None,
        provider: None,
        login: None,
        max_mails_per_connection: 100,
        timeout: Duration::from_secs(30),
    }
}

/// One connection, no rate limit.
pub(crate) fn common() -> Common {
    Common {
        name: "primary".into(),
        from: Mailbox::parse("notify@example.com").unwrap(),
        reply_to: Vec::new(),
        max_connections: 1,
        rate_limit: None,
        cooldown: Duration::from_secs(30),
        cooldown_max: Duration::from_mins(15),
        locale: Locale::En,
    }
}

/// With a login.
pub(crate) fn with_login(port: u16) -> Settings {
    let credentials = Credentials {
        username: "me@example.com".to_owned(),
        password: Secret::new(PASSWORD),
    };
    Settings {
        login: Some(Login::Password(credentials)),
        ..settings(port)
    }
}

pub(crate) fn smtp(settings: Settings) -> Smtp {
    pooled(1, settings)
}

pub(crate) fn pooled(max_connections: usize, settings: Settings) -> Smtp {
    let common = Common {
        max_connections,
        ..common()
    };
    Smtp::new(common, settings, &context()).unwrap()
}

/// With explanations in this language.
pub(crate) fn localized(locale: Locale, settings: Settings) -> Smtp {
    Smtp::new(Common { locale, ..common() }, settings, &context()).unwrap()
}

/// The mail as these servers receive it.
pub(crate) fn wire(email: &Email) -> WireMessage<'_> {
    static COMMON: LazyLock<Common> = LazyLock::new(common);
    compose(email, COMMON.identity()).unwrap()
}

/// A context without a state directory.
pub(crate) fn context() -> Context {
    Context {
        metrics: Arc::new(Metrics::new()),
        replies: Arc::new(Table::new()),
        clock: Clock::System,
        tokens: None,
    }
}

pub(crate) fn to(peer: &SmtpPeer) -> Smtp {
    smtp(settings(peer.port()))
}
