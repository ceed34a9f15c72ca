//! Failures of the large mail services, each explained with its remedy in both languages.

use encoding_rs::GB18030;
use jobbell::domain::{Failure, FailureKind, Locale, Stage};
use jobbell::secret::Secret;
use jobbell::transport::smtp::{Credentials, Login, Settings, Tls};

use super::{
    PASSWORD, SERVER_UNAVAILABLE, email, localized, numbered, smtp, with_auth, with_login,
};
use crate::support::smtp_peer::{Act, At};

/// The failure of a send, explained in this language, after at most one login.
async fn failure(provider: &'static str, locale: Locale, at: At, act: Act) -> Failure {
    let peer = with_auth().always(at, act).start().await;
    let settings = Settings {
        provider: Some(provider),
        ..with_login(peer.port())
    };
    let server = localized(locale, settings);
    let failure = server.send(&email()).await.unwrap_err();
    assert!(
        peer.seen().count("AUTH") <= 1,
        "services ban clients that repeat a refused login"
    );
    failure
}

/// Asserts that the explanations in both languages contain cause and advice.
async fn assert_explained(
    provider: &'static str,
    at: At,
    act: Act,
    kind: FailureKind,
    en: [&str; 2],
    zh: [&str; 2],
) -> Failure {
    let mut last = None;
    for (locale, [cause, advice]) in [(Locale::En, en), (Locale::ZhCn, zh)] {
        let failure = failure(provider, locale, at, act.clone()).await;
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
async fn qq_refusal_in_gbk_is_explained_although_qq_disconnects() {
    let words = "535 Error: 请使用授权码登录。详情请看: http://service.mail.qq.com/cgi-bin/help?subtype=1&&id=28&&no=1001256\r\n";
    let gbk = Act::ReplyAndClose(GB18030.encode(words).0.into_owned());
    let (en, zh) = (
        [
            "not a QQ authorization code",
            "generate a new authorization code",
        ],
        ["不是 QQ 邮箱授权码", "重新生成授权码"],
    );
    let failure = assert_explained("qq", At::Auth, gbk, FailureKind::Misconfigured, en, zh).await;
    assert_eq!(failure.stage, Stage::Auth);
    assert!(
        failure
            .reply
            .unwrap()
            .text
            .starts_with("Error: 请使用授权码登录"),
        "the refusal is reported, not the disconnect"
    );
    let english = Act::reply_and_close(
        "535 Login Fail. Please enter your authorization code to login. More information in http://service.mail.qq.com",
    );
    assert_explained("qq", At::Auth, english, FailureKind::Misconfigured, en, zh).await;
}

#[tokio::test]
async fn service_is_recognized_by_the_domain_of_the_login() {
    let peer = with_auth()
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
async fn qq_mail_is_sent_although_qq_disconnects_after_accepting() {
    let peer = with_auth()
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
async fn netease_spam_refusal_is_explained() {
    let spam = Act::reply(
        "554 DT:SPM 163 smtp10,DsCowAD3_1nQ please see http://mail.163.com/help/help_spam_16.htm?ip=1.2.3.4",
    );
    let (en, zh) = (
        ["looks like spam", "another server"],
        ["疑似垃圾邮件", "换服务器"],
    );
    let failure = assert_explained("163", At::Dot, spam, FailureKind::RejectedHere, en, zh).await;
    assert_eq!(failure.stage, Stage::Dot);
}

#[tokio::test]
async fn gmail_app_password_and_daily_limit_are_explained() {
    let app = "534-5.7.9 Application-specific password required. For more information, go to\r\n534 5.7.9  https://support.google.com/mail/?p=InvalidSecondFactor x1sm - gsmtp";
    assert_explained(
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
    assert_explained(
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
async fn outlook_refusal_of_passwords_is_explained() {
    let basic = "535 5.7.139 Authentication unsuccessful, basic authentication is disabled. [AM0PR10CA0001.EURPRD10.PROD.OUTLOOK.COM]";
    assert_explained(
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
async fn known_host_uses_its_own_rows_without_a_preset() {
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
