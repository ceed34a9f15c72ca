//! Comparison with lettre's transport and composer.

use jobbell::domain::Email;
use lettre::message::{MultiPart, SinglePart};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use mail_parser::MessageParser;

use super::{email, to};
use crate::support::smtp_peer::SmtpPeer;

fn by_lettre(mail: &Email) -> Message {
    let name = mail.from.name.clone();
    Message::builder()
        .from(lettre::message::Mailbox::new(
            name,
            mail.from.address.as_str().parse().unwrap(),
        ))
        .to(mail.to.as_str().parse().unwrap())
        .subject(&mail.subject)
        .message_id(Some(format!("<{}>", mail.message_id)))
        .multipart(
            MultiPart::alternative()
                .singlepart(SinglePart::plain(mail.text.clone()))
                .singlepart(SinglePart::html(mail.html.clone())),
        )
        .unwrap()
}

fn lettre_to(peer: &SmtpPeer) -> AsyncSmtpTransport<Tokio1Executor> {
    AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1")
        .port(peer.port())
        .build()
}

#[tokio::test]
async fn lettre_sends_the_same_bytes() {
    let peer = SmtpPeer::start().await;
    let server = to(&peer);
    let mail = Email {
        text: ".\n..\n.a\n\n.\nb".to_owned(),
        ..email()
    };
    server.send(&mail).await.unwrap();
    let ours = peer.mails().remove(0);
    lettre_to(&peer)
        .send_raw(by_lettre(&mail).envelope(), &ours.data)
        .await
        .unwrap();
    let theirs = peer.mails().remove(1);
    // lettre always adds a line end, so a message that has one gets an extra empty line.
    let message = ours.wire.strip_suffix(b".\r\n").unwrap();
    assert_eq!(theirs.wire, [message, b"\r\n.\r\n"].concat());
    assert_eq!((ours.from, ours.to), (theirs.from, theirs.to));
}

#[tokio::test]
async fn mail_composed_by_lettre_parses_the_same() {
    let peer = SmtpPeer::start().await;
    let mail = email();
    to(&peer).send(&mail).await.unwrap();
    lettre_to(&peer).send(by_lettre(&mail)).await.unwrap();
    let mails = peer.mails();
    let read = |data: &[u8]| {
        let parsed = MessageParser::default().parse(data).unwrap();
        let from = parsed.from().unwrap().first().unwrap();
        let text = |part: usize| {
            parsed.parts[part]
                .text_contents()
                .unwrap()
                .trim_end()
                .to_owned()
        };
        (
            from.name().map(str::to_owned),
            from.address().map(str::to_owned),
            parsed.subject().map(str::to_owned),
            parsed.message_id().map(str::to_owned),
            text(1),
            text(2),
        )
    };
    assert_eq!(read(&mails[0].data), read(&mails[1].data));
    assert_eq!(read(&mails[0].data).0.as_deref(), Some("绘影"));
}
