//! Thumbnails: fetched once when the event arrives, stored with it, and embedded in its mails even
//! after the link has died.

use std::time::{Duration, Instant};

use jobbell::domain::{Image, Link, State};
use mail_parser::{Message, MessageParser, MimeHeaders as _};
use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::image_server::{ImageServer, png};
use crate::support::smtp_peer::{Act, At, Mail, SmtpPeer};
use crate::support::test_app::{self, TestApp};
use crate::support::test_config::{PATIENCE, TestConfig};

/// Sends mails to `peer` and makes thumbnails, also of images from `gallery`.
fn home(peer: &SmtpPeer, gallery: &ImageServer) -> TestConfig {
    let mut home = TestConfig::new(peer);
    home.text("email.preview", "thumbnail")
        .set("email.image_hosts", &format!("[{:?}]", gallery.host()));
    // Long enough that a mail sent sooner did not wait for the deadline.
    home.text("email.preview_wait", "5m");
    home
}

fn event(id: &str, urls: &[String]) -> Value {
    let images: Value = urls.iter().map(|url| json!({ "url": url })).collect();
    json!({"id": id, "status": "succeeded", "locale": "en", "prompt": "a cat", "to": "a@example.org", "images": images})
}

/// Posts an event with one image, waits for its mail, and returns the image's record.
async fn fate(daemon: &Daemon, id: &str, url: &str) -> Value {
    daemon.accept(&event(id, &[url.to_owned()])).await;
    daemon.reached(id, "sent").await;
    daemon.event(id).await["pictures"][0].clone()
}

fn parsed(mail: &Mail) -> Message<'_> {
    MessageParser::default().parse(&mail.data).unwrap()
}

/// The images in a mail: Content-ID, file name, bytes.
fn inside<'a>(message: &'a Message<'_>) -> Vec<(&'a str, &'a str, &'a [u8])> {
    let pictures = message.parts.iter().filter(|part| {
        part.content_type()
            .is_some_and(|kind| kind.subtype() == Some("jpeg"))
    });
    pictures
        .map(|part| {
            (
                part.content_id().unwrap(),
                part.attachment_name().unwrap(),
                part.contents(),
            )
        })
        .collect()
}

/// Asserts a valid MIME tree whose inline parts are used by the HTML.
fn assert_sound(message: &Message<'_>, count: usize) {
    let kinds: Vec<_> = message
        .parts
        .iter()
        .filter_map(|part| part.content_type()?.subtype().map(str::to_owned))
        .collect();
    let expected = ["alternative", "plain", "related", "html"]
        .into_iter()
        .chain(std::iter::repeat_n("jpeg", count));
    assert_eq!(kinds, expected.collect::<Vec<_>>());
    let html = message.body_html(0).unwrap();
    for (content_id, name, bytes) in inside(message) {
        assert_eq!(
            html.matches(&format!("src=\"cid:{content_id}\"")).count(),
            1,
            "{content_id}"
        );
        assert!(
            name.is_ascii() && name.to_ascii_lowercase().ends_with(".jpg"),
            "{name}"
        );
        let picture = image::load_from_memory_with_format(bytes, image::ImageFormat::Jpeg).unwrap();
        assert!(picture.width() <= 560 && bytes.len() <= 60_000);
    }
    assert!(!html.contains("src=\"http"), "no remote images");
    for part in message.parts.iter().filter(|part| {
        part.content_type()
            .is_some_and(|kind| kind.subtype() == Some("jpeg"))
    }) {
        assert_eq!(part.content_disposition().unwrap().ctype(), "inline");
    }
}

#[tokio::test]
async fn thumbnail_is_in_a_mail_delivered_after_its_link_died() {
    let gallery = ImageServer::start().await;
    let peer = SmtpPeer::builder()
        .once(At::Data, Act::reply("451 4.3.0 try again"))
        .start()
        .await;
    let mut home = home(&peer, &gallery);
    // The first attempt is refused; by the second one the image server is gone.
    let daemon = home.text("retry.initial", "1s").start().await;
    let url = gallery.url("a.png?X-Amz-Date=20260101T000000Z&X-Amz-Expires=3600");
    daemon.accept(&event("dies", &[url])).await;
    daemon
        .deliveries("dies", "the first attempt", |all| {
            all[0]["attempts"]
                .as_array()
                .is_some_and(|attempts| attempts.len() == 1)
        })
        .await;
    assert_eq!(gallery.asked().len(), 1, "fetched once");
    gallery.close().await;
    daemon.reached("dies", "sent").await;
    let mails = peer.mails();
    let message = parsed(&mails[0]);
    assert_sound(&message, 1);
    assert_eq!(inside(&message)[0].1, "image-1.jpg");
    assert!(
        message
            .body_text(0)
            .unwrap()
            .contains("Link valid until 1 Jan 2026"),
        "{}",
        message.body_text(0).unwrap()
    );
    let record = daemon.event("dies").await;
    let kept = &record["pictures"][0];
    assert_eq!(
        (
            &kept["index"],
            &kept["state"],
            &kept["reason"],
            &kept["width"],
            &kept["height"]
        ),
        (
            &json!(0),
            &json!("kept"),
            &Value::Null,
            &json!(320),
            &json!(200)
        )
    );
}

#[tokio::test]
async fn thumbnail_survives_a_crash_and_is_equal_in_every_attempt() {
    let gallery = ImageServer::start().await;
    let peer = SmtpPeer::builder()
        .once(At::Dot, Act::reply("451 4.3.0 try again"))
        .start()
        .await;
    let mut home = home(&peer, &gallery);
    let mut daemon = home.text("retry.initial", "2s").start().await;
    daemon
        .accept(&event("twice", &[gallery.url("a.png")]))
        .await;
    daemon
        .deliveries("twice", "the first attempt", |all| {
            all[0]["attempts"]
                .as_array()
                .is_some_and(|attempts| attempts.len() == 1)
        })
        .await;
    daemon.kill().await;
    gallery.close().await;
    let daemon = home.start().await;
    daemon.reached("twice", "sent").await;
    let mails = peer.mails();
    let last = mails.last().unwrap();
    assert_sound(&parsed(last), 1);
    for mail in &mails {
        assert_eq!(mail.data, last.data);
    }
}

#[tokio::test]
async fn mail_is_sent_once_thumbnails_are_ready_producers_never_wait() {
    let (gallery, peer) = (ImageServer::start().await, SmtpPeer::start().await);
    let daemon = home(&peer, &gallery).start().await;
    let begun = Instant::now();
    daemon
        .accept(&event("slow", &[gallery.url("silent.png")]))
        .await;
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "the answer does not wait for the picture"
    );
    assert_eq!(
        daemon.event("slow").await["pictures"][0]["state"],
        "waiting"
    );
    // Other mails are neither delayed by it nor wait for the five minutes.
    daemon
        .accept(&event("quick", &[gallery.url("a.png")]))
        .await;
    daemon.reached("quick", "sent").await;
    assert_eq!(daemon.event("quick").await["pictures"][0]["state"], "kept");
    assert!(begun.elapsed() < Duration::from_mins(2));
}

#[tokio::test]
async fn slow_image_delays_its_mail_only_for_the_configured_time() {
    let (gallery, peer) = (ImageServer::start().await, SmtpPeer::start().await);
    let mut home = home(&peer, &gallery);
    let daemon = home.text("email.preview_wait", "1s").start().await;
    daemon
        .accept(&event(
            "late",
            &[
                gallery.url("silent.png"),
                gallery.url("a.png"),
                gallery.url("slow.png"),
            ],
        ))
        .await;
    daemon.reached("late", "sent").await;
    let pictures = daemon.event("late").await["pictures"].clone();
    let reasons: Vec<_> = pictures
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["state"].as_str().unwrap(), one["reason"].as_str()))
        .collect();
    assert_eq!(
        reasons,
        [
            ("none", Some("no_time")),
            ("kept", None),
            ("none", Some("no_time"))
        ]
    );
    let mails = peer.mails();
    assert_sound(&parsed(&mails[0]), 1);
    let (html, text) = (
        parsed(&mails[0]).body_html(0).unwrap().into_owned(),
        parsed(&mails[0]).body_text(0).unwrap().into_owned(),
    );
    for url in [gallery.url("silent.png"), gallery.url("slow.png")] {
        assert!(
            html.contains(&url) && text.contains(&url),
            "text and link remain"
        );
    }
}

#[tokio::test]
async fn faulty_image_server_costs_the_thumbnail_not_the_mail() {
    let (gallery, peer) = (ImageServer::start().await, SmtpPeer::start().await);
    let daemon = home(&peer, &gallery).start().await;
    for (path, reason) in [
        ("missing.png", "unavailable"),
        ("broken.png", "unavailable"),
        ("loop.png", "unavailable"),
        ("torn.png", "unavailable"),
        ("huge.png", "too_large"),
        ("endless.png", "too_large"),
        ("page.png", "not_a_picture"),
        ("script.svg", "not_a_picture"),
        ("to-metadata.png", "not_allowed"),
        ("to-loopback.png", "not_allowed"),
        ("to-localhost.png", "not_allowed"),
        ("to-file.png", "not_allowed"),
        ("to-login.png", "not_allowed"),
    ] {
        let fate = fate(&daemon, path, &gallery.url(path)).await;
        assert_eq!(
            (&fate["state"], &fate["reason"]),
            (&json!("none"), &json!(reason)),
            "{path}"
        );
        let mails = peer.mails();
        let message = parsed(mails.last().unwrap());
        assert!(
            inside(&message).is_empty()
                && message.body_html(0).unwrap().contains(path)
                && message.body_text(0).unwrap().contains(path),
            "{path}"
        );
    }
    assert!(
        gallery.asked().iter().all(|path| path != "a.png"),
        "no redirect with login data or to another place was followed"
    );
}

#[tokio::test]
async fn media_type_is_ignored_and_three_redirects_are_followed() {
    let (gallery, peer) = (ImageServer::start().await, SmtpPeer::start().await);
    let daemon = home(&peer, &gallery).start().await;
    for path in ["liar.png", "hop-3.png", "cookie.png"] {
        assert_eq!(
            fate(&daemon, path, &gallery.url(path)).await["state"],
            "kept",
            "{path}"
        );
    }
    let head = gallery.head().to_ascii_lowercase();
    assert!(head.contains("user-agent: jobbell/"), "{head}");
    for secret in [
        "cookie:",
        "referer:",
        "authorization:",
        "x-forwarded",
        "a@example.org",
    ] {
        assert!(!head.contains(secret), "{head}");
    }
}

#[tokio::test]
async fn private_addresses_are_never_called_in_any_spelling() {
    let (gallery, peer) = (ImageServer::start().await, SmtpPeer::start().await);
    let mut home = home(&peer, &gallery);
    // No host is allowed, so the image server is a private address like any other.
    let daemon = home
        .unset("email.image_hosts")
        .env("http_proxy", gallery.url(""))
        .env("https_proxy", gallery.url(""))
        .env("ALL_PROXY", gallery.url(""))
        .start()
        .await;
    let port = gallery.port();
    let urls = [
        gallery.url("a.png"),
        "http://127.1/".to_owned(),
        "http://2130706433/".to_owned(),
        "http://0x7f000001/".to_owned(),
        "http://0177.0.0.1/".to_owned(),
        "http://[::1]/".to_owned(),
        "http://[::ffff:127.0.0.1]/".to_owned(),
        "http://[::ffff:169.254.169.254]/".to_owned(),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://localhost/a.png".to_owned(),
        format!("http://localhost:{port}/a.png"),
        format!("http://127.1:{port}/a.png"),
        format!("http://[::ffff:127.0.0.1]:{port}/a.png"),
        "http://no-such-host.invalid/a.png".to_owned(),
    ];
    for (index, url) in urls.iter().enumerate() {
        let id = format!("inside-{index}");
        let fate = fate(&daemon, &id, url).await;
        let expected = json!({"index": 0, "state": "none", "reason": "not_allowed", "width": null, "height": null, "bytes": null});
        assert_eq!(fate, expected, "{url}: the same words for all of them");
        let record = daemon.event(&id).await.to_string();
        assert!(
            !record.contains("refused") && !record.contains("resolve"),
            "{record}"
        );
    }
    assert_eq!(
        gallery.connections(),
        0,
        "neither called nor used as a proxy"
    );
}

#[tokio::test]
async fn local_files_are_read_only_below_the_root() {
    let (gallery, peer) = (ImageServer::start().await, SmtpPeer::start().await);
    let mut home = home(&peer, &gallery);
    let root = home.path().join("images");
    std::fs::create_dir_all(root.join("static")).unwrap();
    std::fs::write(root.join("static/a.png"), png()).unwrap();
    std::fs::write(home.path().join("secret.png"), png()).unwrap();
    std::os::unix::fs::symlink(home.path().join("secret.png"), root.join("link.png")).unwrap();
    let daemon = home
        .text("email.image_root", &root.display().to_string())
        .start()
        .await;
    for (id, path, state, reason) in [
        ("below", "/static/a.png", "kept", Value::Null),
        ("above", "../secret.png", "none", json!("no_file")),
        ("link", "/link.png", "none", json!("no_file")),
        ("absolute", "/etc/passwd", "none", json!("no_file")),
        ("missing", "static/b.png", "none", json!("no_file")),
    ] {
        let event = json!({"id": id, "status": "succeeded", "to": "a@example.org", "images": [{"local_path": path}]});
        daemon.accept(&event).await;
        daemon.reached(id, "sent").await;
        let fate = daemon.event(id).await["pictures"][0].clone();
        assert_eq!(
            (&fate["state"], &fate["reason"]),
            (&json!(state), &reason),
            "{path}"
        );
    }
    assert_sound(&parsed(&peer.mails()[0]), 1);
    // An existing file makes the link unnecessary, a missing one does not.
    let event = |id: &str, path: &str| json!({"id": id, "status": "succeeded", "to": "a@example.org", "images": [{"local_path": path, "url": gallery.url("a.png")}]});
    for (id, path, asked) in [("spared", "static/a.png", 0), ("linked", "static/b.png", 1)] {
        daemon.accept(&event(id, path)).await;
        daemon.reached(id, "sent").await;
        assert_eq!(
            (
                &daemon.event(id).await["pictures"][0]["state"],
                gallery.asked().len()
            ),
            (&json!("kept"), asked),
            "{id}"
        );
    }
}

#[tokio::test]
async fn many_images_make_a_grid_of_eight_and_a_count() {
    let (gallery, peer) = (ImageServer::start().await, SmtpPeer::start().await);
    let daemon = home(&peer, &gallery).start().await;
    let urls: Vec<String> = (0..11).map(|n| gallery.url(&format!("{n}.png"))).collect();
    daemon.accept(&event("many", &urls)).await;
    daemon.reached("many", "sent").await;
    let mails = peer.mails();
    let message = parsed(&mails[0]);
    assert_sound(&message, 8);
    assert!(message.body_html(0).unwrap().contains("and 3 more"));
    assert!(
        mails[0].data.len() < 1_000_000,
        "{} bytes",
        mails[0].data.len()
    );
    assert_eq!(
        gallery.asked().len(),
        8,
        "images beyond the limit are not fetched"
    );
    let record = daemon.event("many").await;
    let reasons: Vec<_> = record["pictures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["reason"].as_str())
        .collect();
    assert_eq!(
        reasons,
        [[None; 8].as_slice(), &[Some("not_shown"); 3]].concat()
    );
}

#[tokio::test]
async fn sensitive_event_gets_blurred_thumbnails() {
    let (gallery, peer) = (ImageServer::start().await, SmtpPeer::start().await);
    let daemon = home(&peer, &gallery).start().await;
    for (id, sensitive) in [("open", false), ("veiled", true)] {
        let mut event = event(id, &[gallery.url("a.png")]);
        event["sensitive"] = json!(sensitive);
        daemon.accept(&event).await;
        daemon.reached(id, "sent").await;
    }
    let mails = peer.mails();
    let bytes: Vec<usize> = mails
        .iter()
        .map(|mail| inside(&parsed(mail))[0].2.len())
        .collect();
    assert_ne!(
        inside(&parsed(&mails[0]))[0].2,
        inside(&parsed(&mails[1]))[0].2
    );
    assert!(bytes[1] < bytes[0], "a blur has less in it: {bytes:?}");
}

#[tokio::test]
async fn restarted_daemon_resumes_pending_thumbnails() {
    let (gallery, peer) = (ImageServer::start().await, SmtpPeer::start().await);
    let home = home(&peer, &gallery);
    let mut daemon = home.start().await;
    daemon
        .accept(&event(
            "again",
            &[gallery.url("silent.png"), gallery.url("a.png")],
        ))
        .await;
    let begun = Instant::now();
    while gallery.asked().len() < 2 {
        assert!(
            begun.elapsed() < PATIENCE,
            "both should have been asked for"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    daemon.stop().await;
    let daemon = home.start().await;
    while gallery.asked().len() < 4 {
        assert!(
            begun.elapsed() < PATIENCE,
            "both should have been asked for again"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(
        daemon.event("again").await["pictures"][0]["state"],
        "waiting"
    );
    assert_eq!(
        (&daemon.stats().await["queued"], peer.mails().len()),
        (&json!(1), 0)
    );
}

#[tokio::test]
async fn reload_without_thumbnails_releases_pending_mails() {
    let (gallery, peer) = (ImageServer::start().await, SmtpPeer::start().await);
    let mut home = home(&peer, &gallery);
    let daemon = home.start().await;
    home.text("email.preview", "off");
    daemon.signal("HUP").await;
    daemon.says("configuration reloaded").await;
    daemon.accept(&event("off", &[gallery.url("a.png")])).await;
    daemon.reached("off", "sent").await;
    assert_eq!(
        (
            daemon.event("off").await["pictures"].clone(),
            gallery.asked().len()
        ),
        (json!([]), 0)
    );
    let mails = peer.mails();
    let html = parsed(&mails[0]).body_html(0).unwrap().into_owned();
    assert!(
        html.contains(&format!("src=\"{}\"", gallery.url("a.png"))),
        "as without small copies, the mail program fetches it"
    );
}

#[tokio::test]
async fn command_line_shows_thumbnails_and_fetches_on_request_only() {
    let (gallery, peer) = (ImageServer::start().await, SmtpPeer::start().await);
    let mut home = home(&peer, &gallery);
    let mut daemon = home.text("email.locale", "en").start().await;
    daemon
        .accept(&event(
            "shown",
            &[gallery.url("a.png"), gallery.url("missing.png")],
        ))
        .await;
    daemon.reached("shown", "sent").await;
    daemon.stop().await;
    let shown = home.run(&["queue", "show", "shown"]).await;
    assert!(
        shown.out.contains("picture 1: kept (320×200, ")
            && shown
                .out
                .contains("picture 2: none (not available from its server)"),
        "{}",
        shown.out
    );
    std::fs::create_dir(home.path().join("images")).unwrap();
    std::fs::write(home.path().join("images/b.png"), png()).unwrap();
    home.text("email.image_root", "images");
    let event = json!({"status": "succeeded", "locale": "en", "images": [{"url": gallery.url("c.png")}, {"local_path": "b.png"}]});
    std::fs::write(home.path().join("event.json"), event.to_string()).unwrap();
    let before = gallery.asked().len();
    let quiet = home
        .run(&["preview", "--file", "event.json", "--html"])
        .await;
    assert_eq!(
        (
            quiet.code,
            quiet.out.matches("src=\"data:image/jpeg;base64,").count(),
            gallery.asked().len()
        ),
        (Some(0), 1, before),
        "{}",
        quiet.err
    );
    assert!(
        quiet.err.contains("#/images/0: not fetched; use --fetch"),
        "{}",
        quiet.err
    );
    let fetched = home
        .run(&["preview", "--file", "event.json", "--eml", "--fetch"])
        .await;
    assert_eq!(
        (
            fetched.code,
            fetched.out.matches("Content-ID: <image-").count(),
            gallery.asked().len()
        ),
        (Some(0), 2, before + 1),
        "{}",
        fetched.err
    );
}

#[tokio::test]
async fn in_process_event_gets_its_thumbnail() {
    let (gallery, peer) = (ImageServer::start().await, SmtpPeer::start().await);
    let mut inside = TestApp::start(&home(&peer, &gallery)).await;
    let mut event = test_app::event("mine", "a@example.org");
    event.images = vec![Image {
        url: Link::parse(&gallery.url("a.png")).ok(),
        ..Image::default()
    }];
    inside.jobbell.submit(event).await.unwrap();
    // The test clock does not advance, so the mail is sent because its thumbnail is ready.
    inside.reached("mine", State::Sent, 1).await;
    assert_sound(&parsed(&peer.mails()[0]), 1);
    inside.jobbell.stop().await;
}

/// Media subtypes of the parts of a mail.
fn kinds(mail: &Mail) -> Vec<String> {
    let message = parsed(mail);
    message
        .parts
        .iter()
        .filter_map(|part| part.content_type()?.subtype().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn oversized_mail_is_sent_without_images_then_as_text() {
    // Announced by SIZE, refused at MAIL, refused after the data: each once, until images and then
    // HTML are dropped.
    let too_large = || Act::reply("552 5.3.4 Message size exceeds fixed limit");
    let cases = [
        (
            SmtpPeer::builder().offering("SIZE 30000"),
            vec!["alternative", "plain", "html"],
            2,
        ),
        (SmtpPeer::builder().offering("SIZE 4000"), vec!["plain"], 3),
        (
            SmtpPeer::builder().once(At::Mail, too_large()),
            vec!["alternative", "plain", "html"],
            2,
        ),
        (
            SmtpPeer::builder()
                .once(At::Dot, too_large())
                .once(At::Dot, too_large()),
            vec!["plain"],
            3,
        ),
    ];
    for (builder, expected, attempts) in cases {
        let gallery = ImageServer::start().await;
        let peer = builder.start().await;
        let daemon = home(&peer, &gallery).start().await;
        let urls: Vec<String> = (0..8)
            .map(|number| gallery.url(&format!("noise-{number}.png")))
            .collect();
        daemon.accept(&event("large", &urls)).await;
        daemon.reached("large", "sent").await;
        let mails = peer.mails();
        assert_eq!(kinds(mails.last().unwrap()), expected);
        assert!(
            parsed(mails.last().unwrap())
                .body_text(0)
                .unwrap()
                .contains("a cat")
        );
        let record = daemon.event("large").await;
        let results: Vec<_> = record["deliveries"][0]["attempts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|attempt| attempt["result"].clone())
            .collect();
        assert_eq!(results.len(), attempts, "{results:?}");
        assert!(
            results
                .iter()
                .rev()
                .skip(1)
                .all(|result| result == "too_large"),
            "{results:?}"
        );
    }
}

#[tokio::test]
async fn mail_too_large_as_text_goes_whole_to_the_next_server_or_dies() {
    let peer = SmtpPeer::builder().offering("SIZE 100").start().await;
    let daemon = TestConfig::new(&peer).start().await;
    daemon.accept(&event("huge", &[])).await;
    daemon.reached("huge", "dead").await;
    assert_eq!(peer.seen().count("MAIL"), 0);
}
