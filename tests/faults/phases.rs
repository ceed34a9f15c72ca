//! Signals in every phase of a mail and under load, and a hung writer: acknowledged mails are sent
//! however the daemon ends.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::net::UnixDatagram;
use tokio::task::JoinHandle;

use super::conserved::conserved;
use crate::support::daemon::{Daemon, success};
use crate::support::smtp_peer::{Act, At, Gate, SmtpPeer};
use crate::support::test_config::{PATIENCE, TestConfig};

/// Points at which a mail is held: while connecting, before its envelope, within it, in its data,
/// and before the final reply.
const PHASES: [At; 6] = [
    At::Greeting,
    At::Ehlo,
    At::Mail,
    At::Rcpt,
    At::Payload,
    At::Dot,
];

/// A daemon whose first mail is held at one of these points.
async fn held(at: At) -> (SmtpPeer, Gate, TestConfig, Daemon, BTreeSet<String>) {
    let gate = Gate::new();
    // Servers normally send nothing during the payload.
    let act = if at == At::Payload {
        Act::Reply(Vec::new())
    } else {
        Act::Usual
    };
    let peer = SmtpPeer::builder().once(at, act.held(&gate)).start().await;
    let config = TestConfig::new(&peer);
    let daemon = config.start().await;
    let id = daemon.accept(&success("a@example.org")).await;
    gate.reached().await;
    (peer, gate, config, daemon, BTreeSet::from([id]))
}

#[tokio::test]
async fn shutdown_in_any_phase_sends_each_mail_once() {
    for at in PHASES {
        let (peer, gate, config, mut daemon, ids) = held(at).await;
        daemon.signal("TERM").await;
        daemon.says("SIGTERM: stopping").await;
        gate.open();
        assert_eq!(
            daemon.ended().await.code(),
            Some(0),
            "{at:?}: {}",
            daemon.log()
        );
        let mut daemon = config.start().await;
        conserved(
            "shutdown_in_any_phase_sends_each_mail_once",
            &config,
            &mut daemon,
            &peer,
            &ids,
            0,
        )
        .await;
    }
}

#[tokio::test]
async fn second_signal_duplicates_only_mails_past_the_final_dot() {
    for at in PHASES {
        let (peer, gate, config, mut daemon, ids) = held(at).await;
        daemon.signal("TERM").await;
        daemon.says("SIGTERM: stopping").await;
        daemon.signal("TERM").await;
        assert_eq!(
            daemon.ended().await.code(),
            Some(1),
            "{at:?}: {}",
            daemon.log()
        );
        gate.open();
        // The payload is written together with its final dot.
        let past_dot = matches!(at, At::Payload | At::Dot);
        peer.until("the mail in progress", |seen| {
            seen.mails.len() == usize::from(past_dot)
        })
        .await;
        peer.next_life();
        let mut daemon = config.start().await;
        conserved(
            "second_signal_duplicates_only_mails_past_the_final_dot",
            &config,
            &mut daemon,
            &peer,
            &ids,
            usize::from(past_dot),
        )
        .await;
    }
}

#[tokio::test]
async fn shutdown_of_an_idle_daemon_is_quick_and_clean() {
    let peer = SmtpPeer::start().await;
    let config = TestConfig::new(&peer);
    config.start().await.stop().await;
    let mut daemon = config.start().await;
    conserved(
        "shutdown_of_an_idle_daemon_is_quick_and_clean",
        &config,
        &mut daemon,
        &peer,
        &BTreeSet::new(),
        0,
    )
    .await;
}

/// Producers that post until stopped, or until the daemon is gone.
struct Load {
    acknowledged: Arc<Mutex<BTreeSet<String>>>,
    enough: Arc<AtomicUsize>,
    producers: Vec<JoinHandle<()>>,
}

impl Load {
    fn on(daemon: &Arc<Daemon>, name: &'static str, most: usize) -> Self {
        let (acknowledged, numbers, enough) = (
            Arc::<Mutex<BTreeSet<_>>>::default(),
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicUsize::new(most)),
        );
        let producer = |_| {
            let (daemon, numbers, acknowledged, enough) = (
                Arc::clone(daemon),
                Arc::clone(&numbers),
                Arc::clone(&acknowledged),
                Arc::clone(&enough),
            );
            tokio::spawn(async move {
                loop {
                    let number = numbers.fetch_add(1, Ordering::SeqCst);
                    if number >= enough.load(Ordering::SeqCst) {
                        return;
                    }
                    let event = json!({"id": format!("{name}-{number}"), "status": "succeeded", "to": "a@example.org"});
                    let Ok(response) = daemon.post("/v1/events").json(&event).send().await else {
                        return;
                    };
                    if response.status() == 202 {
                        acknowledged
                            .lock()
                            .unwrap()
                            .insert(format!("{name}-{number}"));
                    }
                }
            })
        };
        Self {
            producers: (0..8).map(producer).collect(),
            acknowledged,
            enough,
        }
    }

    fn acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    async fn until(&self, number: usize) {
        let begun = std::time::Instant::now();
        while self.acknowledged() < number {
            assert!(
                begun.elapsed() < PATIENCE,
                "only {} of {number} were accepted",
                self.acknowledged()
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits for the producers; returns the acknowledged events.
    async fn over(self) -> BTreeSet<String> {
        self.enough.store(0, Ordering::SeqCst);
        for producer in self.producers {
            producer.await.unwrap();
        }
        self.acknowledged.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn shutdown_under_load_loses_and_duplicates_nothing() {
    let peer = SmtpPeer::start().await;
    let config = TestConfig::new(&peer);
    let mut all = BTreeSet::new();
    for name in ["first", "second"] {
        let daemon = Arc::new(config.start().await);
        let load = Load::on(&daemon, name, usize::MAX);
        load.until(100).await;
        daemon.signal("TERM").await;
        all.extend(load.over().await);
        let mut daemon = Arc::into_inner(daemon).unwrap();
        assert_eq!(daemon.ended().await.code(), Some(0), "{}", daemon.log());
    }
    let mut daemon = config.start().await;
    conserved(
        "shutdown_under_load_loses_and_duplicates_nothing",
        &config,
        &mut daemon,
        &peer,
        &all,
        0,
    )
    .await;
}

#[tokio::test]
async fn reloads_under_load_lose_no_mail() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    let daemon = Arc::new(config.start().await);
    let good = std::fs::read_to_string(config.file()).unwrap();
    let load = Load::on(&daemon, "load", usize::MAX);
    let read = |word: &'static str| {
        daemon
            .log()
            .lines()
            .filter(|line| line.contains(word))
            .count()
    };
    let mut expected = (0, 0);
    for round in 0..12 {
        let (text, is_good) = match round % 4 {
            0 => (
                good.clone() + &format!("[email]\nsubject_prefix = \"[{round}]\"\n"),
                true,
            ),
            1 => (good.clone() + "[smpt]\nhost = 1\n", false),
            // As an editor or a deployment without rename leaves it for a moment: cut within the
            // last value, and without a server.
            2 => (
                good.trim_end()[..good.trim_end().len() - 1].to_owned(),
                false,
            ),
            _ => (good.clone(), true),
        };
        config.write(&text);
        expected = if is_good {
            (expected.0 + 1, expected.1)
        } else {
            (expected.0, expected.1 + 1)
        };
        daemon.signal("HUP").await;
        let begun = std::time::Instant::now();
        while (read("configuration reloaded"), read("reload failed")) != expected {
            assert!(
                begun.elapsed() < PATIENCE,
                "round {round}, {expected:?}:\n{}",
                daemon.log()
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        load.until((round + 1) * 20).await;
    }
    let all = load.over().await;
    let mut daemon = Arc::into_inner(daemon).unwrap();
    conserved(
        "reloads_under_load_lose_no_mail",
        &config,
        &mut daemon,
        &peer,
        &all,
        0,
    )
    .await;
}

#[tokio::test]
async fn hung_writer_triggers_the_watchdog_and_loses_nothing() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    let path = config.path().join("notify.sock");
    config
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "200000");
    let manager = UnixDatagram::bind(&path).unwrap();
    let mut daemon = config.start().await;
    let id = daemon.accept(&success("a@example.org")).await;
    daemon.reached(&id, "sent").await;
    // Another program locks the database: the writer waits for seconds.
    let thief = rusqlite::Connection::open(config.state().join("jobbell.db")).unwrap();
    thief.execute_batch("BEGIN IMMEDIATE").unwrap();
    let posting = daemon
        .post("/v1/events")
        .json(&json!({"id": "unanswered", "status": "succeeded", "to": "b@example.org"}))
        .send();
    let posting = tokio::spawn(posting);
    daemon.says("watchdog is not notified").await;
    // As systemd does when it receives nothing for the whole interval.
    let mut bytes = [0; 4096];
    while tokio::time::timeout(Duration::from_millis(200), manager.recv(&mut bytes))
        .await
        .is_ok()
    {}
    daemon.signal("ABRT").await;
    assert_eq!(daemon.ended().await.code(), None);
    drop(thief);
    assert!(
        posting.await.unwrap().is_err(),
        "the event is not acknowledged"
    );
    let mut daemon = config.start().await;
    conserved(
        "hung_writer_triggers_the_watchdog_and_loses_nothing",
        &config,
        &mut daemon,
        &peer,
        &BTreeSet::from([id]),
        0,
    )
    .await;
}
