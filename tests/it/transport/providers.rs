//! What the large services do when something is wrong, and that it is named with its remedy in both
//! languages.

use encoding_rs::GB18030;
use jobbell::domain::{Failure, FailureKind, Locale, Stage};
use jobbell::secret::Secret;
use jobbell::transport::smtp::{Credentials, Login, Settings, Tls};

use super::{PASSWORD, SERVER_UNAVAILABLE, email, localized, numbered, smtp, with_login};
use crate::support::smtp_peer::{Act, At, Builder, SmtpPeer};

fn guarded() -> Builder {
    SmtpPeer::builder().login("me@example.com", PASSWORD)
}

/// What a send comes to in one language, and how often the server was asked to let us in.
async fn told(provider: &'static str, locale: Locale, at: At, act: Act) -> Failure {
    let peer = guarded().always(at, act).start().await;
    let settings = Settings {
        provider: Some(provider),
        ..with_login(peer.port())
    };
    let server = localized(locale, settings);
    let failure = server.send(&email()).await.unwrap_err();
    assert!(
        peer.seen().count("AUTH") <= 1,
        "services ban those who repeat a refused login"
    );
    failure
}

/// Holds both languages to the words that make cause and remedy plain.
async fn assert_named(
    provider: &'static str,
    at: At,
    act: Act,
    kind: FailureKind,
    en: [&str; 2],
    zh: [&str; 2],
) -> Failure {
    let mut last = None;
    for (locale, [cause, advice]) in [(Locale::En, en), (Locale::ZhCn, zh)] {
        let failure = told(provider, locale, at, act.clone()).await;
        assert_eq!(failure.kind, kind, "{failure:?}");
        let explanation = failure.explanation.as_ref().unwrap();
        assert!(
            explanation.cause.contains(cause) && explanation.advice.contains(advice),
            "{explanation:?}"
        );
        last = Some(failure);
    }
    last.unwrap()
}

#[tokio::test]
async fn qq_refuses_a_password_in_gbk_and_hangs_up() {
    let words = "535 Error: 请使用授权码登录。详情请看: http://service.mail.qq.com/cgi-bin/help?subtype=1&&id=28&&no=1001256\r\n";
    let gbk = Act::ReplyAndClose(GB18030.encode(words).0.into_owned());
    let (en, zh) = (
        [
            "not a QQ authorization code",
            "generate a new authorization code",
        ],
        ["不是 QQ 邮箱授权码", "重新生成授权码"],
    );
    let failure = assert_named("qq", At::Auth, gbk, FailureKind::Misconfigured, en, zh).await;
    assert_eq!(failure.stage, Stage::Auth);
    assert!(
        failure
            .reply
            .unwrap()
            .text
            .starts_with("Error: 请使用授权码登录"),
        "the refusal is told, not the hang-up"
    );
    let english = Act::reply_and_close(
        "535 Login Fail. Please enter your authorization code to login. More information in http://service.mail.qq.com",
    );
    assert_named("qq", At::Auth, english, FailureKind::Misconfigured, en, zh).await;
}

#[tokio::test]
async fn the_domain_of_the_login_tells_the_service_where_the_host_does_not() {
    let peer = guarded()
        .always(
            At::Auth,
            Act::reply("535 Login Fail. Please enter your authorization code to login."),
        )
        .start()
        .await;
    let credentials = Credentials {
        username: "me@qq.com".to_owned(),
        password: Secret::new(PASSWORD),
    };
    let settings = Settings {
        login: Some(Login::Password(credentials)),
        ..with_login(peer.port())
    };
    assert_eq!(settings.provider, None);
    let failure = smtp(settings).send(&email()).await.unwrap_err();
    assert!(
        failure
            .explanation
            .unwrap()
            .cause
            .contains("not a QQ authorization code")
    );
}

#[tokio::test]
async fn qq_cuts_the_connection_after_its_yes_and_the_mail_counts_as_sent() {
    let peer = guarded()
        .implicit_tls()
        .always(At::Dot, Act::reply_and_cut("250 OK: queued as."))
        .start()
        .await;
    let settings = Settings {
        provider: Some("qq"),
        tls: Tls::Implicit,
        tls_ca_file: Some(peer.ca_file().to_owned()),
        ..with_login(peer.port())
    };
    let server = smtp(settings);
    for number in 1..3 {
        assert_eq!(
            server.send(&numbered(number)).await.unwrap().reply.code,
            250
        );
        peer.until("the server to hang up", |seen| seen.open == 0)
            .await;
    }
    assert_eq!(
        (peer.mails().len(), peer.seen().connections),
        (2, 2),
        "each mail once"
    );
}

#[tokio::test]
async fn netease_takes_a_mail_for_spam() {
    let spam = Act::reply(
        "554 DT:SPM 163 smtp10,DsCowAD3_1nQ please see http://mail.163.com/help/help_spam_16.htm?ip=1.2.3.4",
    );
    let (en, zh) = (
        ["looks like spam", "another server"],
        ["疑似垃圾邮件", "换服务器"],
    );
    let failure = assert_named("163", At::Dot, spam, FailureKind::RejectedHere, en, zh).await;
    assert_eq!(failure.stage, Stage::Dot);
}

#[tokio::test]
async fn gmail_wants_an_app_password_and_counts_the_day() {
    let app = "534-5.7.9 Application-specific password required. For more information, go to\r\n534 5.7.9  https://support.google.com/mail/?p=InvalidSecondFactor x1sm - gsmtp";
    assert_named(
        "gmail",
        At::Auth,
        Act::reply(app),
        FailureKind::Misconfigured,
        ["2-step verification", "app password"],
        ["两步验证", "专用密码"],
    )
    .await;
    let day = "550-5.4.5 Daily user sending limit exceeded. For more information on Gmail\r\n550 5.4.5 sending limits go to https://support.google.com/a/answer/166852 x1 - gsmtp";
    let hour = FailureKind::Unavailable {
        retry_after: Some(std::time::Duration::from_hours(1)),
        server_wide: true,
    };
    assert_named(
        "gmail",
        At::Dot,
        Act::reply(day),
        hour,
        ["500", "next server"],
        ["额度", "备用服务器"],
    )
    .await;
}

#[tokio::test]
async fn outlook_refuses_passwords() {
    let basic = "535 5.7.139 Authentication unsuccessful, basic authentication is disabled. [AM0PR10CA0001.EURPRD10.PROD.OUTLOOK.COM]";
    assert_named(
        "outlook",
        At::Auth,
        Act::reply(basic),
        FailureKind::Misconfigured,
        ["switched off", "auth = \"xoauth2\""],
        ["停用", "xoauth2"],
    )
    .await;
}

#[tokio::test]
async fn a_known_host_is_read_by_its_own_rows_without_a_preset() {
    use jobbell::domain::Reply;
    use jobbell::transport::explain::Table;
    let service = jobbell::transport::providers::replies_of(None, "smtp.qq.com");
    let reply = Reply {
        code: 550,
        enhanced: None,
        text: "Sender frequency limited".to_owned(),
    };
    let kind = Table::new()
        .explain(service, Stage::Mail, &reply)
        .kind(Stage::Mail);
    assert!(
        matches!(
            kind,
            FailureKind::Unavailable {
                server_wide: true,
                retry_after: Some(_)
            }
        ) && kind != SERVER_UNAVAILABLE
    );
}
