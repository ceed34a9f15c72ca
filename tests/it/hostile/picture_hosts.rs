//! An image server that does not answer must not affect the images of other servers.

use std::time::Instant;

use serde_json::{Value, json};

use super::pictures::{limited, peak};
use crate::support::daemon::Daemon;
use crate::support::image_server::ImageServer;
use crate::support::smtp_peer::SmtpPeer;
use crate::support::test_config::TestConfig;

fn event(id: &str, urls: &[String]) -> Value {
    let images: Value = urls.iter().map(|url| json!({ "url": url })).collect();
    json!({"id": id, "status": "succeeded", "to": "a@example.org", "images": images})
}

/// A slow and a working image server, a mail server, and a daemon that makes thumbnails.
async fn start() -> (ImageServer, ImageServer, SmtpPeer, Daemon) {
    let (slow, good, peer) = (
        ImageServer::start().await,
        ImageServer::start().await,
        SmtpPeer::start().await,
    );
    let mut config = TestConfig::new(&peer);
    config
        .text("email.preview", "thumbnail")
        .text("email.preview_wait", "10m")
        .set(
            "email.image_hosts",
            &format!("[{:?}, {:?}]", slow.host(), good.host()),
        );
    let daemon = config.start().await;
    (slow, good, peer, daemon)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_image_server_does_not_affect_other_mails() {
    let (slow, good, _peer, daemon) = start().await;
    // Two hundred events with eight images each, on a server that sends nothing or one byte a
    // second.
    for at in 0..200 {
        let urls: Vec<String> = (0..8)
            .map(|n| slow.url(if n % 2 == 0 { "silent.png" } else { "slow.png" }))
            .collect();
        daemon.accept(&event(&format!("slow-{at}"), &urls)).await;
    }
    let mut longest = std::time::Duration::ZERO;
    for at in 0..10 {
        let begun = Instant::now();
        let id = format!("good-{at}");
        daemon
            .accept(&event(&id, &[good.url("a.png"), good.url("b.png")]))
            .await;
        daemon.reached(&id, "sent").await;
        longest = longest.max(begun.elapsed());
        let pictures = daemon.event(&id).await["pictures"].clone();
        assert!(
            pictures
                .as_array()
                .unwrap()
                .iter()
                .all(|picture| picture["state"] == "kept"),
            "{pictures}"
        );
    }
    assert_eq!(
        daemon.event("slow-199").await["pictures"][0]["state"],
        "waiting",
        "the other events still wait for their images"
    );
    assert!(slow.connections() < 100, "{} calls", slow.connections());
    eprintln!(
        "longest from event to mail beside a slow picture server: {longest:?}; it was called {} times",
        slow.connections()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_image_server_cannot_use_every_slot() {
    let (slow, good, _peer, daemon) = start().await;
    // More events than are processed at a time.
    for request in 0..3 {
        let lines: Vec<String> = (0..500)
            .map(|at| event(&format!("slow-{request}-{at}"), &[slow.url("silent.png")]).to_string())
            .collect();
        let answer = daemon
            .post("/v1/events")
            .header("content-type", "application/x-ndjson")
            .body(lines.join("\n"))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 202);
    }
    for id in ["good-1", "good-2"] {
        daemon.accept(&event(id, &[good.url("a.png")])).await;
        daemon.reached(id, "sent").await;
        assert_eq!(daemon.event(id).await["pictures"][0]["state"], "kept");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_events_with_many_links_use_little_memory() {
    let (slow, good, peer) = (
        ImageServer::start().await,
        ImageServer::start().await,
        SmtpPeer::start().await,
    );
    let mut config = TestConfig::new(&peer);
    config
        .text("email.preview", "thumbnail")
        .text("email.preview_wait", "10m")
        .set(
            "email.image_hosts",
            &format!("[{:?}, {:?}]", slow.host(), good.host()),
        );
    let mut daemon = limited(&config).await;
    // Each has nearly a megabyte of links, and a mail shows eight of them.
    let links: Vec<String> = (0..240)
        .map(|at| slow.url(&format!("silent.png?{}{at}", "a".repeat(4_000))))
        .collect();
    for at in 0..70 {
        daemon.accept(&event(&format!("slow-{at}"), &links)).await;
    }
    daemon.accept(&event("good", &[good.url("a.png")])).await;
    daemon.reached("good", "sent").await;
    let own = peak(&daemon.pid().to_string()).unwrap();
    assert!(own < 85 * 1_024, "{own} KiB");
    daemon.stop().await;
}
