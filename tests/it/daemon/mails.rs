//! From an event to its mail: the real program between a producer and a mail server.

use mail_parser::{Message, MessageParser, MimeHeaders as _};
use serde_json::{Value, json};

use crate::support::daemon::success;
use crate::support::smtp_peer::{Act, At, Mail, SmtpPeer};
use crate::support::test_config::TestConfig;

fn parsed(mail: &Mail) -> Message<'_> {
    MessageParser::default().parse(&mail.data).unwrap()
}

fn header<'a>(message: &'a Message<'_>, name: &'static str) -> &'a str {
    message
        .header_raw(name)
        .unwrap_or_else(|| panic!("{name} is missing"))
        .trim()
}

/// Recipient, state and reason of each delivery.
fn outcomes(deliveries: &[Value]) -> Vec<(&str, &str, &str)> {
    fn text<'a>(delivery: &'a Value, key: &str) -> &'a str {
        delivery[key].as_str().unwrap_or_default()
    }
    deliveries
        .iter()
        .map(|delivery| {
            (
                text(delivery, "to"),
                text(delivery, "state"),
                text(delivery, "reason"),
            )
        })
        .collect()
}

/// Checks the parts common to all mails.
fn assert_sound(mail: &Mail, event: &str, delivery: &Value) {
    let message = parsed(mail);
    for name in [
        "Date",
        "From",
        "To",
        "Subject",
        "Message-ID",
        "MIME-Version",
        "Auto-Submitted",
        "X-Jobbell-Event",
        "Content-Type",
    ] {
        assert_eq!(
            message
                .headers()
                .iter()
                .filter(|header| header.name().eq_ignore_ascii_case(name))
                .count(),
            1,
            "{name}"
        );
    }
    assert_eq!(header(&message, "X-Jobbell-Event"), event);
    assert_eq!(header(&message, "Auto-Submitted"), "auto-generated");
    assert_eq!(
        header(&message, "Message-ID"),
        delivery["message_id"].as_str().unwrap()
    );
    assert_eq!(
        message.from().unwrap().first().unwrap().address(),
        Some("bell@jobbell.example")
    );
    let to = delivery["to"].as_str().unwrap();
    assert_eq!(
        (mail.to.as_slice(), header(&message, "To")),
        ([to.to_owned()].as_slice(), to)
    );
    assert_eq!(mail.from, "bell@jobbell.example");
    let accepted: jobbell::domain::Timestamp =
        delivery["created_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(
        message.date().unwrap().to_timestamp(),
        accepted.as_millis() / 1_000
    );
    let kinds: Vec<_> = message
        .parts
        .iter()
        .filter_map(|part| part.content_type()?.subtype().map(str::to_owned))
        .collect();
    assert_eq!(kinds, ["alternative", "plain", "html"]);
}

#[tokio::test]
async fn event_is_sent_as_a_mail_in_the_requested_language() {
    let peer = SmtpPeer::start().await;
    let mut daemon = TestConfig::new(&peer).start().await;
    let posted = json!({"id": "job-7-done", "status": "succeeded", "title": "海报", "prompt": "一只可爱的小猫", "size": "1024x768", "model": "flash-image",
        "image_url": "https://img.example.com/kitten.png", "to": "li@example.org"});
    let id = daemon.accept(&posted).await;
    let deliveries = daemon.reached(&id, "sent").await;
    let mails = peer
        .until("the first mail", |seen| seen.mails.len() == 1)
        .await
        .mails;
    assert_sound(&mails[0], "job-7-done", &deliveries[0]);
    let message = parsed(&mails[0]);
    let (text, html) = (message.body_text(0).unwrap(), message.body_html(0).unwrap());
    for word in [
        "一只可爱的小猫",
        "flash-image",
        "https://img.example.com/kitten.png",
        "1024",
    ] {
        assert!(
            text.contains(word) && html.contains(word),
            "{word}:\n{text}\n{html}"
        );
    }
    assert!(html.contains("lang=\"zh-CN\""), "{html}");

    let posted = json!({"id": "job-8-failed", "status": "failed", "prompt": "A storm", "error": {"code": "NSFW", "message": "refused by the filter"},
        "to": "Ann@example.org", "locale": "en"});
    let id = daemon.accept(&posted).await;
    let deliveries = daemon.reached(&id, "sent").await;
    let mails = peer
        .until("the second mail", |seen| seen.mails.len() == 2)
        .await
        .mails;
    assert_sound(&mails[1], "job-8-failed", &deliveries[0]);
    let message = parsed(&mails[1]);
    let (text, html) = (message.body_text(0).unwrap(), message.body_html(0).unwrap());
    for word in ["A storm", "NSFW", "refused by the filter"] {
        assert!(
            text.contains(word) && html.contains(word),
            "{word}:\n{text}\n{html}"
        );
    }
    assert!(html.contains("lang=\"en\""), "{html}");
    assert_ne!(parsed(&mails[0]).subject(), message.subject());
    let attempt = &deliveries[0]["attempts"][0];
    assert_eq!(
        (&attempt["number"], &attempt["server"], &attempt["result"]),
        (&json!(1), &json!("primary"), &json!("sent"))
    );
    assert_eq!(
        (&attempt["reply"]["code"], &attempt["reply"]["enhanced"]),
        (&json!(250), &json!("2.0.0"))
    );
    daemon.stop().await;
}

#[tokio::test]
async fn one_bad_address_does_not_affect_other_recipients() {
    let peer = SmtpPeer::builder()
        .once(At::Rcpt, Act::reply("550 5.1.1 no such person here"))
        .start()
        .await;
    let daemon = TestConfig::new(&peer).start().await;
    let everyone = ["a@example.org", "b@example.org", "c@example.org"];
    let id = daemon
        .accept(&json!({"status": "succeeded", "to": everyone}))
        .await;
    let deliveries = daemon
        .deliveries(&id, "all ends", |all| {
            all.iter()
                .all(|one| one["state"] == "sent" || one["state"] == "dead")
        })
        .await;
    assert_eq!(
        deliveries
            .iter()
            .map(|one| one["to"].as_str().unwrap())
            .collect::<Vec<_>>(),
        everyone
    );
    let (dead, sent): (Vec<Value>, Vec<Value>) = deliveries
        .into_iter()
        .partition(|one| one["state"] == "dead");
    assert_eq!((dead.len(), sent.len()), (1, 2));
    let attempts = dead[0]["attempts"].as_array().unwrap();
    assert_eq!(
        (dead[0]["reason"].as_str(), attempts.len()),
        (Some("rejected"), 1),
        "a final refusal is not retried"
    );
    assert_eq!(
        (&attempts[0]["result"], &attempts[0]["stage"]),
        (&json!("rejected"), &json!("rcpt"))
    );
    assert_eq!(
        attempts[0]["reply"],
        json!({"code": 550, "enhanced": "5.1.1", "text": "no such person here"})
    );
    let mails = peer.mails();
    assert_eq!(mails.len(), 2);
    for delivery in &sent {
        let to = delivery["to"].as_str().unwrap();
        let mail = mails.iter().find(|mail| mail.to == [to]).unwrap();
        let text = String::from_utf8_lossy(&mail.data);
        assert!(
            everyone
                .iter()
                .all(|other| *other == to || !text.contains(other)),
            "recipients do not see each other: {text}"
        );
    }
    daemon.says("given up").await;
    for field in ["cause", "advice"] {
        let text = attempts[0][field].as_str().unwrap();
        assert!(
            daemon.log().contains(text),
            "the {field} is logged, too: {text}\n{}",
            daemon.log()
        );
    }
    assert!(
        everyone
            .iter()
            .all(|address| !daemon.log().contains(address)),
        "addresses are masked in the log: {}",
        daemon.log()
    );
}

#[tokio::test]
async fn duplicate_recipients_get_one_mail() {
    let peer = SmtpPeer::start().await;
    let daemon = TestConfig::new(&peer).start().await;
    let id = daemon
        .accept(&success(
            "a@example.org，b@Example.org、A@EXAMPLE.org; b@example.org",
        ))
        .await;
    let deliveries = daemon.reached(&id, "sent").await;
    assert_eq!(deliveries.len(), 2, "{deliveries:#?}");
    assert_eq!(peer.mails().len(), 2);
}

#[tokio::test]
async fn event_without_recipients_uses_the_configured_ones() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    let mut daemon = config
        .text("smtp.to", "one@example.org，two@example.org")
        .start()
        .await;
    let id = daemon.accept(&json!({"status": "succeeded"})).await;
    let deliveries = daemon.reached(&id, "sent").await;
    assert_eq!(
        outcomes(&deliveries),
        [
            ("one@example.org", "sent", ""),
            ("two@example.org", "sent", "")
        ]
    );
    daemon.stop().await;

    let daemon = config.text("smtp.to", "").start().await;
    daemon
        .logged("a warning about smtp.to", |line| {
            line["level"] == "WARN" && line.to_string().contains("smtp.to")
        })
        .await;
    let (status, problem) = daemon.answer(&json!({"status": "succeeded"})).await;
    assert_eq!(
        (status, &problem["errors"][0]["pointer"]),
        (422, &json!("#/to")),
        "{problem}"
    );
    assert_eq!(daemon.stats().await["accepted"], 2);
}

#[tokio::test]
async fn suppressed_mails_are_recorded_and_not_sent() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    config.set("email.on_success", "false").set(
        "email.allowed_recipients",
        r#"["*@example.com", "boss@example.org"]"#,
    );
    let daemon = config.start().await;
    let id = daemon.accept(&success("a@example.com")).await;
    assert_eq!(
        outcomes(&daemon.reached(&id, "suppressed").await),
        [("a@example.com", "suppressed", "kind_off")]
    );
    let id = daemon
        .accept(
            &json!({"status": "failed", "to": "a@example.com, eve@example.net, BOSS@example.org"}),
        )
        .await;
    let deliveries = daemon
        .deliveries(&id, "the ends", |all| {
            all.iter()
                .all(|one| one["state"] == "sent" || one["state"] == "suppressed")
        })
        .await;
    let expected = [
        ("a@example.com", "sent", ""),
        ("eve@example.net", "suppressed", "not_allowed"),
        ("BOSS@example.org", "sent", ""),
    ];
    assert_eq!(outcomes(&deliveries), expected);
    let stats = daemon.stats().await;
    assert_eq!(
        (&stats["accepted"], &stats["suppressed"], &stats["sent"]),
        (&json!(4), &json!(2), &json!(2)),
        "{stats}"
    );
    assert_eq!(peer.mails().len(), 2);
}

#[tokio::test]
async fn disabled_daemon_never_contacts_a_mail_server() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    let mut daemon = config.env("SMTP_ENABLE", "Off").start().await;
    let id = daemon.accept(&success("a@example.org")).await;
    assert_eq!(
        outcomes(&daemon.reached(&id, "suppressed").await),
        [("a@example.org", "suppressed", "disabled")]
    );
    daemon.stop().await;
    // Once enabled, suppressed mails stay suppressed, and new ones are sent.
    let daemon = config.env("SMTP_ENABLE", "yes").start().await;
    let later = daemon.accept(&success("b@example.org")).await;
    daemon.reached(&later, "sent").await;
    assert_eq!(
        daemon.event(&id).await["deliveries"][0]["state"],
        "suppressed"
    );
    assert_eq!((peer.seen().connections, peer.mails().len()), (1, 1));
}

#[tokio::test]
async fn mails_held_while_disabled_are_sent_once_enabled() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    let mut daemon = config
        .set("smtp.enable", "false")
        .text("email.disabled", "hold")
        .start()
        .await;
    let id = daemon.accept(&success("a@example.org")).await;
    assert_eq!(
        outcomes(&daemon.reached(&id, "queued").await),
        [("a@example.org", "queued", "")]
    );
    let message_id = daemon.event(&id).await["deliveries"][0]["message_id"].clone();
    daemon.stop().await;
    assert_eq!(
        peer.seen().connections,
        0,
        "no mail server is contacted while disabled"
    );
    let daemon = config.set("smtp.enable", "true").start().await;
    let deliveries = daemon.reached(&id, "sent").await;
    assert_eq!(
        (
            &deliveries[0]["message_id"],
            deliveries[0]["attempts"].as_array().unwrap().len()
        ),
        (&message_id, 1)
    );
    assert_eq!(peer.mails().len(), 1);
}
