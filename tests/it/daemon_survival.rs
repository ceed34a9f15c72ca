//! `kill -9` at the worst moments: what was acknowledged is delivered, and a copy is the same mail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::sync::watch;

use crate::support::daemon::{Daemon, body, success};
use crate::support::home::Home;
use crate::support::peer::{Act, At, Gate, Mail, Peer};

/// The Message-IDs of all mails that tell of each event.
fn by_event(mails: &[Mail]) -> BTreeMap<String, Vec<String>> {
    let mut events = BTreeMap::<String, Vec<String>>::new();
    for mail in mails {
        let text = String::from_utf8_lossy(&mail.data);
        let header = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        events.entry(header("X-Jobbell-Event: ")).or_default().push(header("Message-ID: "));
    }
    events
}

async fn assert_balanced_on_disk(home: &Home, daemon: &mut Daemon) -> serde_json::Value {
    daemon.stop().await;
    let stats = home.run(&["queue", "stats", "--json"]).await;
    assert_eq!(stats.code, Some(0), "{stats:?}");
    let stats = stats.json();
    assert_eq!(stats["balanced"], true, "{stats}");
    stats
}

#[tokio::test]
async fn a_killed_daemon_sends_what_it_acknowledged() {
    let mut down = Peer::start().await;
    down.stop_listening().await;
    let mut home = Home::new(&down);
    let mut daemon = home.start().await;
    let mut ids = BTreeSet::new();
    for number in 0..10 {
        ids.insert(daemon.accept(&success(&format!("user{number}@example.org"))).await);
    }
    let lines: Vec<_> = (0..20).map(|number| json!({"status": "failed", "id": format!("line-{number}")}).to_string()).collect();
    let (status, answers) = body(daemon.post("/v1/events").header("content-type", "application/x-ndjson").body(lines.join("\n"))).await;
    assert_eq!(status, 202);
    daemon.kill().await;
    ids.extend(answers.as_array().unwrap().iter().map(|answer| answer["id"].as_str().unwrap().to_owned()));
    assert_eq!(ids.len(), 30);

    let peer = Peer::start().await;
    let mut daemon = home.set("smtp.port", &peer.port().to_string()).start().await;
    let mails = peer.until("thirty mails", |seen| seen.mails.len() >= 30).await.mails;
    let told = by_event(&mails);
    assert_eq!(told.keys().collect::<Vec<_>>(), ids.iter().collect::<Vec<_>>());
    daemon.counted("all to be settled", |stats| stats["sent"] == 30).await;
    for id in &ids {
        assert_eq!(told[id], [daemon.event(id).await["deliveries"][0]["message_id"].as_str().unwrap()]);
    }
    assert_eq!(assert_balanced_on_disk(&home, &mut daemon).await["accepted"], 30);
}

#[tokio::test]
async fn a_daemon_that_was_killed_between_the_servers_yes_and_its_own_note_sends_the_same_mail_again() {
    let gate = Gate::new();
    let peer = Peer::builder().once(At::Dot, Act::Usual.held(&gate)).start().await;
    let home = Home::new(&peer);
    let mut daemon = home.start().await;
    let id = daemon.accept(&success("a@example.org")).await;
    gate.reached().await;
    daemon.kill().await;
    gate.open();
    peer.until("the first copy", |seen| seen.mails.len() == 1).await;
    let mut daemon = home.start().await;
    let deliveries = daemon.reached(&id, "sent").await;
    let message_id = deliveries[0]["message_id"].as_str().unwrap();
    assert_eq!(by_event(&peer.mails())[&id], [message_id, message_id]);
    assert_eq!(deliveries[0]["attempts"][0]["number"], 2, "the attempt that never came back counts");
    assert_balanced_on_disk(&home, &mut daemon).await;
}

/// Posts until the daemon is gone; notes what was acknowledged.
async fn post_on(daemon: Arc<Daemon>, numbers: Arc<AtomicUsize>, acknowledged: Arc<Mutex<BTreeSet<String>>>, told: watch::Sender<usize>) {
    loop {
        let number = numbers.fetch_add(1, Ordering::SeqCst);
        let mut event = success("a@example.org");
        event["id"] = json!(format!("load-{number}"));
        let Ok(response) = daemon.post("/v1/events").json(&event).send().await else { return };
        if response.status() == 202 {
            acknowledged.lock().unwrap().insert(format!("load-{number}"));
            told.send_modify(|number| *number += 1);
        }
    }
}

#[tokio::test]
async fn killed_again_and_again_under_load_it_loses_nothing_and_copies_are_the_same_mail() {
    const ROUNDS: usize = 3;
    let peer = Peer::start().await;
    let home = Home::new(&peer);
    let numbers = Arc::new(AtomicUsize::new(0));
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    let told = watch::Sender::new(0);
    for round in 1..=ROUNDS {
        let daemon = Arc::new(home.start().await);
        let producers: Vec<_> =
            (0..8).map(|_| tokio::spawn(post_on(Arc::clone(&daemon), Arc::clone(&numbers), Arc::clone(&acknowledged), told.clone()))).collect();
        told.subscribe().wait_for(|number| *number >= round * 60).await.unwrap();
        let sent = peer.seen().mails.len();
        peer.until("some more mails", |seen| seen.mails.len() >= sent + 10).await;
        daemon.signal("KILL").await;
        for producer in producers {
            producer.await.unwrap();
        }
        Arc::into_inner(daemon).unwrap().ended().await;
    }
    let mut daemon = home.start().await;
    let stats = daemon.counted("nothing to be left", |stats| stats["queued"] == 0 && stats["sending"] == 0).await;
    let told = by_event(&peer.mails());
    let acknowledged = acknowledged.lock().unwrap().clone();
    assert!(acknowledged.len() >= ROUNDS * 60);
    let missing: Vec<_> = acknowledged.iter().filter(|id| !told.contains_key(*id)).collect();
    assert!(missing.is_empty(), "acknowledged and lost: {missing:?}");
    for (id, message_ids) in &told {
        assert!(message_ids.iter().all(|message_id| *message_id == message_ids[0]), "{id}: {message_ids:?}");
        assert!(message_ids.len() <= 1 + ROUNDS, "{id}: {message_ids:?}");
    }
    assert_eq!((&stats["sent"], &stats["accepted"]), (&json!(told.len()), &json!(told.len())), "each mail belongs to a delivery on record");
    assert_balanced_on_disk(&home, &mut daemon).await;
}
