//! `kill -9` at the worst moments: acknowledged mails are delivered, and duplicates are identical.
//! For random moments see [`crate::faults`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jobbell::domain::Timestamp;
use serde_json::json;

use crate::support::daemon::{Daemon, body, success};
use crate::support::smtp_peer::{Act, At, Gate, Mail, SmtpPeer};
use crate::support::test_config::TestConfig;

/// The Message-IDs of all mails of each event.
fn by_event(mails: &[Mail]) -> BTreeMap<String, Vec<String>> {
    let mut events = BTreeMap::<String, Vec<String>>::new();
    for mail in mails {
        let text = String::from_utf8_lossy(&mail.data);
        let header = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap()
                .to_owned()
        };
        events
            .entry(header("X-Jobbell-Event: "))
            .or_default()
            .push(header("Message-ID: "));
    }
    events
}

async fn assert_balanced_on_disk(config: &TestConfig, daemon: &mut Daemon) -> serde_json::Value {
    daemon.stop().await;
    let stats = config.run(&["queue", "stats", "--json"]).await;
    assert_eq!(stats.code, Some(0), "{stats:?}");
    let stats = stats.json();
    assert_eq!(stats["balanced"], true, "{stats}");
    stats
}

#[tokio::test]
async fn acknowledged_events_survive_sigkill() {
    let mut down = SmtpPeer::start().await;
    down.stop_listening().await;
    let mut config = TestConfig::new(&down);
    let mut daemon = config.start().await;
    let mut ids = BTreeSet::new();
    for number in 0..10 {
        ids.insert(
            daemon
                .accept(&success(&format!("user{number}@example.org")))
                .await,
        );
    }
    let lines: Vec<_> = (0..20)
        .map(|number| json!({"status": "failed", "id": format!("line-{number}")}).to_string())
        .collect();
    let (status, answers) = body(
        daemon
            .post("/v1/events")
            .header("content-type", "application/x-ndjson")
            .body(lines.join("\n")),
    )
    .await;
    assert_eq!(status, 202);
    daemon.kill().await;
    ids.extend(
        answers
            .as_array()
            .unwrap()
            .iter()
            .map(|answer| answer["id"].as_str().unwrap().to_owned()),
    );
    assert_eq!(ids.len(), 30);

    let peer = SmtpPeer::start().await;
    let mut daemon = config
        .set("smtp.port", &peer.port().to_string())
        .start()
        .await;
    let mails = peer
        .until("thirty mails", |seen| seen.mails.len() >= 30)
        .await
        .mails;
    let sent = by_event(&mails);
    assert_eq!(
        sent.keys().collect::<Vec<_>>(),
        ids.iter().collect::<Vec<_>>()
    );
    daemon
        .counted("all to be settled", |stats| stats["sent"] == 30)
        .await;
    for id in &ids {
        assert_eq!(
            sent[id],
            [daemon.event(id).await["deliveries"][0]["message_id"]
                .as_str()
                .unwrap()]
        );
    }
    assert_eq!(
        assert_balanced_on_disk(&config, &mut daemon).await["accepted"],
        30
    );
}

#[tokio::test]
async fn crash_between_250_and_commit_resends_the_same_message_id() {
    let gate = Gate::new();
    let peer = SmtpPeer::builder()
        .once(At::Dot, Act::Usual.held(&gate))
        .start()
        .await;
    let config = TestConfig::new(&peer);
    let mut daemon = config.start().await;
    let id = daemon.accept(&success("a@example.org")).await;
    gate.reached().await;
    daemon.kill().await;
    gate.open();
    peer.until("the first copy", |seen| seen.mails.len() == 1)
        .await;
    let mut daemon = config.start().await;
    let deliveries = daemon.reached(&id, "sent").await;
    let message_id = deliveries[0]["message_id"].as_str().unwrap();
    assert_eq!(by_event(&peer.mails())[&id], [message_id, message_id]);
    let attempts: Vec<_> = deliveries[0]["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| (&attempt["number"], &attempt["result"]))
        .collect();
    assert_eq!(
        attempts,
        [
            (&json!(1), &json!("uncertain")),
            (&json!(2), &json!("sent"))
        ],
        "the interrupted attempt counts"
    );
    let at = |number: usize| {
        deliveries[0]["attempts"][number]["at"]
            .as_str()
            .unwrap()
            .parse::<Timestamp>()
            .unwrap()
    };
    assert!(
        at(1).since(at(0)) >= Duration::from_millis(100),
        "not before the first retry delay: {deliveries:?}"
    );
    assert_balanced_on_disk(&config, &mut daemon).await;
}
