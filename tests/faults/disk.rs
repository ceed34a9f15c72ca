//! A disk that is full, fails or loses writes: only stored events are acknowledged, no mail is sent
//! twice, and the daemon recovers.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::conserved::conserved;
use super::small_disk::Disk;
use crate::support::daemon::{Daemon, body, success};
use crate::support::figures::record;
use crate::support::smtp_peer::{Act, At, Gate, SmtpPeer};
use crate::support::test_app::TestApp;
use crate::support::test_config::TestConfig;

async fn ready(daemon: &Daemon) -> (u16, Value) {
    body(daemon.get("/readyz")).await
}

/// Waits until the daemon reports that it accepts events.
async fn recovers(daemon: &Daemon) {
    let begun = std::time::Instant::now();
    while ready(daemon).await.0 != 200 {
        assert!(
            begun.elapsed() < crate::support::test_config::PATIENCE,
            "the daemon recovers:\n{}",
            daemon.log()
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Posts until an event is refused, recording accepted ones; returns the refused one.
async fn refused(daemon: &Daemon, promised: &mut BTreeSet<String>) -> Value {
    for number in 0..100 {
        let event = json!({"id": format!("late-{number}"), "status": "succeeded", "to": "late@example.org"});
        let response = daemon.post("/v1/events").json(&event).send().await.unwrap();
        if response.status() == 202 {
            promised.insert(format!("late-{number}"));
            continue;
        }
        assert_eq!(response.status(), 503);
        assert!(
            response.headers()["retry-after"]
                .to_str()
                .unwrap()
                .parse::<u32>()
                .unwrap()
                > 0
        );
        let problem: Value = response.json().await.unwrap();
        assert!(problem["detail"].is_string(), "{problem}");
        return event;
    }
    panic!("the disk never failed");
}

fn failures(daemon: &Daemon) -> usize {
    daemon
        .log()
        .lines()
        .filter(|line| line.contains("delivery results; retrying"))
        .count()
}

/// The disk fails while one mail waits at its final dot.
async fn outlives(
    test: &'static str,
    mut disk: Disk,
    config: &TestConfig,
    peer: &SmtpPeer,
    gate: &Gate,
    reason: &[&str],
) {
    let mut daemon = disk.start(config).await;
    let mut promised = BTreeSet::from([daemon.accept(&success("a@example.org")).await]);
    gate.reached().await;
    disk.breaks(&daemon).await;
    let event = refused(&daemon, &mut promised).await;
    let (status, why) = ready(&daemon).await;
    assert_eq!(status, 503);
    assert!(
        reason
            .iter()
            .any(|reason| why["detail"].as_str().unwrap().contains(reason)),
        "{why}"
    );
    gate.open();
    peer.until("the mail in progress", |seen| !seen.mails.is_empty())
        .await;
    let begun = std::time::Instant::now();
    while failures(&daemon) < 3 {
        assert!(
            begun.elapsed() < crate::support::test_config::PATIENCE,
            "the daemon retries settling:\n{}",
            daemon.log()
        );
        refused(&daemon, &mut promised).await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(
        peer.mails().len(),
        1,
        "an unsettled mail is not resent, and no other is started"
    );
    disk.mends(&daemon).await;
    recovers(&daemon).await;
    let (status, answer) = daemon.answer(&event).await;
    assert_eq!(
        (status, &answer["duplicate"]),
        (202, &json!(false)),
        "refused events are not stored"
    );
    promised.insert(event["id"].as_str().unwrap().to_owned());
    for id in &promised {
        let deliveries = daemon.reached(id, "sent").await;
        assert_eq!(
            deliveries[0]["attempts"].as_array().unwrap().len(),
            1,
            "{deliveries:#?}"
        );
    }
    conserved(test, config, &mut daemon, peer, &promised, 0).await;
}

/// A server that holds the first mail at its final dot, and a configuration for it.
async fn scene() -> (SmtpPeer, Gate, TestConfig) {
    let gate = Gate::new();
    let peer = SmtpPeer::builder()
        .once(At::Dot, Act::Usual.held(&gate))
        .start()
        .await;
    let config = TestConfig::new(&peer);
    (peer, gate, config)
}

#[tokio::test]
async fn failed_writes_lose_no_mail_and_send_no_duplicate() {
    let (peer, gate, config) = scene().await;
    let Some(disk) = Disk::refusing() else {
        return eprintln!("note: left out, limits of other processes cannot be set here");
    };
    outlives(
        "failed_writes_lose_no_mail_and_send_no_duplicate",
        disk,
        &config,
        &peer,
        &gate,
        &["disk I/O error", "disk is full"],
    )
    .await;
}

#[tokio::test]
async fn full_disk_loses_no_mail_and_sends_no_duplicate() {
    let (peer, gate, config) = scene().await;
    let Some(disk) = Disk::full(&config) else {
        return eprintln!("note: left out, nothing can be mounted here");
    };
    outlives(
        "full_disk_loses_no_mail_and_sends_no_duplicate",
        disk,
        &config,
        &peer,
        &gate,
        &["disk is full", "disk I/O error"],
    )
    .await;
}

#[tokio::test]
async fn failed_fsync_acknowledges_nothing_and_sends_no_duplicate() {
    let (peer, gate, config) = scene().await;
    let Some(disk) = Disk::unsynced() else {
        return eprintln!("note: left out, processes cannot be traced here");
    };
    outlives(
        "failed_fsync_acknowledges_nothing_and_sends_no_duplicate",
        disk,
        &config,
        &peer,
        &gate,
        &["disk I/O error"],
    )
    .await;
}

#[tokio::test]
async fn read_only_disk_loses_no_mail_and_sends_no_duplicate() {
    let (peer, gate, config) = scene().await;
    let Some(disk) = Disk::read_only() else {
        return eprintln!("note: left out, processes cannot be traced here");
    };
    outlives(
        "read_only_disk_loses_no_mail_and_sends_no_duplicate",
        disk,
        &config,
        &peer,
        &gate,
        &["disk I/O error", "readonly"],
    )
    .await;
}

#[tokio::test]
async fn shutdown_waits_until_results_are_stored() {
    let (peer, gate, config) = scene().await;
    let Some(mut disk) = Disk::refusing() else {
        return eprintln!("note: left out, limits of other processes cannot be set here");
    };
    let mut daemon = disk.start(&config).await;
    let id = daemon.accept(&success("a@example.org")).await;
    gate.reached().await;
    disk.breaks(&daemon).await;
    gate.open();
    daemon.says("could not record").await;
    daemon.signal("TERM").await;
    daemon.says("SIGTERM: stopping").await;
    disk.mends(&daemon).await;
    assert_eq!(daemon.ended().await.code(), Some(0), "{}", daemon.log());
    let mut daemon = config.start().await;
    assert_eq!(
        daemon.reached(&id, "sent").await[0]["attempts"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    conserved(
        "shutdown_waits_until_results_are_stored",
        &config,
        &mut daemon,
        &peer,
        &BTreeSet::from([id]),
        0,
    )
    .await;
}

#[tokio::test]
async fn sending_resumes_as_soon_as_results_can_be_stored() {
    let (peer, gate, config) = scene().await;
    let app = TestApp::start(&config).await;
    app.submit("first", "a@example.org").await;
    gate.reached().await;
    let queue = app.jobbell.queue();
    let thief = rusqlite::Connection::open(config.state().join("jobbell.db")).unwrap();
    thief.execute_batch("BEGIN IMMEDIATE").unwrap();
    gate.open();
    let begun = std::time::Instant::now();
    while queue.health() == jobbell::queue::Health::Ready {
        assert!(
            begun.elapsed() < crate::support::test_config::PATIENCE,
            "the store gives up waiting"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    drop(thief);
    app.submit("second", "b@example.org").await;
    // The pause after a failure ends within 5 s; the test clock does not advance by the 30 s of the
    // longest sleep.
    for _ in 0..20 {
        app.clock.step(std::time::Duration::from_secs(1));
        tokio::task::yield_now().await;
    }
    app.reached("first", jobbell::domain::State::Sent, 1).await;
    app.reached("second", jobbell::domain::State::Sent, 1).await;
    let counts = queue.counts().await.unwrap();
    record(&format!(
        "conservation sending_resumes_as_soon_as_results_can_be_stored: {counts:?}, ledger mails {}",
        peer.mails().len()
    ));
    assert!(
        counts.balanced() && counts.sent == 2 && peer.mails().len() == 2,
        "{counts:?}"
    );
}
