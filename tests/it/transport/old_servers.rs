//! Unusual or old servers that conform to the standards: mails are sent to them, or the failure is
//! told apart from that of a broken server.

use jobbell::domain::{FailureKind, Stage};
use jobbell::transport::smtp::Settings;

use super::{email, settings, smtp, to, with_auth, with_login};
use crate::support::smtp_peer::{Act, At, SmtpPeer};

#[tokio::test]
async fn configured_helo_name_is_used_in_ehlo_and_helo() {
    let peer = SmtpPeer::builder()
        .always(At::Ehlo, Act::reply("502 5.5.1 unknown command"))
        .start()
        .await;
    let named = Settings {
        helo_name: Some("bell.example.com".to_owned()),
        ..settings(peer.port())
    };
    smtp(named).send(&email()).await.unwrap();
    let seen = peer.seen();
    assert_eq!(
        seen.lines()[..2],
        ["EHLO bell.example.com", "HELO bell.example.com"]
    );
}

#[tokio::test]
async fn helo_follows_an_ehlo_rejected_as_a_command() {
    for reply in [
        "500 what",
        "501 syntax",
        "502 not implemented",
        "503 no",
        "504 parameter",
        "550 no EHLO here",
    ] {
        let peer = SmtpPeer::builder()
            .always(At::Ehlo, Act::reply(reply))
            .start()
            .await;
        to(&peer).send(&email()).await.unwrap();
        assert_eq!(
            (peer.seen().count("HELO"), peer.mails().len()),
            (1, 1),
            "{reply}"
        );
    }
}

#[tokio::test]
async fn refused_helo_name_is_explained_with_the_setting() {
    for reply in [
        "421 4.3.0 go away",
        "450 4.7.1 <[127.0.0.1]>: Helo command rejected: Host not found",
        "554 5.7.1 no",
    ] {
        let peer = SmtpPeer::builder()
            .always(At::Ehlo, Act::reply(reply))
            .start()
            .await;
        let failure = to(&peer).send(&email()).await.unwrap_err();
        let explanation = failure.explanation.clone().unwrap();
        assert!(
            explanation.advice.contains("smtp.helo_name"),
            "{reply}: {failure:?}"
        );
        assert!(
            failure.detail.contains("[127.0.0.1]") || failure.stage != Stage::Ehlo,
            "{reply}: {failure:?}"
        );
    }
    // Postfix rejects the HELO name at RCPT, by its default smtpd_delay_reject.
    let reply = "504 5.5.2 <box>: Helo command rejected: need fully-qualified hostname";
    let peer = SmtpPeer::builder()
        .always(At::Rcpt, Act::reply(reply))
        .start()
        .await;
    let failure = to(&peer).send(&email()).await.unwrap_err();
    assert!(
        failure
            .explanation
            .unwrap()
            .advice
            .contains("smtp.helo_name")
    );
}

#[tokio::test]
async fn auth_line_with_an_equals_sign_is_understood() {
    let peer = with_auth().mechanisms("=LOGIN PLAIN").start().await;
    smtp(with_login(peer.port())).send(&email()).await.unwrap();
    assert!(peer.mails()[0].login.is_some());
}

#[tokio::test]
async fn no_4xx_reply_ends_a_mail() {
    let replies = [
        "452 4.2.2 mailbox full",
        "452 4.5.3 too many recipients",
        "450 5.1.1 odd",
        "451 4.3.4 too big for now",
        "499 what",
    ];
    for at in [At::Mail, At::Rcpt, At::Data, At::Dot] {
        for reply in replies {
            let peer = SmtpPeer::builder()
                .always(at, Act::reply(reply))
                .start()
                .await;
            let kind = to(&peer).send(&email()).await.unwrap_err().kind;
            let is_final = matches!(
                kind,
                FailureKind::Rejected | FailureKind::RejectedHere | FailureKind::TooLarge
            );
            assert!(!is_final, "{at:?} {reply}: {kind:?}");
        }
    }
}
