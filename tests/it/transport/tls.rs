//! Encryption: required if configured, never dropped halfway, and explained if it fails.

use jobbell::domain::{Failure, FailureKind, Stage};
use jobbell::transport::smtp::{Settings, SetupError, Smtp, Tls};

use super::{SERVER_UNAVAILABLE, common, context, email, settings, smtp, with_auth, with_login};
use crate::support::smtp_peer::{Act, At, Builder, Certificate, SmtpPeer};

fn trusting(peer: &SmtpPeer, tls: Tls) -> Settings {
    Settings {
        tls,
        tls_ca_file: Some(peer.ca_file().to_owned()),
        ..with_login(peer.port())
    }
}

#[tokio::test]
async fn implicit_tls_starts_with_the_first_byte() {
    let peer = with_auth().implicit_tls().start().await;
    smtp(trusting(&peer, Tls::Implicit))
        .send(&email())
        .await
        .unwrap();
    let mail = peer.mails().remove(0);
    assert!(mail.encrypted);
    assert_eq!(mail.login.as_deref(), Some("me@example.com"));
}

#[tokio::test]
async fn starttls_upgrades_and_repeats_ehlo() {
    for tls in [Tls::Starttls, Tls::Opportunistic] {
        let peer = with_auth().starttls().start().await;
        smtp(trusting(&peer, tls)).send(&email()).await.unwrap();
        assert!(peer.mails()[0].encrypted);
        assert_eq!(peer.seen().count("EHLO"), 2);
        let seen = peer.seen();
        let verbs: Vec<&str> = seen
            .lines()
            .iter()
            .map(|line| line.split([' ', ':']).next().unwrap())
            .collect();
        assert_eq!(
            verbs,
            ["EHLO", "STARTTLS", "EHLO", "AUTH", "MAIL", "RCPT", "DATA"]
        );
    }
}

#[tokio::test]
async fn tls_1_2_is_accepted() {
    let peer = with_auth()
        .implicit_tls()
        .certificate(Certificate::over_tls12())
        .start()
        .await;
    smtp(trusting(&peer, Tls::Implicit))
        .send(&email())
        .await
        .unwrap();
}

#[tokio::test]
async fn starttls_is_required_on_loopback_too() {
    let peer = with_auth().start().await;
    let failure = smtp(Settings {
        tls: Tls::Starttls,
        ..with_login(peer.port())
    })
    .send(&email())
    .await
    .unwrap_err();
    assert_eq!(
        (failure.stage, failure.kind),
        (Stage::Starttls, FailureKind::Misconfigured)
    );
    assert!(failure.detail.contains("no STARTTLS"), "{}", failure.detail);
    assert_eq!(
        (peer.seen().count("AUTH"), peer.seen().count("MAIL")),
        (0, 0)
    );
}

#[tokio::test]
async fn refused_starttls_never_falls_back_to_plain_text() {
    for tls in [Tls::Starttls, Tls::Opportunistic] {
        for (refusal, kind) in [
            ("454 4.7.0 not now", SERVER_UNAVAILABLE),
            ("454 TLS not available", FailureKind::Misconfigured),
            ("502 5.5.1 what", FailureKind::Misconfigured),
            ("250 fine, but no", FailureKind::Misconfigured),
        ] {
            let peer = with_auth()
                .starttls()
                .always(At::Starttls, Act::reply(refusal))
                .start()
                .await;
            let failure = smtp(trusting(&peer, tls)).send(&email()).await.unwrap_err();
            assert_eq!(
                (failure.stage, failure.kind),
                (Stage::Starttls, kind),
                "{refusal}"
            );
            assert_eq!(
                (peer.seen().count("AUTH"), peer.seen().count("MAIL")),
                (0, 0),
                "{refusal}"
            );
        }
    }
}

#[tokio::test]
async fn bytes_after_the_starttls_reply_end_the_connection() {
    let peer = with_auth()
        .starttls()
        .always(
            At::Starttls,
            Act::Reply(b"220 go ahead\r\n250-injected\r\n250 AUTH PLAIN\r\n".to_vec()),
        )
        .start()
        .await;
    let failure = smtp(trusting(&peer, Tls::Opportunistic))
        .send(&email())
        .await
        .unwrap_err();
    assert_eq!(
        (failure.stage, failure.kind),
        (Stage::Starttls, FailureKind::Misconfigured)
    );
    assert!(failure.detail.contains("attacker"), "{}", failure.detail);
    assert_eq!(peer.seen().count("AUTH"), 0);
}

#[tokio::test]
async fn opportunistic_tls_continues_unencrypted_if_not_offered() {
    let peer = SmtpPeer::start().await;
    smtp(Settings {
        tls: Tls::Opportunistic,
        ..settings(peer.port())
    })
    .send(&email())
    .await
    .unwrap();
    assert!(!peer.mails()[0].encrypted);
}

async fn refused(builder: Builder, change: impl FnOnce(Settings) -> Settings) -> Failure {
    let peer = builder.start().await;
    let failure = smtp(change(trusting(&peer, Tls::Implicit)))
        .send(&email())
        .await
        .unwrap_err();
    assert_eq!(failure.stage, Stage::Tls);
    assert_eq!(peer.seen().count("AUTH"), 0);
    failure
}

#[tokio::test]
async fn invalid_certificate_is_explained() {
    let untrusted = refused(with_auth().implicit_tls(), |settings| Settings {
        tls_ca_file: None,
        ..settings
    })
    .await;
    assert!(
        untrusted.detail.contains("has an unknown issuer")
            && untrusted.detail.contains("tls_ca_file"),
        "{}",
        untrusted.detail
    );

    let old = refused(
        with_auth()
            .implicit_tls()
            .certificate(Certificate::expired()),
        |settings| settings,
    )
    .await;
    assert!(old.detail.contains("expired"), "{}", old.detail);

    let other = refused(
        with_auth()
            .implicit_tls()
            .certificate(Certificate::named("mail.example.net")),
        |settings| settings,
    )
    .await;
    assert!(
        other.detail.contains("not valid for that name"),
        "{}",
        other.detail
    );

    for failure in [untrusted, old, other] {
        assert_eq!(failure.kind, FailureKind::Misconfigured);
    }
}

#[tokio::test]
async fn port_without_implicit_tls_is_explained() {
    let failure = refused(with_auth().starttls(), |settings| settings).await;
    assert_eq!(failure.kind, FailureKind::Misconfigured);
    assert!(failure.detail.contains("starttls"), "{}", failure.detail);
}

#[tokio::test]
async fn connection_lost_during_the_handshake_is_server_wide() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = smtp(Settings {
        tls: Tls::Implicit,
        ..settings(port)
    });
    let hang_up = async { drop(listener.accept().await.unwrap()) };
    let mail = email();
    let (result, ()) = tokio::join!(server.send(&mail), hang_up);
    let failure = result.unwrap_err();
    assert_eq!(
        (failure.stage, failure.kind),
        (Stage::Tls, SERVER_UNAVAILABLE)
    );
}

#[test]
fn unreadable_root_certificate_is_reported_at_start() {
    let settings = |path: &std::path::Path| Settings {
        tls: Tls::Implicit,
        tls_ca_file: Some(path.to_owned()),
        ..settings(465)
    };
    let new = |path: &std::path::Path| Smtp::new(common(), settings(path), &context()).unwrap_err();
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("none.pem");
    let error = new(&missing);
    assert!(
        matches!(error, SetupError::CaFile { .. }) && error.to_string().contains("none.pem"),
        "{error}"
    );
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "no certificate\n").unwrap();
    assert!(matches!(new(&empty), SetupError::NoCertificate(_)));
}
