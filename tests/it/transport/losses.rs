//! Lost connections, and what is known about the mail afterwards.

use jobbell::domain::{FailureKind, Stage};
use jobbell::transport::smtp::Settings;

use super::{MAIL_DEFERRED, SERVER_UNAVAILABLE, email, numbered, settings, smtp, to};
use crate::support::smtp_peer::{Act, At, Gate, SmtpPeer};

#[tokio::test]
async fn connection_lost_before_the_dot_is_not_uncertain() {
    let stages = [
        (At::Greeting, Stage::Greeting),
        (At::Ehlo, Stage::Ehlo),
        (At::Mail, Stage::Mail),
        (At::Rcpt, Stage::Rcpt),
        (At::Data, Stage::Data),
    ];
    for (at, stage) in stages {
        for act in [Act::Close, Act::Reset] {
            let peer = SmtpPeer::builder()
                .without("PIPELINING")
                .always(at, act.clone())
                .start()
                .await;
            let failure = to(&peer).send(&email()).await.unwrap_err();
            assert_eq!(
                (failure.stage, failure.kind, failure.reply),
                (stage, SERVER_UNAVAILABLE, None),
                "{at:?} {act:?}"
            );
            assert_eq!(
                peer.seen().connections,
                1,
                "a new connection is not tried twice"
            );
        }
    }
}

#[tokio::test]
async fn connection_lost_within_the_payload_counts_against_the_mail() {
    let mut mail = email();
    mail.html = "<p>more than any buffer takes</p>\n".repeat(800_000);
    let peer = SmtpPeer::builder()
        .without("SIZE")
        .always(At::Payload, Act::Reset)
        .start()
        .await;
    let failure = to(&peer).send(&mail).await.unwrap_err();
    assert_eq!(
        (failure.stage, failure.kind),
        (Stage::Data, MAIL_DEFERRED),
        "{failure:?}"
    );
    assert!(peer.mails().is_empty());
}

#[tokio::test]
async fn connection_lost_after_the_dot_is_uncertain() {
    for act in [Act::Close, Act::Reset, Act::Close.kept(), Act::Reset.kept()] {
        let peer = SmtpPeer::builder()
            .always(At::Dot, act.clone())
            .start()
            .await;
        let failure = to(&peer).send(&email()).await.unwrap_err();
        assert_eq!(
            (failure.stage, failure.kind),
            (Stage::Dot, FailureKind::Uncertain),
            "{act:?}"
        );
        assert_eq!(peer.seen().connections, 1, "never sent again on its own");
    }
}

#[tokio::test]
async fn idle_connection_closed_by_the_server_fails_no_mail() {
    for act in [
        Act::Close,
        Act::Reset,
        Act::reply_and_close("421 4.4.2 idle too long"),
    ] {
        for builder in [
            SmtpPeer::builder(),
            SmtpPeer::builder().without("PIPELINING"),
        ] {
            let peer = builder.start().await;
            let server = to(&peer);
            server.send(&numbered(1)).await.unwrap();
            peer.once(At::Mail, act.clone());
            server.send(&numbered(2)).await.unwrap();
            let seen = peer.seen();
            assert_eq!((seen.connections, seen.mails.len()), (2, 2), "{act:?}");
        }
    }
}

#[tokio::test]
async fn server_that_closes_after_each_mail_causes_no_failure() {
    let peer = SmtpPeer::builder()
        .always(At::Dot, Act::reply_and_close("250 2.0.0 kept"))
        .start()
        .await;
    let server = to(&peer);
    for number in 1..4 {
        server.send(&numbered(number)).await.unwrap();
        peer.until("the server to hang up", |seen| seen.open == 0)
            .await;
    }
    assert_eq!((peer.seen().connections, peer.mails().len()), (3, 3));
}

#[tokio::test]
async fn failure_of_the_new_connection_is_reported() {
    let peer = SmtpPeer::start().await;
    let server = to(&peer);
    server.send(&numbered(1)).await.unwrap();
    peer.always(At::Mail, Some(Act::Close));
    let failure = server.send(&numbered(2)).await.unwrap_err();
    assert_eq!(
        (failure.stage, failure.kind),
        (Stage::Mail, SERVER_UNAVAILABLE)
    );
    assert_eq!(peer.seen().connections, 2);
}

#[tokio::test]
async fn mail_is_not_resent_after_a_loss_past_the_final_dot() {
    let peer = SmtpPeer::start().await;
    let server = to(&peer);
    server.send(&numbered(1)).await.unwrap();
    peer.once(At::Dot, Act::Close.kept());
    assert_eq!(
        server.send(&numbered(2)).await.unwrap_err().kind,
        FailureKind::Uncertain
    );
    assert_eq!((peer.seen().connections, peer.mails().len()), (1, 2));
}

#[tokio::test]
async fn cancelled_send_leaves_no_connection() {
    let gate = Gate::new();
    let peer = SmtpPeer::builder()
        .once(At::Dot, Act::Usual.held(&gate))
        .start()
        .await;
    let server = to(&peer);
    let mail = numbered(1);
    tokio::select! {
        result = server.send(&mail) => panic!("the gate was closed: {result:?}"),
        () = gate.reached() => {}
    }
    gate.open();
    server.send(&numbered(2)).await.unwrap();
    let seen = peer.seen();
    assert_eq!(
        seen.connections, 2,
        "the half-used connection was not used again"
    );
    assert!(
        seen.mails
            .iter()
            .any(|arrived| arrived.wire == super::wire(&numbered(2)).payload)
    );
}

#[tokio::test]
async fn closed_port_is_unavailable() {
    let mut peer = SmtpPeer::start().await;
    let server = to(&peer);
    peer.stop_listening().await;
    let failure = server.send(&email()).await.unwrap_err();
    assert_eq!(
        (failure.stage, failure.kind),
        (Stage::Connect, SERVER_UNAVAILABLE)
    );
    assert!(
        failure.detail.contains("127.0.0.1") && failure.detail.contains("refused"),
        "{}",
        failure.detail
    );
}

#[tokio::test]
async fn unknown_host_is_unavailable() {
    let failure = smtp(Settings {
        host: "no-such-host.invalid".to_owned(),
        ..settings(25)
    })
    .send(&email())
    .await
    .unwrap_err();
    assert_eq!(
        (failure.stage, failure.kind),
        (Stage::Dns, SERVER_UNAVAILABLE)
    );
}

#[tokio::test]
async fn every_address_of_a_host_is_tried() {
    // "localhost" is often ::1 first, where this peer does not listen.
    let peer = SmtpPeer::start().await;
    smtp(Settings {
        host: "localhost".to_owned(),
        ..settings(peer.port())
    })
    .send(&email())
    .await
    .unwrap();
    assert_eq!(peer.mails().len(), 1);
}
