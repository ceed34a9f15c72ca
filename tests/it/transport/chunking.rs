//! CHUNKING (RFC 3030): the whole mail in one write, to distant servers.

use jobbell::domain::{Email, FailureKind, Stage};
use jobbell::transport::smtp::Smtp;

use super::{MAIL_DEFERRED, SERVER_UNAVAILABLE, numbered, to};
use crate::support::smtp_peer::{Act, At, Builder, SmtpPeer};

fn distant() -> Builder {
    SmtpPeer::builder().offering("CHUNKING").with_latency()
}

/// A mail without stuffed dots.
fn mail(number: u8) -> Email {
    Email {
        text: "done\n".to_owned(),
        ..numbered(number)
    }
}

/// A distant server that has accepted a mail on the kept connection.
async fn trusted() -> (SmtpPeer, Smtp) {
    let peer = distant().start().await;
    let server = to(&peer);
    server.send(&mail(0)).await.unwrap();
    (peer, server)
}

#[tokio::test]
async fn bdat_sends_a_mail_in_one_write_to_a_distant_server() {
    let peer = distant().start().await;
    let server = to(&peer);
    for number in 1..4 {
        assert_eq!(server.send(&mail(number)).await.unwrap().reply.text, "kept");
    }
    let seen = peer.seen();
    let verbs: Vec<&str> = seen
        .commands
        .iter()
        .map(|command| command.line.split([' ', ':']).next().unwrap())
        .collect();
    assert_eq!(
        verbs,
        [
            "EHLO", "MAIL", "RCPT", "DATA", "MAIL", "RCPT", "BDAT", "MAIL", "RCPT", "BDAT"
        ],
        "DATA until the server has accepted a mail"
    );
    assert!(
        seen.commands[4..]
            .chunks(3)
            .all(|group| group[0].arrival == group[2].arrival),
        "{:?}",
        seen.commands
    );
    let mail = mail(2);
    let wire = super::wire(&mail);
    assert_eq!(
        seen.mails[1].data,
        wire.payload.strip_suffix(b".\r\n").unwrap()
    );
    assert_eq!((seen.mails.len(), seen.mails[1].data.len()), (3, wire.size));
}

#[tokio::test]
async fn data_is_used_without_the_extensions_or_with_stuffed_dots() {
    for (builder, mail) in [
        (distant().without("CHUNKING"), mail(1)),
        (distant().without("PIPELINING"), mail(1)),
        (
            distant(),
            Email {
                text: "done\n.\n".to_owned(),
                ..mail(1)
            },
        ),
    ] {
        let peer = builder.start().await;
        let server = to(&peer);
        server.send(&mail).await.unwrap();
        server.send(&mail).await.unwrap();
        assert_eq!(
            (
                peer.seen().count("DATA"),
                peer.seen().count("BDAT"),
                peer.mails().len()
            ),
            (2, 0, 2)
        );
    }
}

#[tokio::test]
async fn data_is_used_once_a_server_has_replied_quickly() {
    let peer = SmtpPeer::builder().offering("CHUNKING").start().await;
    let server = to(&peer);
    for number in 0..100 {
        server.send(&mail(number)).await.unwrap();
    }
    let last = peer.seen().commands.pop().unwrap();
    assert_eq!(
        last.line, "DATA",
        "at least one of a hundred replies was quick"
    );
}

#[tokio::test]
async fn refusal_in_a_single_write_has_its_stage_and_keeps_the_session() {
    let cases = [
        (
            At::Mail,
            "550 5.7.60 not as this sender",
            Stage::Mail,
            FailureKind::Misconfigured,
        ),
        (
            At::Mail,
            "451 4.7.1 too fast",
            Stage::Mail,
            SERVER_UNAVAILABLE,
        ),
        (
            At::Rcpt,
            "550 5.1.1 nobody",
            Stage::Rcpt,
            FailureKind::Rejected,
        ),
        (
            At::Dot,
            "554 5.7.1 spam",
            Stage::Dot,
            FailureKind::RejectedHere,
        ),
        (At::Dot, "452 4.3.1 disk", Stage::Dot, MAIL_DEFERRED),
    ];
    for (at, answer, stage, kind) in cases {
        let (peer, server) = trusted().await;
        peer.once(at, Act::reply(answer));
        let failure = server.send(&mail(1)).await.unwrap_err();
        assert_eq!(
            (failure.stage, failure.kind),
            (stage, kind),
            "{answer} at {at:?}: {failure:?}"
        );
        assert_eq!(peer.mails().len(), 1);
        server.send(&mail(2)).await.unwrap();
        server.send(&mail(3)).await.unwrap();
        let seen = peer.seen();
        assert_eq!(
            (seen.connections, seen.mails.len(), seen.count("RSET")),
            (1, 3, 1),
            "{:#?}",
            seen.commands
        );
        assert_eq!(
            seen.mails[1].data,
            super::wire(&mail(2))
                .payload
                .strip_suffix(b".\r\n")
                .unwrap(),
            "unaffected by the first mail"
        );
    }
}

#[tokio::test]
async fn connection_lost_without_a_reply_is_uncertain() {
    for at in [At::Mail, At::Rcpt, At::Dot] {
        for act in [Act::Close, Act::Reset] {
            let (peer, server) = trusted().await;
            peer.always(at, Some(act.clone()));
            let failure = server.send(&mail(1)).await.unwrap_err();
            assert_eq!(
                (failure.stage, failure.kind, failure.reply),
                (Stage::Dot, FailureKind::Uncertain, None),
                "{at:?} {act:?}"
            );
            assert_eq!(peer.seen().connections, 1, "never sent again on its own");
        }
    }
    let (peer, server) = trusted().await;
    peer.always(At::Dot, Some(Act::Close.kept()));
    assert_eq!(
        server.send(&mail(1)).await.unwrap_err().kind,
        FailureKind::Uncertain
    );
    assert_eq!(peer.mails().len(), 2);
}

#[tokio::test]
async fn refusal_counts_even_if_the_connection_is_lost_after_it() {
    let (peer, server) = trusted().await;
    peer.once(At::Rcpt, Act::reply_and_close("550 5.1.1 nobody"));
    let failure = server.send(&mail(1)).await.unwrap_err();
    assert_eq!(
        (failure.stage, failure.kind),
        (Stage::Rcpt, FailureKind::Rejected)
    );
    server.send(&mail(2)).await.unwrap();
    assert_eq!((peer.seen().connections, peer.mails().len()), (2, 2));
}

#[tokio::test]
async fn mail_goes_over_a_new_connection_if_the_kept_one_is_closing() {
    let (peer, server) = trusted().await;
    peer.once(At::Mail, Act::reply_and_close("421 4.4.2 enough"));
    server.send(&mail(2)).await.unwrap();
    assert_eq!((peer.seen().connections, peer.mails().len()), (2, 2));
}

#[tokio::test]
async fn failure_within_the_payload_is_reported_like_one_after_it() {
    let refused = Act::reply_and_close("552 5.3.4 too much");
    for (act, kind) in [
        (Act::Close, FailureKind::Uncertain),
        (refused, FailureKind::TooLarge),
    ] {
        let (peer, server) = trusted().await;
        peer.once(At::Payload, act);
        let failure = server.send(&mail(1)).await.unwrap_err();
        assert_eq!(
            (
                failure.stage,
                failure.kind,
                peer.mails().len(),
                peer.seen().count("BDAT")
            ),
            (Stage::Dot, kind, 1, 1),
            "{failure:?}"
        );
    }
}
