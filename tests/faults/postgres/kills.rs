//! `kill -9` of one of two nodes.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::nodes::Nodes;
use crate::load::pause;
use crate::oracle::drained;
use crate::support::figures::{number, record};
use crate::support::postgres::Database;
use crate::support::postgres::proxy::Proxy;
use crate::support::smtp_peer::{Act, At, SmtpPeer};

/// Default of `JOBBELL_TEST_NODE_KILLS`.
const ROUNDS: u64 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_of_nodes_lose_no_mail() {
    let Some(database) = Database::create().await else {
        return;
    };
    let rounds = number("JOBBELL_TEST_NODE_KILLS").unwrap_or(ROUNDS);
    let dice = Mutex::new(fastrand::Rng::new());
    let peer = SmtpPeer::builder()
        .counting_only()
        .ruled(move |moment| pause(moment.at, &mut dice.lock().unwrap()))
        .start()
        .await;
    let url = database.url();
    let mut nodes = Nodes::start("kill -9 of nodes", peer, &[&url, &url]).await;
    let producers = nodes.produce(4);
    let mut dice = nodes.oracle.dice(0);
    for _ in 0..rounds {
        let victim = dice.usize(..2);
        producers.acknowledge(dice.usize(1..30)).await;
        nodes.daemons[victim].kill().await;
        // Sometimes the other one works alone for a moment.
        if dice.bool() {
            producers.acknowledge(dice.usize(1..10)).await;
        }
        nodes.restart(victim).await;
        producers.moved(victim, &nodes.daemons[victim]);
    }
    let produced = producers.finish().await;
    let figures = nodes.finish().await;
    record(&format!(
        "kill -9 of nodes: {rounds} rounds, {} extra copies, {} requests refused",
        figures.extra, produced.refused
    ));
}

/// Whoever is killed and stays away: another node sends its mails within 45 s and the pause for
/// uncertain ones.
pub(super) async fn mails_of_a_killed_node_are_sent_by_another() {
    const MOST: Duration = Duration::from_secs(45);
    const MAILS: usize = 4;
    let Some(database) = Database::create().await else {
        return;
    };
    let peer = SmtpPeer::start().await;
    // Even if the answer is lost when the other takes them over. The pause is retry.initial, 100 ms.
    let proxy = Proxy::to(database.server().port).await;
    let urls = [database.url(), proxy.url(&database.url())];
    let test = "a killed node that stays away";
    let mut nodes = Nodes::start(test, peer, &[&urls[0], &urls[1]]).await;
    proxy.lose_answer("DELETE FROM jobbell.nodes WHERE node = ANY");
    // Two before their data, and two that the server has taken.
    for act in [
        (At::Rcpt, Act::Silence),
        (At::Rcpt, Act::Silence),
        (At::Dot, Act::Silence.kept()),
        (At::Dot, Act::Silence.kept()),
    ] {
        nodes.peer.once(act.0, act.1);
        let (before, word) = (
            nodes.peer.seen(),
            if act.0 == At::Rcpt { "RCPT" } else { "DATA" },
        );
        nodes.post(0).await;
        let held = |seen: &crate::support::smtp_peer::Seen| {
            seen.count(word) > before.count(word)
                && (act.0 == At::Rcpt || seen.ledger.len() > before.ledger.len())
        };
        nodes.peer.until("the mail is under way", held).await;
    }
    let killed = Instant::now();
    nodes.daemons[0].kill().await;
    nodes.daemons.remove(0);
    let waiting = async {
        while nodes.peer.ledger().len() < MAILS + 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(MOST, waiting)
        .await
        .unwrap_or_else(|_| {
            panic!("not sent within {MOST:?}: {}", nodes.daemons[0].log());
        });
    let took = killed.elapsed();
    drained(&nodes.daemons[0]).await;
    let figures = nodes.finish().await;
    assert_eq!(figures.extra, 2, "those that the server had taken");
    assert_eq!(proxy.lost(), 1);
    record(&format!(
        "mails of a killed node were sent by another after {:.1} s",
        took.as_secs_f64()
    ));
}
