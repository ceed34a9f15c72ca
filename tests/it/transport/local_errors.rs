//! Failures without a reply of the server: each with cause and advice, in the operator's language.

use std::time::Duration;

use jobbell::domain::{Email, Failure, Locale, Recipient};
use jobbell::transport::explain::{LocalError, Table};
use jobbell::transport::smtp::{Settings, Tls};

use super::{email, localized, settings, smtp, with_auth, with_login};
use crate::support::smtp_peer::{Act, At, Builder, Certificate, SmtpPeer};

async fn failure(locale: Locale, settings: Settings, email: &Email) -> Failure {
    localized(locale, settings).send(email).await.unwrap_err()
}

/// Asserts that both failures have the explanation of this error, in their languages.
fn assert_explained(failures: [Failure; 2], error: LocalError) {
    for (failure, locale) in failures.into_iter().zip([Locale::En, Locale::ZhCn]) {
        assert_eq!(
            failure.explanation,
            Table::new().explain_local(error).explanation(locale),
            "{failure:?}"
        );
    }
}

/// The failures of two sends to this server, one for each language.
async fn sends(builder: Builder, change: impl Fn(&SmtpPeer, Settings) -> Settings) -> [Failure; 2] {
    let peer = builder.start().await;
    let result =
        async |locale| failure(locale, change(&peer, with_login(peer.port())), &email()).await;
    [result(Locale::En).await, result(Locale::ZhCn).await]
}

fn encrypted(peer: &SmtpPeer, settings: Settings) -> Settings {
    Settings {
        tls: Tls::Implicit,
        tls_ca_file: Some(peer.ca_file().to_owned()),
        ..settings
    }
}

#[tokio::test]
async fn unreachable_server_is_explained() {
    let unknown = async |locale| {
        let settings = Settings {
            host: "no-such-host.invalid".to_owned(),
            ..settings(25)
        };
        failure(locale, settings, &email()).await
    };
    let failures = [unknown(Locale::En).await, unknown(Locale::ZhCn).await];
    let known = [LocalError::DnsNotFound, LocalError::DnsTemporary]
        .map(|error| Table::new().explain_local(error).explanation(Locale::En));
    assert!(
        known.contains(&failures[0].explanation) && failures[1].explanation.is_some(),
        "{failures:?}"
    );

    let mut peer = SmtpPeer::start().await;
    peer.stop_listening().await;
    let refused = async |locale| failure(locale, settings(peer.port()), &email()).await;
    assert_explained(
        [refused(Locale::En).await, refused(Locale::ZhCn).await],
        LocalError::ConnectRefused,
    );
}

#[tokio::test]
async fn invalid_certificate_is_explained() {
    let cases = [
        (Certificate::expired(), LocalError::CertificateExpired),
        (
            Certificate::named("mail.example.net"),
            LocalError::CertificateName,
        ),
    ];
    for (certificate, error) in cases {
        assert_explained(
            sends(
                with_auth().implicit_tls().certificate(certificate),
                encrypted,
            )
            .await,
            error,
        );
    }
    let untrusted = |_: &SmtpPeer, settings: Settings| Settings {
        tls: Tls::Implicit,
        ..settings
    };
    assert_explained(
        sends(with_auth().implicit_tls(), untrusted).await,
        LocalError::CertificateSelfSigned,
    );
    assert_explained(
        sends(with_auth().starttls(), encrypted).await,
        LocalError::TlsWrongVersion,
    );
}

#[tokio::test]
async fn self_signed_certificate_in_tls_ca_file_is_trusted_unless_a_ca() {
    let untrusted = |_: &SmtpPeer, settings: Settings| Settings {
        tls: Tls::Implicit,
        ..settings
    };
    for issuer in [false, true] {
        let builder = || {
            with_auth()
                .implicit_tls()
                .certificate(Certificate::self_signed(issuer))
        };
        assert_explained(
            sends(builder(), untrusted).await,
            LocalError::CertificateSelfSigned,
        );
        let peer = builder().start().await;
        let named = smtp(encrypted(&peer, with_login(peer.port())))
            .send(&email())
            .await;
        assert_eq!(named.is_ok(), !issuer, "{named:?}");
        if let Err(failure) = named {
            assert!(
                failure.detail.contains("CA:FALSE") && failure.detail.contains("tls_ca_file"),
                "{failure:?}"
            );
        }
    }
}

#[tokio::test]
async fn missing_or_refused_encryption_is_explained() {
    let required = |_: &SmtpPeer, settings: Settings| Settings {
        tls: Tls::Starttls,
        ..settings
    };
    assert_explained(
        sends(with_auth(), required).await,
        LocalError::StarttlsNotOffered,
    );
    let refusing = with_auth()
        .starttls()
        .always(At::Starttls, Act::reply("502 5.5.1 what"));
    assert_explained(sends(refusing, required).await, LocalError::StarttlsRefused);
    let injecting = with_auth().starttls().always(
        At::Starttls,
        Act::Reply(b"220 go\r\n250 AUTH PLAIN\r\n".to_vec()),
    );
    assert_explained(
        sends(injecting, required).await,
        LocalError::StarttlsResidue,
    );
}

#[tokio::test]
async fn missing_login_mechanism_is_explained() {
    let as_is = |_: &SmtpPeer, settings: Settings| settings;
    assert_explained(
        sends(SmtpPeer::builder(), as_is).await,
        LocalError::AuthNotOffered,
    );
    assert_explained(
        sends(with_auth().mechanisms("CRAM-MD5 XOAUTH2"), as_is).await,
        LocalError::AuthMechanism,
    );
}

#[tokio::test]
async fn silent_and_non_smtp_servers_are_explained() {
    let hasty = |_: &SmtpPeer, settings: Settings| Settings {
        timeout: Duration::from_millis(200),
        ..settings
    };
    assert_explained(
        sends(
            SmtpPeer::builder().always(At::Greeting, Act::Silence),
            hasty,
        )
        .await,
        LocalError::GreetingTimeout,
    );
    assert_explained(
        sends(SmtpPeer::builder().always(At::Ehlo, Act::Silence), hasty).await,
        LocalError::ReplyTimeout,
    );
    assert_explained(
        sends(SmtpPeer::builder().always(At::Ehlo, Act::Close), hasty).await,
        LocalError::ClosedWithoutReply,
    );
    assert_explained(
        sends(
            SmtpPeer::builder().always(At::Greeting, Act::reply("HTTP/1.1 400 Bad Request")),
            hasty,
        )
        .await,
        LocalError::NotSmtp,
    );
    assert_explained(
        sends(with_auth().always(At::Dot, Act::Close), |_, settings| {
            settings
        })
        .await,
        LocalError::LostAfterFinalDot,
    );
}

#[tokio::test]
async fn unacceptable_mail_is_explained_before_it_is_sent() {
    assert_explained(
        sends(with_auth().offering("SIZE 100"), |_, settings| settings).await,
        LocalError::TooLarge,
    );
    let peer = with_auth().without("SMTPUTF8").start().await;
    let non_ascii = Email {
        to: Recipient::parse("用户@例子.广告").unwrap(),
        ..email()
    };
    let result = async |locale| failure(locale, with_login(peer.port()), &non_ascii).await;
    assert_explained(
        [result(Locale::En).await, result(Locale::ZhCn).await],
        LocalError::Smtputf8NotOffered,
    );
    assert_eq!(peer.seen().count("MAIL"), 0);
}
