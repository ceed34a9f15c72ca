//! `jobbell nodes`: two daemons on one PostgreSQL, one of which is drained.

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use serde_json::{Value, json};

use crate::support::daemon::{Daemon, body, success};
use crate::support::postgres::{Database, eventually};
use crate::support::smtp_peer::{Act, At, SmtpPeer};
use crate::support::test_config::TestConfig;

/// A node with a mail server of its own, so that the server shows who has sent a mail.
struct Node {
    config: TestConfig,
    peer: SmtpPeer,
}

impl Node {
    async fn new(name: &str, database: &Database) -> Self {
        let peer = SmtpPeer::start().await;
        let mut config = TestConfig::new(&peer);
        config
            .text("queue.url", &database.url())
            .text("queue.node_name", name)
            .text("retry.initial", "2s");
        Self { config, peer }
    }

    async fn nodes(&self, arguments: &[&str]) -> Value {
        let arguments = [&["nodes", "--json"], arguments].concat();
        let finished = self.config.run(&arguments).await;
        assert_eq!(finished.code, Some(0), "{finished:#?}");
        finished.json()
    }
}

/// Whether a daemon is ready, with the reason if not.
async fn ready(daemon: &Daemon) -> (u16, Value) {
    body(daemon.get("/readyz")).await
}

async fn metrics(daemon: &Daemon) -> String {
    let response = daemon.get("/metrics").send().await.unwrap();
    response.text().await.unwrap()
}

/// The value of a metric of this node.
fn value(metrics: &str, name: &str) -> f64 {
    let name = format!("jobbell_{name}{{name=\"node-a\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap_or_else(|| panic!("{name}\n{metrics}"))
        .trim()
        .parse()
        .unwrap()
}

async fn drained(node: &Node, daemon: &Daemon) {
    let drained = node.nodes(&["drain", "node-a"]).await;
    assert_eq!(drained["draining"], true);
    eventually("draining", async || ready(daemon).await.0 == 503).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drained_node_refuses_events_and_leaves_waiting_mails_to_another() {
    let Some(database) = Database::create().await else {
        return;
    };
    let (a, b) = (
        Node::new("node-a", &database).await,
        Node::new("node-b", &database).await,
    );
    let slow = Act::reply("250 2.0.0 queued").after(Duration::from_secs(3));
    a.peer.once(At::Dot, slow);
    let first = a.config.start().await;
    let mut second = b.config.start().await;
    let in_flight = first.accept(&success("slow@example.org")).await;
    a.peer
        .until("the slow mail", |seen| seen.lines().contains(&"DATA"))
        .await;
    // Only its first attempt is made by this node.
    a.peer
        .once(At::Rcpt, Act::reply("451 4.7.1 come back later"));
    let later = first.accept(&success("later@example.org")).await;
    first
        .deliveries(&later, "an attempt", |all| {
            all[0]["attempts"].as_array().unwrap().len() == 1
        })
        .await;
    let drained = a.nodes(&["drain", "node-a"]).await;
    assert_eq!(
        (&drained["draining"], &drained["in_flight"]),
        (&json!(true), &json!(1))
    );
    eventually("draining", async || ready(&first).await.0 == 503).await;
    let refused = first.post("/v1/events").json(&success("no@example.org"));
    let refused = refused.send().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key(RETRY_AFTER));
    let problem: Value = refused.json().await.unwrap();
    assert!(
        problem["detail"].as_str().unwrap().contains("draining"),
        "{problem}"
    );
    assert!(!first.log().contains("events refused"), "no error");
    let by_b = second.accept(&success("yes@example.org")).await;
    for id in [&in_flight, &later, &by_b] {
        second.reached(id, "sent").await;
    }
    let received = |node: &Node| {
        let mails = node.peer.seen().mails.clone();
        let mut to: Vec<_> = mails.iter().map(|mail| mail.to[0].clone()).collect();
        to.sort();
        to
    };
    assert_eq!(received(&a), ["slow@example.org"]);
    assert_eq!(received(&b), ["later@example.org", "yes@example.org"]);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_is_shown_and_ends_by_resume_or_restart() {
    let Some(database) = Database::create().await else {
        return;
    };
    let a = Node::new("node-a", &database).await;
    let mut daemon = a.config.start().await;
    let listed = a.nodes(&[]).await;
    let [node] = listed.as_array().unwrap().as_slice() else {
        panic!("{listed}")
    };
    let keys: Vec<_> = node.as_object().unwrap().keys().cloned().collect();
    let mut expected = [
        "id",
        "name",
        "version",
        "last_seen",
        "in_flight",
        "draining",
    ];
    expected.sort_unstable();
    let mut sorted = keys;
    sorted.sort();
    assert_eq!(sorted, expected);
    assert_eq!(
        (&node["name"], &node["version"], &node["draining"]),
        (
            &json!("node-a"),
            &json!(env!("CARGO_PKG_VERSION")),
            &json!(false)
        )
    );
    let seen: jobbell::domain::Timestamp = node["last_seen"].as_str().unwrap().parse().unwrap();
    let age = jobbell::clock::Clock::System.now().since(seen);
    assert!(age < Duration::from_secs(10), "{node}");
    let (id, text) = (node["id"].as_i64().unwrap(), metrics(&daemon).await);
    let info = format!("jobbell_node_info{{name=\"node-a\",id=\"{id}\",version=");
    assert!(text.contains(&info), "{text}");
    assert!(value(&text, "node_in_flight").abs() < 0.1);
    assert!(value(&text, "node_draining").abs() < 0.1);
    let lease = value(&text, "node_lease_seconds");
    assert!(lease > 15.0 && lease <= 25.0, "{lease}");
    assert!(value(&text, "store_horizon_seconds") < 5.0);

    drained(&a, &daemon).await;
    let (_, problem) = ready(&daemon).await;
    assert_eq!(problem["detail"], "this node is draining");
    let health = body(daemon.get("/health")).await.1;
    assert_eq!(
        (&health["status"], &health["draining"]),
        (&json!("ok"), &json!(true))
    );
    let text = metrics(&daemon).await;
    assert!(value(&text, "node_draining") > 0.9, "{text}");
    let alone = a.config.run(&["nodes", "drain", "node-a"]).await;
    assert_eq!(alone.code, Some(0));
    assert!(alone.out.contains("in flight: 0") && alone.err.contains("no node accepts"));
    assert_eq!(a.nodes(&["resume", "node-a"]).await["draining"], false);
    eventually("ready", async || ready(&daemon).await.0 == 200).await;

    drained(&a, &daemon).await;
    daemon.stop().await;
    assert_eq!(a.nodes(&[]).await, json!([]));
    let daemon = a.config.start().await;
    let restarted = &a.nodes(&[]).await[0];
    assert_eq!(restarted["draining"], false);
    assert!(restarted["id"].as_i64().unwrap() > id);
    let event = daemon.accept(&success("boss@example.org")).await;
    daemon.reached(&event, "sent").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_of_an_unknown_name_or_of_sqlite_are_explained() {
    let sqlite = TestConfig::for_port(2525);
    for arguments in [&["nodes"][..], &["nodes", "drain", "a"]] {
        let finished = sqlite.run(arguments).await;
        assert_eq!((finished.code, finished.out.as_str()), (Some(1), ""));
        assert!(finished.err.contains("SQLite"), "{finished:#?}");
    }
    let Some(database) = Database::create().await else {
        return;
    };
    let mut a = Node::new("node-a", &database).await;
    let empty = a.config.run(&["nodes"]).await;
    assert_eq!(empty.code, Some(1), "{empty:#?}");
    assert!(empty.err.contains("no queue yet"), "{empty:#?}");
    let _daemon = a.config.start().await;
    let unknown = a.config.run(&["nodes", "drain", "node-x"]).await;
    assert_eq!(
        (unknown.code, unknown.err.as_str()),
        (
            Some(1),
            "jobbell: no node is named \"node-x\"; nodes: node-a\n"
        )
    );
    let table = a.config.run(&["nodes"]).await.out;
    let header = "id\tname\tversion\tlast sign\tin flight\tdraining\n";
    assert!(
        table.starts_with(header) && table.ends_with("\t0\tno\n"),
        "{table}"
    );
    let chinese = a.config.env("LANG", "zh_CN.UTF-8");
    let unknown = chinese.run(&["nodes", "resume", "node-x"]).await.err;
    assert_eq!(
        unknown,
        "jobbell: 没有名为“node-x”的节点；现有节点：node-a\n"
    );
}
