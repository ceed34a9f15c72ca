//! One picture server that does not answer, and the pictures of everybody else.

use std::time::Instant;

use serde_json::{Value, json};

use crate::support::image_server::ImageServer;
use crate::support::smtp_peer::SmtpPeer;
use crate::support::test_config::TestConfig;

fn event(id: &str, urls: &[String]) -> Value {
    let images: Value = urls.iter().map(|url| json!({ "url": url })).collect();
    json!({"id": id, "status": "succeeded", "to": "a@example.org", "images": images})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_picture_server_strips_nobody_elses_mails() {
    let (slow, good, peer) = (
        ImageServer::start().await,
        ImageServer::start().await,
        SmtpPeer::start().await,
    );
    let mut home = TestConfig::new(&peer);
    home.text("email.preview", "thumbnail")
        .text("email.preview_wait", "10m")
        .set(
            "email.image_hosts",
            &format!("[{:?}, {:?}]", slow.host(), good.host()),
        );
    let daemon = home.start().await;
    // Two hundred events with eight pictures each, of a server that says nothing or one byte a
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
        "the others still wait for theirs"
    );
    assert!(slow.connections() < 100, "{} calls", slow.connections());
    eprintln!(
        "longest from event to mail beside a slow picture server: {longest:?}; it was called {} times",
        slow.connections()
    );
}
