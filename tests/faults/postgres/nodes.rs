//! Nodes that share a queue in PostgreSQL, and producers that post to whichever answers.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fastrand::Rng;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::oracle::{Figures, Oracle, drained};
use crate::support::daemon::{Daemon, success};
use crate::support::figures::record;
use crate::support::smtp_peer::SmtpPeer;
use crate::support::test_config::TestConfig;

/// How long a producer may wait for an answer.
const ANSWER: Duration = Duration::from_secs(15);
/// How soon a node is ready again after the database is.
const READY: Duration = Duration::from_secs(10);
/// How long a test waits for what takes as long as the lease of a node.
const TAKEOVER: Duration = Duration::from_mins(1);

/// The configuration of a node: it names itself in EHLO.
pub(super) fn config(name: &str, peer: &SmtpPeer, url: &str) -> TestConfig {
    let mut config = TestConfig::new(peer);
    config
        .text("queue.url", url)
        .text("queue.node_name", name)
        .text("smtp.timeout", "3m")
        .text("smtp.helo_name", &format!("{name}.example"))
        .set("smtp.max_connections", "8")
        .set("retry.max_attempts", "1000");
    config
}

/// Daemons with one database and one mail server.
pub(super) struct Nodes {
    pub(super) oracle: Arc<Oracle>,
    pub(super) peer: SmtpPeer,
    pub(super) configs: Vec<TestConfig>,
    pub(super) daemons: Vec<Daemon>,
}

impl Nodes {
    /// Nodes a, b and so on, one for each URL, all ready.
    pub(super) async fn start(test: &'static str, peer: SmtpPeer, urls: &[&str]) -> Self {
        let configs = ["a", "b", "c", "d", "e"]
            .iter()
            .zip(urls)
            .map(|(name, url)| config(name, &peer, url))
            .collect();
        let mut nodes = Self {
            oracle: Arc::new(Oracle::of_nodes(test)),
            peer,
            configs,
            daemons: Vec::new(),
        };
        for config in &nodes.configs {
            let daemon = config.start().await;
            ready(&daemon).await;
            nodes.daemons.push(daemon);
        }
        nodes
    }

    /// Starts a killed node again.
    pub(super) async fn restart(&mut self, number: usize) {
        self.daemons[number] = self.configs[number].start().await;
    }

    /// Waits until all nodes are ready: at most 10 s after the database is.
    pub(super) async fn are_ready(&self) {
        let begun = Instant::now();
        for daemon in &self.daemons {
            ready(daemon).await;
        }
        assert!(begun.elapsed() < READY, "{:?}", begun.elapsed());
    }

    /// Starts producers.
    pub(super) fn produce(&self, number: usize) -> Producers {
        Producers::start(&self.oracle, &self.daemons, number)
    }

    /// Posts an event for one recipient to a node, which must be accepted.
    pub(super) async fn post(&self, node: usize) -> String {
        let event = success("boss@example.org");
        self.oracle.post(&self.daemons[node], &event).await
    }

    /// Waits until nothing is pending, and compares all sources.
    pub(super) async fn judge(&self, node: usize) -> Figures {
        drained(&self.daemons[node]).await;
        self.oracle.judge(&self.daemons[node], &[&self.peer]).await
    }

    /// Ends a test: everything is sent, and each node stops in order.
    pub(super) async fn finish(mut self) -> Figures {
        let figures = self.judge(0).await;
        assert_eq!(figures.of("sent"), figures.of("accepted"), "{figures}");
        for daemon in &mut self.daemons {
            daemon.stop().await;
        }
        Oracle::read_again(&self.configs[0], &figures).await;
        record(&figures.to_string());
        figures
    }
}

/// Waits until a node is ready.
pub(super) async fn ready(daemon: &Daemon) {
    until(daemon, true).await;
}

/// Waits until a node says that it is not ready.
pub(super) async fn not_ready(daemon: &Daemon) {
    until(daemon, false).await;
}

async fn until(daemon: &Daemon, wanted: bool) {
    let begun = Instant::now();
    loop {
        let answer = daemon.get("/readyz").send().await;
        let answer = answer.unwrap_or_else(|error| panic!("{error:?}\n{}", daemon.log()));
        let is_ready = answer.status() == 200;
        if is_ready == wanted {
            return;
        }
        let text = answer.text().await.unwrap();
        assert!(
            begun.elapsed() < TAKEOVER,
            "ready {is_ready}: {text}\n{}",
            daemon.log()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Producers that post events until each is acknowledged: to another node if one refuses it or is
/// gone.
pub(super) struct Producers {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    oracle: Arc<Oracle>,
    client: Client,
    addresses: Mutex<Vec<String>>,
    stopped: AtomicBool,
    numbers: AtomicUsize,
    refused: AtomicUsize,
    slowest: Mutex<Duration>,
}

/// What producers have seen.
#[derive(Debug)]
pub(super) struct Produced {
    /// Requests that were answered with 503.
    pub(super) refused: usize,
    pub(super) slowest: Duration,
}

impl Producers {
    fn start(oracle: &Arc<Oracle>, daemons: &[Daemon], number: usize) -> Self {
        let addresses = daemons.iter().map(|daemon| daemon.address().to_owned());
        let shared = Arc::new(Shared {
            oracle: Arc::clone(oracle),
            client: Client::builder().no_proxy().build().unwrap(),
            addresses: Mutex::new(addresses.collect()),
            stopped: AtomicBool::new(false),
            numbers: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            slowest: Mutex::default(),
        });
        let tasks = (0..number)
            .map(|number| {
                let dice = oracle.dice(1_000 + number as u64);
                tokio::spawn(Arc::clone(&shared).run(number, dice))
            })
            .collect();
        Self { shared, tasks }
    }

    /// A node has another address now.
    pub(super) fn moved(&self, node: usize, daemon: &Daemon) {
        daemon
            .address()
            .clone_into(&mut self.shared.addresses.lock().unwrap()[node]);
    }

    /// How many events were acknowledged.
    pub(super) fn acknowledged(&self) -> usize {
        self.shared.oracle.promises()
    }

    /// Waits for more acknowledged events.
    pub(super) async fn acknowledge(&self, more: usize) {
        let (begun, enough) = (Instant::now(), self.acknowledged() + more);
        while self.acknowledged() < enough {
            assert!(begun.elapsed() < TAKEOVER, "no event is acknowledged");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends them when what they have posted is acknowledged.
    pub(super) async fn finish(self) -> Produced {
        self.shared.stopped.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.unwrap();
        }
        Produced {
            refused: self.shared.refused.load(Ordering::SeqCst),
            slowest: *self.shared.slowest.lock().unwrap(),
        }
    }
}

impl Shared {
    async fn run(self: Arc<Self>, producer: usize, mut dice: Rng) {
        while !self.stopped.load(Ordering::SeqCst) {
            let number = self.numbers.fetch_add(1, Ordering::SeqCst);
            let id = format!("event-{producer}-{number}");
            let recipients = if dice.u8(..4) == 0 { 3 } else { 1 };
            let to: Vec<_> = (0..recipients)
                .map(|number| format!("reader{number}@example.org"))
                .collect();
            let event = json!({ "id": id, "status": "succeeded", "prompt": "A kitten", "to": to });
            self.deliver(&event, &mut dice).await;
            self.oracle.promise(&id, recipients);
            tokio::time::sleep(Duration::from_millis(dice.u64(..20))).await;
        }
    }

    /// Posts an event until it is acknowledged.
    async fn deliver(&self, event: &Value, dice: &mut Rng) {
        let mut is_repeated = false;
        loop {
            let address = {
                let addresses = self.addresses.lock().unwrap();
                addresses[dice.usize(..addresses.len())].clone()
            };
            let begun = Instant::now();
            let url = format!("http://{address}/v1/events");
            let answer = self.client.post(url).json(event).send().await;
            let took = begun.elapsed();
            assert!(took < ANSWER, "answered after {took:?}");
            {
                let mut slowest = self.slowest.lock().unwrap();
                *slowest = took.max(*slowest);
            }
            match answer.as_ref().map(|answer| answer.status().as_u16()) {
                Ok(202) => return,
                Ok(200) if is_repeated => return,
                Ok(503) => {
                    let after = &answer.as_ref().unwrap().headers()["retry-after"];
                    assert!(after.to_str().unwrap().parse::<u32>().is_ok());
                    self.refused.fetch_add(1, Ordering::SeqCst);
                    // Sooner than it says, so that the end of the outage is seen.
                    tokio::time::sleep(Duration::from_millis(dice.u64(20..120))).await;
                }
                Ok(status) => {
                    panic!("{status}: {}", answer.unwrap().text().await.unwrap())
                }
                // The node is gone.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
            is_repeated = true;
        }
    }
}
