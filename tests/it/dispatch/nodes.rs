//! Limits over nodes that share a queue in PostgreSQL: five Jobbells in one process.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jobbell::Jobbell;
use jobbell::clock::Clock;
use jobbell::domain::Recipient;

use crate::support::postgres::{Database, eventually};
use crate::support::smtp_peer::{Act, At, Seen, SmtpPeer};
use crate::support::test_app::event;
use crate::support::test_config::TestConfig;

#[expect(clippy::struct_field_names, reason = "they are nodes")]
struct Nodes {
    nodes: Vec<Jobbell>,
    _configs: Vec<TestConfig>,
    _database: Database,
}

impl Nodes {
    /// Nodes with these settings of their mail server. Each names itself in EHLO.
    async fn start(number: usize, peer: &SmtpPeer, settings: &str) -> Option<Self> {
        let database = Database::create().await?;
        let (mut nodes, mut configs) = (Vec::new(), Vec::new());
        for node in 0..number {
            let mut test = TestConfig::bare();
            let (state, url, port) = (test.state(), database.url(), peer.port());
            test.write(&format!(
                "[queue]\nstate_dir = {state:?}\nurl = \"{url}\"\nnode_name = \"node{node}\"\n[smtp]\nname = \"primary\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n\
                 from = \"bell@jobbell.example\"\nhelo_name = \"node{node}.example\"\n{settings}\n[retry]\ninitial = \"1s\"\n"
            ));
            let config = test.load();
            nodes.push(Jobbell::start_at(&config, Clock::adjusted()).await.unwrap());
            configs.push(test);
        }
        Some(Self {
            nodes,
            _configs: configs,
            _database: database,
        })
    }

    /// Gives each node this number of mails.
    async fn submit(&self, name: &str, mails: usize) {
        for (number, node) in self.nodes.iter().enumerate() {
            submit(node, &format!("{name}-{number}"), mails).await;
        }
    }

    async fn stop(mut self) {
        for node in &mut self.nodes {
            node.stop().await;
        }
    }
}

/// Submits one event with this number of recipients.
async fn submit(node: &Jobbell, id: &str, mails: usize) {
    let mut many = event(id, "boss@example.org");
    many.to = (0..mails)
        .map(|reader| Recipient::parse(&format!("reader{reader}@example.org")).unwrap())
        .collect();
    node.submit(many).await.unwrap();
}

/// How many mails each node has sent, by the name in its EHLO.
fn by_node(seen: &Seen) -> BTreeMap<String, usize> {
    let names: BTreeMap<usize, &str> = seen
        .commands
        .iter()
        .filter(|command| command.line.starts_with("EHLO"))
        .map(|command| (command.connection, command.line.as_str()))
        .collect();
    let mut mails = BTreeMap::new();
    for mail in &seen.mails {
        *mails.entry(names[&mail.connection].to_owned()).or_default() += 1;
    }
    mails
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_connections_serve_five_nodes_in_turn() {
    let pause = Act::reply("250 2.1.5 ok").after(Duration::from_millis(100));
    let peer = SmtpPeer::builder().always(At::Rcpt, pause).start().await;
    let Some(nodes) = Nodes::start(5, &peer, "max_connections = 2").await else {
        return;
    };
    nodes.submit("job", 30).await;
    let seen = peer
        .until("all mails", |seen| seen.mails.len() == 150)
        .await;
    assert!(seen.max_open <= 2, "{} open at a time", seen.max_open);
    let mails = by_node(&seen);
    assert!(
        mails.len() == 5 && mails.values().all(|mails| *mails >= 5),
        "{mails:?}"
    );
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_make_way_for_another_node() {
    let peer = SmtpPeer::start().await;
    let Some(nodes) = Nodes::start(2, &peer, "max_connections = 1").await else {
        return;
    };
    for (round, node) in [0, 1, 0, 1].into_iter().enumerate() {
        let started = Instant::now();
        let one = event(&format!("round-{round}"), "boss@example.org");
        nodes.nodes[node].submit(one).await.unwrap();
        peer.until("the mail", |seen| seen.mails.len() == round + 1)
            .await;
        assert!(
            started.elapsed() < Duration::from_secs(4),
            "{:?}",
            started.elapsed()
        );
    }
    assert_eq!(peer.seen().max_open, 1);
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rate_limit_holds_over_five_nodes() {
    let peer = SmtpPeer::start().await;
    let Some(nodes) = Nodes::start(5, &peer, "rate_limit = \"20/s\"\nmax_connections = 10").await
    else {
        return;
    };
    nodes.submit("job", 30).await;
    peer.until("all mails", |seen| seen.mails.len() == 150)
        .await;
    let mut times: Vec<Instant> = peer.ledger().iter().map(|entry| entry.at).collect();
    times.sort_unstable();
    for (index, first) in times.iter().enumerate() {
        let within = times[index..]
            .iter()
            .take_while(|time| time.duration_since(*first) <= Duration::from_secs(1));
        assert!(within.count() <= 20);
    }
    let took = times[149].duration_since(times[0]);
    assert!(took < Duration::from_secs(14), "{took:?}");
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_that_one_node_finds_down_is_tried_again_by_one_mail() {
    let peer = SmtpPeer::builder()
        .always(At::Greeting, Act::reply_and_close("421 4.3.2 closing"))
        .start()
        .await;
    let Some(nodes) = Nodes::start(5, &peer, "cooldown = \"4s\"\nmax_connections = 10").await
    else {
        return;
    };
    submit(&nodes.nodes[0], "first", 3).await;
    eventually("three failures", async || peer.seen().connections >= 3).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    nodes.submit("job", 3).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(peer.seen().connections, 3, "the others skip the server");
    eventually("the probe", async || peer.seen().connections >= 4).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(peer.seen().connections, 4, "one probe in all");
    peer.always(At::Greeting, None);
    peer.until("all mails", |seen| seen.mails.len() == 18).await;
    nodes.stop().await;
}
