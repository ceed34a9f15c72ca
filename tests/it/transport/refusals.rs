//! Refusals, and what happens to the connection afterwards.

use std::time::Duration;

use jobbell::domain::{FailureKind, Stage};

use super::{MAIL_DEFERRED, SERVER_UNAVAILABLE, email, numbered, to};
use crate::support::smtp_peer::{Act, At, SmtpPeer};

#[tokio::test]
async fn refusal_is_classified_by_its_stage() {
    let cases = [
        (
            At::Greeting,
            "554 5.3.2 not you",
            Stage::Greeting,
            SERVER_UNAVAILABLE,
        ),
        (
            At::Greeting,
            "421 4.7.0 too many",
            Stage::Greeting,
            SERVER_UNAVAILABLE,
        ),
        (
            At::Ehlo,
            "554 5.7.1 who are you",
            Stage::Ehlo,
            SERVER_UNAVAILABLE,
        ),
        (At::Ehlo, "421 4.3.0 no", Stage::Ehlo, SERVER_UNAVAILABLE),
        (
            At::Mail,
            "550 5.7.60 not as this sender",
            Stage::Mail,
            FailureKind::Misconfigured,
        ),
        (
            At::Mail,
            "553 mail from must equal login",
            Stage::Mail,
            FailureKind::Misconfigured,
        ),
        (
            At::Mail,
            "530 5.7.0 log in",
            Stage::Mail,
            FailureKind::Misconfigured,
        ),
        (
            At::Mail,
            "451 4.7.1 too fast",
            Stage::Mail,
            SERVER_UNAVAILABLE,
        ),
        (At::Mail, "421 4.7.0 bye", Stage::Mail, SERVER_UNAVAILABLE),
        (
            At::Mail,
            "552 5.3.4 too big",
            Stage::Mail,
            FailureKind::TooLarge,
        ),
        (
            At::Rcpt,
            "550 5.1.1 nobody",
            Stage::Rcpt,
            FailureKind::Rejected,
        ),
        (
            At::Rcpt,
            "450 4.2.0 greylisted",
            Stage::Rcpt,
            FailureKind::Deferred {
                retry_after: Some(Duration::from_mins(5)),
            },
        ),
        (At::Rcpt, "421 4.7.0 bye", Stage::Rcpt, SERVER_UNAVAILABLE),
        (
            At::Data,
            "554 5.7.1 no",
            Stage::Data,
            FailureKind::RejectedHere,
        ),
        (At::Data, "451 4.3.0 later", Stage::Data, MAIL_DEFERRED),
        (
            At::Dot,
            "554 5.7.1 spam",
            Stage::Dot,
            FailureKind::RejectedHere,
        ),
        (
            At::Dot,
            "452 4.2.2 full",
            Stage::Dot,
            FailureKind::Deferred { retry_after: None },
        ),
        (At::Dot, "452 4.3.1 disk", Stage::Dot, MAIL_DEFERRED),
        (
            At::Mail,
            "503 5.5.1 log in first",
            Stage::Mail,
            FailureKind::Misconfigured,
        ),
        (
            At::Dot,
            "421 4.3.2 closing",
            Stage::Dot,
            FailureKind::Uncertain,
        ),
    ];
    for pipelining in [true, false] {
        for (at, answer, stage, kind) in cases {
            let builder = if pipelining {
                SmtpPeer::builder()
            } else {
                SmtpPeer::builder().without("PIPELINING")
            };
            let peer = builder.always(at, Act::reply(answer)).start().await;
            let failure = to(&peer).send(&email()).await.unwrap_err();
            assert_eq!(
                (failure.stage, failure.kind),
                (stage, kind),
                "{answer} at {at:?}, pipelining {pipelining}: {failure:?}"
            );
            let reply = failure.reply.unwrap();
            assert!(
                answer.starts_with(&reply.code.to_string()) && answer.ends_with(&reply.text),
                "{reply:?}"
            );
            assert!(peer.mails().is_empty());
        }
    }
}

#[tokio::test]
async fn refused_recipient_resets_the_session_without_reconnecting() {
    for (builder, together) in [
        (SmtpPeer::builder(), true),
        (SmtpPeer::builder().without("PIPELINING"), false),
    ] {
        let peer = builder
            .once(At::Rcpt, Act::reply("550 5.1.1 nobody"))
            .start()
            .await;
        let server = to(&peer);
        assert_eq!(
            server.send(&numbered(1)).await.unwrap_err().stage,
            Stage::Rcpt
        );
        server.send(&numbered(2)).await.unwrap();
        server.send(&numbered(3)).await.unwrap();
        let seen = peer.seen();
        assert_eq!(
            (seen.connections, seen.mails.len(), seen.count("RSET")),
            (1, 2, 1),
            "{:#?}",
            seen.commands
        );
        let reset = seen
            .commands
            .iter()
            .position(|command| command.line == "RSET")
            .unwrap();
        assert_eq!(
            seen.commands[reset].arrival == seen.commands[reset + 1].arrival,
            together,
            "RSET is pipelined with the next envelope if offered"
        );
    }
}

#[tokio::test]
async fn data_without_recipients_is_ended_empty() {
    let peer = SmtpPeer::builder()
        .once(At::Rcpt, Act::reply("550 5.1.1 nobody"))
        .once(At::Data, Act::reply("354 go on then"))
        .start()
        .await;
    let server = to(&peer);
    let failure = server.send(&numbered(1)).await.unwrap_err();
    assert_eq!(
        (failure.stage, failure.kind),
        (Stage::Rcpt, FailureKind::Rejected)
    );
    server.send(&numbered(2)).await.unwrap();
    let seen = peer.seen();
    assert_eq!((seen.connections, seen.mails.len()), (1, 1));
    assert_eq!(
        seen.mails[0].wire,
        super::wire(&numbered(2)).payload,
        "unaffected by the refused mail"
    );
}

#[tokio::test]
async fn first_refusal_of_a_pipelined_group_is_reported() {
    let peer = SmtpPeer::builder()
        .once(At::Mail, Act::reply_and_close("550 5.7.9 not from here"))
        .start()
        .await;
    let failure = to(&peer).send(&email()).await.unwrap_err();
    assert_eq!(
        (failure.stage, failure.kind),
        (Stage::Mail, FailureKind::Misconfigured)
    );
    assert_eq!(failure.reply.unwrap().text, "not from here");
}

#[tokio::test]
async fn connection_is_replaced_if_rset_fails() {
    let peer = SmtpPeer::builder()
        .once(At::Rcpt, Act::reply("550 5.1.1 nobody"))
        .once(At::Rset, Act::reply("502 5.5.1 RSET?"))
        .start()
        .await;
    let server = to(&peer);
    assert!(server.send(&numbered(1)).await.is_err());
    server.send(&numbered(2)).await.unwrap();
    assert_eq!((peer.seen().connections, peer.mails().len()), (2, 1));
}

#[tokio::test]
async fn incomplete_refusal_before_a_disconnect_is_reported() {
    let peer = SmtpPeer::builder()
        .once(
            At::Mail,
            Act::ReplyAndClose(b"550-5.7.1 first line\r\n550 5.7.1 second li".to_vec()),
        )
        .start()
        .await;
    let failure = to(&peer).send(&email()).await.unwrap_err();
    assert_eq!(failure.reply.unwrap().text, "first line\nsecond li");
}

#[tokio::test]
async fn incomplete_acceptance_does_not_count() {
    let peer = SmtpPeer::builder()
        .once(At::Dot, Act::ReplyAndClose(b"250 2.0.0 ke".to_vec()))
        .start()
        .await;
    let failure = to(&peer).send(&email()).await.unwrap_err();
    assert_eq!(
        (failure.stage, failure.kind),
        (Stage::Dot, FailureKind::Uncertain)
    );
}

#[tokio::test]
async fn extra_reply_ends_the_connection() {
    // The message is accepted twice: the second reply must not be taken for that of the next mail's
    // MAIL.
    let peer = SmtpPeer::builder()
        .once(
            At::Dot,
            Act::Reply(b"250 2.0.0 kept\r\n250 2.0.0 kept\r\n".to_vec()),
        )
        .start()
        .await;
    let server = to(&peer);
    server.send(&numbered(1)).await.unwrap();
    server.send(&numbered(2)).await.unwrap();
    let mails = peer.mails();
    assert_eq!(mails.len(), 2);
    assert_eq!(
        mails[1].connection, 1,
        "the second mail uses a synchronized connection"
    );
}

#[tokio::test]
async fn non_smtp_reply_is_reported_and_never_trusted() {
    let noise: [&[u8]; 5] = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x15\x03\x03\x00\x02\x02\x28\r\n",
        &[b'2'; 5000],
        b"220-one\r\n250 two\r\n",
        b"999 what\r\n",
    ];
    for bytes in noise {
        let peer = SmtpPeer::builder()
            .always(At::Greeting, Act::Reply(bytes.to_vec()))
            .start()
            .await;
        let failure = to(&peer).send(&email()).await.unwrap_err();
        assert_eq!(
            (failure.stage, failure.kind),
            (Stage::Greeting, FailureKind::Misconfigured)
        );
        assert!(failure.detail.contains("not SMTP"), "{}", failure.detail);
    }
}

#[tokio::test]
async fn endless_reply_is_cut_off() {
    let endless =
        b"250-and so on and so on and so on and so on and so on and so on\r\n".repeat(2_000);
    let peer = SmtpPeer::builder()
        .always(At::Ehlo, Act::Reply(endless))
        .start()
        .await;
    let failure = to(&peer).send(&email()).await.unwrap_err();
    assert_eq!(failure.stage, Stage::Ehlo);
    assert!(failure.detail.contains("64 KiB"), "{}", failure.detail);
}
