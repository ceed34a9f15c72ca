//! The database is stopped in order, at once, or killed, and started again.

use std::sync::Mutex;
use std::time::Duration;

use super::nodes::{Nodes, not_ready};
use crate::support::figures::{number, record};
use crate::support::postgres::private::PrivateServer;
use crate::support::smtp_peer::{Act, At, Gate, SmtpPeer};

/// Default of `JOBBELL_TEST_SERVER_STOPS`.
const ROUNDS: u64 = 3;

/// How a server ends.
const ENDS: [&str; 3] = ["fast", "immediate", "kill -9"];

async fn end(server: &PrivateServer, how: &'static str) {
    if how == "kill -9" {
        server.kill().await;
    } else {
        server.stop(how).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_outage_of_the_database_loses_and_repeats_nothing() {
    let Some(server) = PrivateServer::start(&[]).await else {
        return;
    };
    let rounds = number("JOBBELL_TEST_SERVER_STOPS").unwrap_or(ROUNDS);
    let dice = Mutex::new(fastrand::Rng::new());
    let peer = SmtpPeer::builder()
        .counting_only()
        .ruled(move |moment| {
            // Many mails are under way when the server ends.
            let time = dice
                .lock()
                .unwrap()
                .u64(..if moment.at == At::Dot { 300 } else { 20 });
            Act::Usual.after(Duration::from_millis(time))
        })
        .start()
        .await;
    let url = server.url();
    let nodes = Nodes::start("stops of the database", peer, &[&url, &url]).await;
    let producers = nodes.produce(6);
    let mut dice = nodes.oracle.dice(0);
    for (_, how) in (0..rounds).zip(ENDS.into_iter().cycle()) {
        producers.acknowledge(dice.usize(20..60)).await;
        end(&server, how).await;
        for daemon in &nodes.daemons {
            not_ready(daemon).await;
        }
        // Mails end and settlements wait meanwhile.
        tokio::time::sleep(Duration::from_millis(dice.u64(..2_000))).await;
        server.restart().await;
        nodes.are_ready().await;
    }
    producers.acknowledge(20).await;
    let produced = producers.finish().await;
    assert!(produced.refused > 0, "{produced:?}");
    let figures = nodes.finish().await;
    assert_eq!(figures.extra, 0, "{figures}");
    record(&format!(
        "stops of the database: {rounds} rounds, {} requests refused, the slowest answer after {:.1} s",
        produced.refused,
        produced.slowest.as_secs_f64()
    ));
}

/// The fence ends while the database is away: what is before its final dot is not sent by its node,
/// and what is past the dot is recorded when the database is back.
pub(super) async fn outage_longer_than_the_lease_loses_nothing() {
    let Some(server) = PrivateServer::start(&[]).await else {
        return;
    };
    let peer = SmtpPeer::builder().without("PIPELINING").start().await;
    let url = server.url();
    let nodes = Nodes::start("an outage longer than the lease", peer, &[&url, &url]).await;
    let gates = [(At::Rcpt, Gate::new()), (At::Dot, Gate::new())];
    for (at, gate) in &gates {
        nodes.peer.once(*at, Act::Usual.held(gate));
        nodes.post(0).await;
        gate.reached().await;
    }
    server.stop("fast").await;
    let producers = nodes.produce(2);
    // The lease lasts 30 s.
    tokio::time::sleep(Duration::from_secs(32)).await;
    for (_, gate) in &gates {
        gate.open();
    }
    let is_over = |seen: &crate::support::smtp_peer::Seen| seen.mails.len() == 1;
    nodes.peer.until("the mail past its dot", is_over).await;
    assert_eq!(nodes.peer.seen().count("DATA"), 1, "the fence is over");
    server.restart().await;
    nodes.are_ready().await;
    producers.acknowledge(4).await;
    let produced = producers.finish().await;
    assert!(produced.refused > 0, "{produced:?}");
    let figures = nodes.finish().await;
    assert!(figures.extra <= 1, "{figures}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_starts_without_its_database_and_waits_for_it() {
    let Some(server) = PrivateServer::start(&[]).await else {
        return;
    };
    server.stop("fast").await;
    let peer = SmtpPeer::start().await;
    let config = super::nodes::config("a", &peer, &server.url());
    let daemon = config.start().await;
    not_ready(&daemon).await;
    let event = crate::support::daemon::success("boss@example.org");
    let answer = daemon.post("/v1/events").json(&event).send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    server.restart().await;
    super::nodes::ready(&daemon).await;
    daemon.accept(&event).await;
    peer.until("the mail", |seen| seen.mails.len() == 1).await;
}
