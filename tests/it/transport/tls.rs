//! Encryption: required where it is asked for, never given up halfway, and explained when it fails.

use jobbell::domain::{Failure, FailureKind, Stage};
use jobbell::transport::smtp::{Settings, SetupError, Smtp, Tls};

use super::{PASSWORD, SERVER_UNAVAILABLE, common, context, email, settings, smtp, with_login};
use crate::support::smtp_peer::{Act, At, Builder, Certificate, SmtpPeer};

fn trusting(peer: &SmtpPeer, tls: Tls) -> Settings {
    Settings {
        tls,
        tls_ca_file: Some(peer.ca_file().to_owned()),
        ..with_login(peer.port())
    }
}

fn guarded() -> Builder {
    SmtpPeer::builder().login("me@example.com", PASSWORD)
}

#[tokio::test]
async fn implicit_tls_is_spoken_from_the_first_byte() {
    let peer = guarded().implicit_tls().start().await;
    smtp(trusting(&peer, Tls::Implicit))
        .send(&email())
        .await
        .unwrap();
    let mail = peer.mails().remove(0);
    assert!(mail.encrypted);
    assert_eq!(mail.login.as_deref(), Some("me@example.com"));
}

#[tokio::test]
async fn starttls_upgrades_and_asks_ehlo_again() {
    for tls in [Tls::Starttls, Tls::Opportunistic] {
        let peer = guarded().starttls().start().await;
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
async fn tls_1_2_is_enough() {
    let peer = guarded()
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
async fn required_starttls_is_required_on_loopback_too() {
    let peer = guarded().start().await;
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
async fn an_offered_starttls_that_is_refused_never_falls_back_to_clear_text() {
    for tls in [Tls::Starttls, Tls::Opportunistic] {
        for (refusal, kind) in [
            ("454 4.7.0 not now", SERVER_UNAVAILABLE),
            ("454 TLS not available", FailureKind::Misconfigured),
            ("502 5.5.1 what", FailureKind::Misconfigured),
            ("250 fine, but no", FailureKind::Misconfigured),
        ] {
            let peer = guarded()
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
async fn bytes_slipped_in_behind_the_answer_to_starttls_end_it() {
    let peer = guarded()
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
async fn opportunistic_goes_on_in_clear_where_nothing_is_offered() {
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
async fn a_certificate_that_is_not_good_is_explained() {
    let strange = refused(guarded().implicit_tls(), |settings| Settings {
        tls_ca_file: None,
        ..settings
    })
    .await;
    assert!(
        strange.detail.contains("has an unknown issuer") && strange.detail.contains("tls_ca_file"),
        "{}",
        strange.detail
    );

    let old = refused(
        guarded().implicit_tls().certificate(Certificate::expired()),
        |settings| settings,
    )
    .await;
    assert!(old.detail.contains("expired"), "{}", old.detail);

    let other = refused(
        guarded()
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

    for failure in [strange, old, other] {
        assert_eq!(failure.kind, FailureKind::Misconfigured);
    }
}

#[tokio::test]
async fn a_port_that_speaks_no_tls_at_once_is_explained() {
    let failure = refused(guarded().starttls(), |settings| settings).await;
    assert_eq!(failure.kind, FailureKind::Misconfigured);
    assert!(failure.detail.contains("starttls"), "{}", failure.detail);
}

#[tokio::test]
async fn a_break_during_the_handshake_is_the_servers_trouble() {
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
fn a_root_certificate_that_cannot_be_read_is_found_at_once() {
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
