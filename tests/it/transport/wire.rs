//! The bytes that reach the server.

use jobbell::domain::{FailureKind, Recipient, Stage};

use super::{email, numbered, settings, smtp, to};
use crate::support::smtp_peer::{Act, At, SmtpPeer};

#[tokio::test]
async fn mail_arrives_byte_for_byte() {
    let peer = SmtpPeer::start().await;
    let server = to(&peer);
    let mail = email();
    let receipt = server.send(&mail).await.unwrap();
    assert_eq!(
        (
            receipt.reply.code,
            receipt.reply.enhanced.as_deref(),
            receipt.reply.text.as_str()
        ),
        (250, Some("2.0.0"), "kept")
    );
    let arrived = peer.mails().remove(0);
    let wire = super::wire(&mail);
    assert_eq!(arrived.wire, wire.payload);
    assert_eq!(
        (arrived.from.as_str(), arrived.to.as_slice()),
        (
            "notify@example.com",
            ["reader@example.org".to_owned()].as_slice()
        )
    );
    assert_eq!(arrived.parameters, format!("SIZE={}", wire.size));
    assert_eq!(arrived.data.len(), wire.size);
}

#[tokio::test]
async fn retried_mail_has_the_same_bytes() {
    let peer = SmtpPeer::builder()
        .once(At::Dot, Act::reply("451 4.3.0 later").kept())
        .start()
        .await;
    let server = to(&peer);
    assert!(server.send(&email()).await.is_err());
    server.send(&email()).await.unwrap();
    let mails = peer.mails();
    assert_eq!(mails[0].wire, mails[1].wire);
}

#[tokio::test]
async fn envelope_is_pipelined_if_offered() {
    let peer = SmtpPeer::start().await;
    let server = to(&peer);
    server.send(&email()).await.unwrap();
    let commands = peer.seen().commands;
    let verbs: Vec<&str> = commands
        .iter()
        .map(|command| command.line.split([' ', ':']).next().unwrap())
        .collect();
    assert_eq!(verbs, ["EHLO", "MAIL", "RCPT", "DATA"]);
    assert!(commands[1].arrival > commands[0].arrival, "EHLO is awaited");
    assert!(
        commands[1..]
            .iter()
            .all(|command| command.arrival == commands[1].arrival),
        "{commands:?}"
    );
}

#[tokio::test]
async fn commands_wait_for_replies_without_pipelining() {
    let peer = SmtpPeer::builder().without("PIPELINING").start().await;
    let server = to(&peer);
    server.send(&email()).await.unwrap();
    let arrivals: Vec<usize> = peer
        .seen()
        .commands
        .iter()
        .map(|command| command.arrival)
        .collect();
    assert!(
        arrivals.windows(2).all(|pair| pair[0] < pair[1]),
        "{arrivals:?}"
    );
    assert_eq!(peer.mails().len(), 1);
}

#[tokio::test]
async fn mails_share_a_connection_without_rset_or_noop() {
    let peer = SmtpPeer::start().await;
    let server = to(&peer);
    for number in 0..20 {
        server.send(&numbered(number)).await.unwrap();
    }
    let seen = peer.seen();
    assert_eq!(
        (
            seen.connections,
            seen.mails.len(),
            seen.count("RSET"),
            seen.count("NOOP"),
            seen.count("EHLO")
        ),
        (1, 20, 0, 0, 1)
    );
}

#[tokio::test]
async fn helo_name_is_a_domain_or_an_address_literal() {
    let peer = SmtpPeer::start().await;
    to(&peer).send(&email()).await.unwrap();
    let seen = peer.seen();
    let name = seen.lines()[0].strip_prefix("EHLO ").unwrap();
    assert!(
        name == "[127.0.0.1]" || name.contains('.') && !name.starts_with("localhost"),
        "{name}"
    );
}

#[tokio::test]
async fn server_without_ehlo_is_greeted_with_helo() {
    let peer = SmtpPeer::builder()
        .always(At::Ehlo, Act::reply("502 5.5.1 EHLO?"))
        .start()
        .await;
    to(&peer).send(&email()).await.unwrap();
    let mail = peer.mails().remove(0);
    assert_eq!(
        mail.parameters, "",
        "no extension was announced, so none is used"
    );
    assert_eq!(peer.seen().count("HELO"), 1);
}

#[tokio::test]
async fn mail_above_the_announced_size_is_not_sent() {
    let peer = SmtpPeer::builder().offering("SIZE 200").start().await;
    let failure = to(&peer).send(&email()).await.unwrap_err();
    assert_eq!(
        (failure.kind, failure.stage, failure.reply),
        (FailureKind::TooLarge, Stage::Mail, None)
    );
    assert!(failure.detail.contains("at most 200"), "{}", failure.detail);
    assert_eq!(peer.seen().count("MAIL"), 0);
}

#[tokio::test]
async fn non_ascii_address_is_sent_only_with_smtputf8() {
    let mut mail = email();
    mail.to = Recipient::parse("读者@example.org").unwrap();
    let modern = SmtpPeer::start().await;
    to(&modern).send(&mail).await.unwrap();
    let arrived = modern.mails().remove(0);
    assert_eq!(arrived.to, ["读者@example.org"]);
    assert!(
        arrived.parameters.ends_with("BODY=8BITMIME SMTPUTF8"),
        "{}",
        arrived.parameters
    );

    let old = SmtpPeer::builder().without("SMTPUTF8").start().await;
    let failure = to(&old).send(&mail).await.unwrap_err();
    assert_eq!(
        (failure.kind, failure.stage),
        (FailureKind::RejectedHere, Stage::Mail)
    );
    assert!(failure.detail.contains("5.6.7"), "{}", failure.detail);
    assert!(!failure.to_string().contains("读者@"), "{failure}");
    assert_eq!(old.seen().count("MAIL"), 0);
}

#[tokio::test]
async fn reply_in_single_bytes_and_many_lines_is_understood() {
    let many = "250-X-LINE\r\n".repeat(200) + "250 pipelining\r\n";
    let peer = SmtpPeer::builder()
        .once(
            At::Greeting,
            Act::Dribble(b"220-one\r\n220-two\r\n220\r\n".to_vec()),
        )
        .once(At::Ehlo, Act::Dribble(many.into_bytes()))
        .once(At::Mail, Act::Dribble(b"250\r\n".to_vec()))
        .start()
        .await;
    to(&peer).send(&email()).await.unwrap();
    assert_eq!(peer.mails().len(), 1);
}

#[tokio::test]
async fn mail_of_megabytes_arrives_complete() {
    let peer = SmtpPeer::start().await;
    let mut mail = email();
    mail.html = "<p>一只可爱的小猫 ...</p>\n.\n".repeat(100_000);
    let server = smtp(settings(peer.port()));
    server.send(&mail).await.unwrap();
    assert_eq!(peer.mails()[0].wire, super::wire(&mail).payload);
}
