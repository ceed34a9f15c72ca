//! Limits over nodes: queues of one database, each a node, and a sink that notes when mails arrive.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jobbell::clock::Clock;
use jobbell::domain::{Lane, ServerName};
use jobbell::queue::Queue;
use jobbell::queue::limits::{Others, Probe, RateCap, ServerLimits, SharedRate};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::fixture::shared;
use crate::support::postgres::{Database, eventually};

const PERIOD: Duration = Duration::from_secs(4);
const CAP: RateCap = RateCap {
    mails: 60,
    urgent: 7,
    per: PERIOD,
};

struct Nodes {
    database: Database,
    queues: Vec<Queue>,
    _directories: Vec<TempDir>,
}

impl Nodes {
    async fn open(number: usize) -> Option<Self> {
        let database = Database::create().await?;
        let (mut queues, mut directories) = (Vec::new(), Vec::new());
        for _ in 0..number {
            let directory = TempDir::new().unwrap();
            let settings = shared(&directory, &database, 1_000);
            queues.push(Queue::open(&settings, &Clock::System).await.unwrap());
            directories.push(directory);
        }
        Some(Self {
            database,
            queues,
            _directories: directories,
        })
    }

    fn server(&self, node: usize) -> ServerLimits {
        self.queues[node]
            .limits()
            .server(&ServerName::from("primary"))
            .unwrap()
    }

    /// A node that ends without a word, after its lease.
    async fn kill(&mut self, node: usize) {
        drop(self.queues.remove(node));
        let ended = format!(
            "UPDATE jobbell.nodes SET alive_until = 0 WHERE node = (SELECT node FROM jobbell.nodes ORDER BY node OFFSET {node} LIMIT 1)"
        );
        self.database.sql(&ended).await;
    }
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<Instant>>>);

impl Sink {
    fn times(&self) -> Vec<Instant> {
        let mut times = self.0.lock().unwrap().clone();
        times.sort_unstable();
        times
    }

    /// Sends as much as the limit allows until `end`.
    async fn fill(self, rate: SharedRate, lane: Lane, end: Instant) {
        while Instant::now() < end {
            let granted = match rate.reserve(lane) {
                Ok(mut permit) => permit.granted().await.map(|()| permit),
                Err(wait) => Err(wait),
            };
            match granted {
                Ok(permit) => {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    self.0.lock().unwrap().push(Instant::now());
                    permit.commit();
                }
                Err(wait) => {
                    let left = end.saturating_duration_since(Instant::now());
                    tokio::time::sleep(wait.min(left).min(Duration::from_millis(20))).await;
                }
            }
        }
    }
}

/// The most times in any window of this length, both ends included.
fn most_within(window: Duration, times: &[Instant]) -> usize {
    let within = |first: usize| {
        times[first..]
            .iter()
            .take_while(|time| time.duration_since(times[first]) <= window)
            .count()
    };
    (0..times.len()).map(within).max().unwrap_or(0)
}

async fn rate_over(nodes: usize) {
    let Some(nodes) = Nodes::open(nodes).await else {
        return;
    };
    let (sink, mut senders) = (Sink::default(), JoinSet::new());
    let end = Instant::now() + PERIOD * 4 + PERIOD / 2;
    for node in 0..nodes.queues.len() {
        let rate = nodes.server(node).rate(CAP);
        for lane in [Lane::Urgent, Lane::Normal, Lane::Normal] {
            senders.spawn(sink.clone().fill(rate.clone(), lane, end));
        }
    }
    senders.join_all().await;
    let times = sink.times();
    let most = most_within(PERIOD, &times);
    assert!(most <= 60, "{most} in one period");
    let first = times[0];
    let later = times.iter().filter(|time| {
        let at = time.duration_since(first);
        at > PERIOD && at <= PERIOD * 4
    });
    let used = later.count();
    assert!(used >= 171, "{used} of 180 in three periods");
    for queue in &nodes.queues {
        queue.close().await;
    }
    let outstanding = nodes
        .database
        .sql("SELECT coalesce(sum(n), 0) FROM jobbell.permits")
        .await;
    assert_eq!(outstanding, ["0"], "all was used or returned");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rate_of_one_node_is_used_and_never_exceeded() {
    rate_over(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rate_over_two_nodes_is_used_and_never_exceeded() {
    rate_over(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rate_over_five_nodes_is_used_and_never_exceeded() {
    rate_over(5).await;
}

#[tokio::test]
async fn normal_mails_leave_the_urgent_share_of_a_shared_rate() {
    let Some(nodes) = Nodes::open(2).await else {
        return;
    };
    let sink = Sink::default();
    let end = Instant::now() + PERIOD / 2;
    let mut senders = JoinSet::new();
    for node in 0..2 {
        let rate = nodes.server(node).rate(CAP);
        senders.spawn(sink.clone().fill(rate, Lane::Normal, end));
    }
    senders.join_all().await;
    assert_eq!(sink.times().len(), 53);
    let rate = nodes.server(0).rate(CAP);
    sink.clone()
        .fill(rate, Lane::Urgent, Instant::now() + PERIOD / 4)
        .await;
    assert_eq!(sink.times().len(), 60);
}

#[tokio::test]
async fn permits_of_a_killed_node_count_for_one_more_period() {
    let Some(mut nodes) = Nodes::open(2).await else {
        return;
    };
    let rate = nodes.server(0).rate(CAP);
    let mut held = Vec::new();
    while held.len() < 20 {
        if let Ok(mut permit) = rate.reserve(Lane::Normal)
            && permit.granted().await.is_ok()
        {
            held.push(permit);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // A killed process drops nothing.
    std::mem::forget(held);
    drop(rate);
    nodes.kill(0).await;
    let (sink, killed) = (Sink::default(), Instant::now());
    let rate = nodes.server(0).rate(CAP);
    sink.clone()
        .fill(rate, Lane::Urgent, killed + PERIOD * 2)
        .await;
    let times = sink.times();
    let early = times
        .iter()
        .filter(|time| time.duration_since(killed) < PERIOD)
        .count();
    assert!(
        (33..=40).contains(&early),
        "{early}: 20 may have been sent, and a few were kept in advance"
    );
    assert!(times.len() >= 90, "{} in two periods", times.len());
}

#[tokio::test]
async fn changed_limit_counts_what_was_sent_before() {
    let Some(nodes) = Nodes::open(2).await else {
        return;
    };
    let small = RateCap {
        mails: 3,
        urgent: 0,
        per: Duration::from_secs(2),
    };
    let large = RateCap {
        mails: 5,
        per: Duration::from_hours(24),
        ..small
    };
    let sink = Sink::default();
    let steps = [
        (0, small, 1_500, 3),
        (1, large, 3_000, 5),
        (0, large, 1_000, 5),
    ];
    for (node, cap, millis, sum) in steps {
        let rate = nodes.server(node).rate(cap);
        let end = Instant::now() + Duration::from_millis(millis);
        sink.clone().fill(rate, Lane::Normal, end).await;
        assert_eq!(sink.times().len(), sum);
    }
}

#[tokio::test]
async fn outage_leaves_the_permits_in_hand() {
    let Some(nodes) = Nodes::open(1).await else {
        return;
    };
    let rate = nodes.server(0).rate(CAP);
    let sink = Sink::default();
    let burst = Instant::now() + Duration::from_millis(300);
    sink.clone().fill(rate.clone(), Lane::Normal, burst).await;
    let before = sink.times().len();
    nodes
        .database
        .sql("ALTER TABLE jobbell.permits RENAME TO away")
        .await;
    let end = Instant::now() + PERIOD;
    sink.clone().fill(rate.clone(), Lane::Normal, end).await;
    let during = sink.times().len();
    assert!(during <= 53, "{before} before and {during} after");
    nodes
        .database
        .sql("ALTER TABLE jobbell.away RENAME TO permits")
        .await;
    sink.clone().fill(rate, Lane::Normal, end + PERIOD).await;
    let times = sink.times();
    assert!(times.len() > during + 40 && most_within(PERIOD, &times) <= 60);
}

#[tokio::test]
async fn pause_of_one_node_is_kept_by_all_and_ended_by_one_probe() {
    let Some(mut nodes) = Nodes::open(5).await else {
        return;
    };
    let servers: Vec<_> = (0..5).map(|node| nodes.server(node)).collect();
    let watches: Vec<_> = servers
        .iter()
        .map(|server| server.breaker().watch())
        .collect();
    // All have polled once.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let pause = Duration::from_millis(1_500);
    servers[0].breaker().opened(pause, "421 closing");
    let opened = Instant::now();
    eventually("all know it", async || {
        watches.iter().all(|watch| watch.borrow().is_some())
    })
    .await;
    assert!(
        opened.elapsed() < Duration::from_secs(1),
        "{:?}",
        opened.elapsed()
    );
    let known = watches[4].borrow().clone().unwrap();
    assert_eq!((known.step, known.why.as_str()), (pause, "421 closing"));
    let probe = async || {
        let limit = Duration::from_mins(1);
        let ask = servers.iter().map(|server| server.breaker().probe(limit));
        let mut answers = Vec::new();
        for ask in ask {
            answers.push(ask.await);
        }
        answers
    };
    assert_eq!(probe().await, [Probe::Denied; 5], "the pause is not over");
    tokio::time::sleep(pause).await;
    let mut together = JoinSet::new();
    for server in servers.clone() {
        together.spawn(async move { server.breaker().probe(Duration::from_mins(1)).await });
    }
    let answers = together.join_all().await;
    let granted = answers
        .iter()
        .filter(|probe| **probe == Probe::Granted)
        .count();
    assert_eq!(granted, 1, "{answers:?}");
    eventually("the others know of the probe", async || {
        let probed = watches
            .iter()
            .filter(|watch| watch.borrow().as_ref().is_some_and(|pause| pause.is_probed));
        probed.count() == 4
    })
    .await;
    nodes.database.sql("UPDATE jobbell.nodes SET alive_until = 0 WHERE node = (SELECT prober FROM jobbell.server_state)").await;
    let granted = probe()
        .await
        .iter()
        .filter(|probe| **probe == Probe::Granted)
        .count();
    assert_eq!(granted, 1, "the node that probed has died");
    servers[0].breaker().closed();
    eventually("closed for all", async || {
        watches.iter().all(|watch| watch.borrow().is_none())
    })
    .await;
    assert_eq!(probe().await, [Probe::Closed; 5]);
    nodes.queues.clear();
}

#[tokio::test]
async fn seats_go_round_in_the_order_of_waiting() {
    let Some(nodes) = Nodes::open(3).await else {
        return;
    };
    let seats: Vec<_> = (0..3)
        .map(|node| nodes.server(node).seats(Lane::Normal, 2))
        .collect();
    let ask = async |node: usize, held, want| seats[node].exchange(held, want).await.unwrap();
    assert_eq!(ask(0, 0, 5).await, 2, "nobody else wants one");
    assert_eq!((ask(1, 0, 5).await, ask(2, 0, 1).await), (0, 0));
    let others = Others {
        nodes: 2,
        wanted: 6,
    };
    let mut watch = seats[0].others();
    eventually("node 0 learns it", async || {
        *watch.borrow_and_update() == others
    })
    .await;
    assert_eq!(seats[0].fair(others), 1);
    assert_eq!(ask(2, 0, 1).await, 0);
    assert_eq!(ask(1, 0, 5).await, 0);
    assert_eq!(ask(0, 1, 5).await, 1, "others wait");
    assert_eq!(ask(2, 0, 1).await, 0, "node 1 waits longer");
    assert_eq!(ask(1, 0, 5).await, 1, "its fair share");
    assert_eq!(ask(0, 0, 5).await, 0, "node 2 waits longer");
    assert_eq!(ask(2, 0, 1).await, 1);
    nodes.database.sql("UPDATE jobbell.nodes SET alive_until = 0 WHERE node = (SELECT min(node) FROM jobbell.seats WHERE held > 0)").await;
    assert!(seats[1].exchange(1, 1).await.is_err(), "it has lapsed");
    assert_eq!(ask(0, 0, 5).await, 1, "its connections are free");
}
