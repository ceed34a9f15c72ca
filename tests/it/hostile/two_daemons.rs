//! One database, one daemon, whatever path opens the file; and a database removed while in use.

use std::fs;
use std::path::Path;
use std::time::Duration;

use jobbell::queue::sqlite;

use crate::support::daemon::{Daemon, body, success};
use crate::support::smtp_peer::SmtpPeer;
use crate::support::test_config::TestConfig;

/// A configuration with a new state directory and this database.
fn on_the_same(database: &Path, peer: &SmtpPeer) -> TestConfig {
    let mut config = TestConfig::new(peer);
    config.text("queue.url", &format!("sqlite://{}", database.display()));
    config
}

async fn assert_kept_out(config: &TestConfig) {
    let finished = config.run(&["serve"]).await;
    assert!(
        finished.code == Some(1)
            && finished
                .all()
                .contains("another jobbell already works on this queue"),
        "{finished:#?}"
    );
}

async fn assert_works(daemon: &Daemon, peer: &SmtpPeer) {
    let before = peer.mails().len();
    let id = daemon.accept(&success("a@example.org")).await;
    daemon.reached(&id, "sent").await;
    assert_eq!(peer.mails().len(), before + 1);
}

#[tokio::test]
async fn second_daemon_is_refused_under_any_name_of_the_database() {
    let peer = SmtpPeer::start().await;
    let first = TestConfig::new(&peer);
    let daemon = first.start().await;
    let database = first.state().join("jobbell.db");
    let (hard, soft) = (first.path().join("hard.db"), first.path().join("soft.db"));
    fs::hard_link(&database, &hard).unwrap();
    std::os::unix::fs::symlink(&database, &soft).unwrap();
    for name in [&database, &hard, &soft] {
        assert_kept_out(&on_the_same(name, &peer)).await;
    }
    // The same directory after its lock file was removed.
    fs::remove_file(first.state().join("jobbell.lock")).unwrap();
    assert_kept_out(&first).await;
    assert_works(&daemon, &peer).await;
    assert_eq!(peer.seen().mails.len(), 1, "no other daemon sends anything");
}

#[tokio::test]
async fn removed_or_replaced_database_stops_intake() {
    let peer = SmtpPeer::start().await;
    let config = TestConfig::new(&peer);
    let mut daemon = config.start().await;
    assert_works(&daemon, &peer).await;
    let (database, aside) = (
        config.state().join("jobbell.db"),
        config.path().join("aside.db"),
    );
    for (what, replacement) in [
        ("removed", None),
        ("replaced by another file", Some("another file")),
    ] {
        fs::rename(&database, &aside).unwrap();
        if let Some(text) = replacement {
            fs::write(&database, text).unwrap();
        }
        let answer = daemon
            .post("/v1/events")
            .json(&success("a@example.org"))
            .send()
            .await
            .unwrap();
        assert_eq!(
            (
                answer.status().as_u16(),
                answer.headers().contains_key("retry-after")
            ),
            (503, true)
        );
        assert!(
            answer
                .text()
                .await
                .unwrap()
                .contains("the store's file was removed or replaced")
        );
        let (status, problem) = body(daemon.get("/readyz")).await;
        assert!(
            status == 503 && problem["detail"].as_str().unwrap().contains(what),
            "{problem}"
        );
        assert_eq!(
            body(daemon.get("/v1/deliveries")).await.0,
            503,
            "reads from the wrong file fail, too"
        );
        fs::rename(&aside, &database).unwrap();
        assert_works(&daemon, &peer).await;
        assert_eq!(body(daemon.get("/readyz")).await.0, 200);
    }
    // Acknowledged events are in the WAL until a checkpoint.
    let log = config.state().join("jobbell.db-wal");
    fs::rename(&log, &aside).unwrap();
    assert_eq!(daemon.answer(&success("a@example.org")).await.0, 503);
    fs::rename(&aside, &log).unwrap();
    assert_works(&daemon, &peer).await;
    daemon.stop().await;
}

#[tokio::test]
async fn readers_do_not_prevent_a_daemon_from_starting() {
    let peer = SmtpPeer::start().await;
    let config = TestConfig::new(&peer);
    config.start().await.stop().await;
    // A read transaction that stays open.
    let reader = sqlite::open_to_read(&config.load().queue).unwrap();
    assert!(reader.verify_counts().await.unwrap().agrees());
    let mut daemon = config.start().await;
    assert_works(&daemon, &peer).await;
    assert_eq!(reader.verify_counts().await.unwrap().found.accepted, 1);
    let beside = sqlite::open_to_read(&config.load().queue).unwrap();
    assert_eq!(beside.counts().await.unwrap().accepted, 1);
    for arguments in [&["queue", "check"][..], &["queue", "backup", "copy.db"]] {
        let finished = config.run(arguments).await;
        assert_eq!(finished.code, Some(0), "{finished:#?}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn daemon_waits_for_a_briefly_locked_store() {
    let peer = SmtpPeer::start().await;
    let config = TestConfig::new(&peer);
    config.start().await.stop().await;
    let held = sqlite::open_existing(&config.load().queue).unwrap();
    let let_go = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        held.close().await;
    };
    let (daemon, ()) = tokio::join!(config.start(), let_go);
    assert_works(&daemon, &peer).await;
}

#[tokio::test]
async fn hard_link_without_its_write_ahead_log_is_refused() {
    let peer = SmtpPeer::start().await;
    let mut first = TestConfig::new(&peer);
    let mut daemon = first.set("smtp.enable", "false").start().await;
    daemon.accept(&success("a@example.org")).await;
    let database = first.state().join("jobbell.db");
    let link = first.state().join("link.db");
    fs::hard_link(&database, &link).unwrap();
    daemon.kill().await;
    let finished = on_the_same(&link, &peer).run(&["serve"]).await;
    assert!(
        finished.code == Some(1)
            && finished
                .all()
                .contains("jobbell.db-wal beside its other name"),
        "{finished:#?}"
    );
    let daemon = first.start().await;
    assert_eq!(daemon.stats().await["accepted"], 1);
}
