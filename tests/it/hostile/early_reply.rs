//! A mail server that replies too early: no mail counts as sent because of it, is lost or
//! duplicated.

use std::time::Duration;

use jobbell::domain::{Email, FailureKind, Stage};
use jobbell::transport::smtp::Settings;

use crate::support::smtp_peer::{Act, At, Builder, SmtpPeer};
use crate::transport::{
    MAIL_DEFERRED, SERVER_UNAVAILABLE, email, numbered, settings, smtp, to, with_login,
};

fn builders() -> [Builder; 2] {
    [
        SmtpPeer::builder(),
        SmtpPeer::builder().without("PIPELINING"),
    ]
}

#[tokio::test]
async fn acceptance_sent_with_the_354_is_not_the_final_reply() {
    for builder in builders() {
        let peer = builder
            .once(At::Data, Act::reply("354 go ahead\r\n250 2.0.0 queued"))
            .start()
            .await;
        let server = to(&peer);
        let failure = server.send(&numbered(1)).await.unwrap_err();
        assert_eq!(
            (failure.stage, failure.kind),
            (Stage::Data, SERVER_UNAVAILABLE),
            "{failure:?}"
        );
        assert!(
            peer.mails().is_empty(),
            "the message was not written at all"
        );
        server.send(&numbered(1)).await.unwrap();
        assert_eq!((peer.seen().connections, peer.mails().len()), (2, 1));
    }
}

#[tokio::test]
async fn extra_reply_at_any_step_drops_only_the_connection() {
    let extra = [
        (At::Greeting, "220 peer.test\r\n250 hello", Stage::Ehlo),
        (At::Mail, "250 2.1.0 ok\r\n250 2.1.5 ok", Stage::Rcpt),
        (At::Rcpt, "250 2.1.5 ok\r\n354 go ahead", Stage::Data),
        (
            At::Rcpt,
            "250 2.1.5 ok\r\n354 go ahead\r\n250 2.0.0 queued",
            Stage::Data,
        ),
        // An unsolicited refusal does not apply to this mail.
        (At::Rcpt, "250 2.1.5 ok\r\n550 5.1.1 nobody", Stage::Data),
    ];
    for (at, answer, stage) in extra {
        let peer = SmtpPeer::builder()
            .without("PIPELINING")
            .once(at, Act::reply(answer))
            .start()
            .await;
        let server = to(&peer);
        let failure = server.send(&numbered(1)).await.unwrap_err();
        assert_eq!(
            (failure.stage, failure.kind),
            (stage, SERVER_UNAVAILABLE),
            "{answer}: {failure:?}"
        );
        server.send(&numbered(1)).await.unwrap();
        assert_eq!(
            (peer.seen().connections, peer.mails().len()),
            (2, 1),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn pipelined_replies_are_counted() {
    for answer in [
        "250 2.1.5 ok\r\n354 go ahead",
        "250 2.1.5 ok\r\n354 go ahead\r\n250 2.0.0 queued",
    ] {
        let peer = SmtpPeer::builder()
            .once(At::Rcpt, Act::reply(answer))
            .start()
            .await;
        let server = to(&peer);
        let failure = server.send(&numbered(1)).await.unwrap_err();
        assert_eq!(
            (failure.stage, failure.kind, peer.mails().len()),
            (Stage::Data, SERVER_UNAVAILABLE, 0),
            "{answer}: {failure:?}"
        );
    }
}

#[tokio::test]
async fn login_reply_before_the_password_is_not_accepted() {
    let peer = SmtpPeer::builder()
        .login("me@example.com", "another password")
        .once(
            At::Ehlo,
            Act::reply("250-peer.test\r\n250 AUTH PLAIN\r\n235 welcome"),
        )
        .start()
        .await;
    let failure = smtp(with_login(peer.port()))
        .send(&email())
        .await
        .unwrap_err();
    assert_eq!(
        (failure.stage, failure.kind, peer.seen().count("AUTH")),
        (Stage::Auth, SERVER_UNAVAILABLE, 0),
        "{failure:?}"
    );
}

#[tokio::test]
async fn second_final_reply_is_not_applied_to_the_next_mail() {
    for builder in builders() {
        let peer = builder
            .once(At::Dot, Act::reply("250 2.0.0 kept\r\n250 2.0.0 kept"))
            .start()
            .await;
        let server = to(&peer);
        for number in 1..4 {
            server.send(&numbered(number)).await.unwrap();
        }
        assert_eq!(
            (peer.seen().connections, peer.mails().len()),
            (2, 3),
            "the second mail went over a new connection"
        );
    }
}

#[tokio::test]
async fn acceptance_in_the_middle_of_a_message_is_ignored() {
    let mut mail = email();
    mail.html = "<p>more than any buffer takes</p>\n".repeat(800_000);
    let peer = SmtpPeer::builder()
        .without("SIZE")
        .once(At::Payload, Act::reply("250 2.0.0 queued"))
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
async fn chunk_reply_before_the_chunk_is_not_accepted() {
    let peer = SmtpPeer::builder()
        .offering("CHUNKING")
        .with_latency()
        .start()
        .await;
    let server = to(&peer);
    let mail = |number| Email {
        text: "done\n".to_owned(),
        ..numbered(number)
    };
    // The replies to the next group arrive before it is written.
    peer.once(
        At::Dot,
        Act::reply("250 2.0.0 kept\r\n250 2.1.0 ok\r\n250 2.1.5 ok\r\n250 2.0.0 kept"),
    );
    server.send(&mail(1)).await.unwrap();
    server.send(&mail(2)).await.unwrap();
    let seen = peer.seen();
    assert_eq!(
        (seen.connections, seen.mails.len(), seen.count("BDAT")),
        (2, 2, 0),
        "the second mail went over a new connection"
    );
}

#[tokio::test]
async fn unsolicited_421_is_recognized() {
    let peer = SmtpPeer::builder()
        .once(
            At::Greeting,
            Act::reply("220 peer.test\r\n421 4.3.2 shutting down"),
        )
        .start()
        .await;
    let server = smtp(Settings {
        timeout: Duration::from_secs(5),
        ..settings(peer.port())
    });
    let failure = server.send(&email()).await.unwrap_err();
    assert_eq!(
        (failure.stage, failure.kind),
        (Stage::Ehlo, SERVER_UNAVAILABLE)
    );
    assert_eq!(failure.reply.map(|reply| reply.code), Some(421));
    // On a reused connection this is no failure.
    peer.once(At::Dot, Act::reply("250 2.0.0 kept\r\n421 4.4.2 enough"));
    for number in 1..3 {
        server.send(&numbered(number)).await.unwrap();
    }
    assert_eq!((peer.seen().connections, peer.mails().len()), (3, 2));
    assert_ne!(failure.kind, FailureKind::Uncertain);
}
