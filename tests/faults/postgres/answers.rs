//! The answer to a statement is lost after its commit, by a proxy between a node and the database.

use std::time::Duration;

use serde_json::{Value, json};

use super::nodes::Nodes;
use crate::support::daemon::{Daemon, body, success};
use crate::support::postgres::proxy::Proxy;
use crate::support::postgres::{Database, eventually};
use crate::support::smtp_peer::{Act, At, Gate, SmtpPeer};

/// Parts of the statements of each verb.
const ENQUEUE: &str = "jobbell.enqueue(";
const CLAIM: &str = "jobbell.claim(";
const SETTLE: &str = "jobbell.settle(";
const STALE: &str = "jobbell.settle_stale(";
const CANCEL: &str = "DELETE FROM jobbell.due WHERE delivery = $3";
const HASTEN: &str = "UPDATE jobbell.due SET due_at = (SELECT now";
const QUEUE: &str = "SET state = 0, reason = NULL";
const BEAT: &str = "UPDATE jobbell.nodes n SET seen_at";
const GRANT: &str = "jobbell.grant_permits(";
const SEATS: &str = "jobbell.take_seats(";
const REGISTER: &str = "INSERT INTO jobbell.nodes";

/// Node a behind the proxy, and node b.
async fn behind_a_proxy(test: &'static str) -> Option<(Database, Proxy, Nodes)> {
    let database = Database::create().await?;
    let proxy = Proxy::to(database.server().port).await;
    let peer = SmtpPeer::start().await;
    let urls = [proxy.url(&database.url()), database.url()];
    let nodes = Nodes::start(test, peer, &[&urls[0], &urls[1]]).await;
    Some((database, proxy, nodes))
}

/// Posts an event with this id until it is accepted; a refusal is allowed while the node takes the
/// lost answer for an outage.
async fn post(nodes: &Nodes, id: &str) {
    let mut event = success("boss@example.org");
    event["id"] = json!(id);
    eventually("the event is accepted", async || {
        let (status, answer) = nodes.daemons[0].answer(&event).await;
        assert!(matches!(status, 202 | 503), "{status}: {answer}");
        status == 202
    })
    .await;
    nodes.oracle.promise(id, 1);
}

/// Runs a verb of an operator on a delivery.
async fn operate(daemon: &Daemon, delivery: &Value, verb: &str) -> (u16, Value) {
    let id = delivery["id"].as_str().unwrap();
    body(daemon.post(&format!("/v1/deliveries/{id}/{verb}"))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_whose_commit_answer_is_lost_is_stored_once() {
    let Some((_database, proxy, nodes)) = behind_a_proxy("lost answers to enqueues").await else {
        return;
    };
    for round in 1..=5 {
        nodes.are_ready().await;
        proxy.lose_answer(ENQUEUE);
        // The first answer: it is repeated inside.
        let id = format!("event-{round}");
        let mut event = success("boss@example.org");
        event["id"] = json!(id);
        let (status, answer) = nodes.daemons[0].answer(&event).await;
        assert_eq!(status, 202, "{answer}\n{}", nodes.daemons[0].log());
        assert_eq!(proxy.lost(), round);
        nodes.oracle.promise(&id, 1);
        nodes.are_ready().await;
        assert_eq!(nodes.daemons[1].answer(&event).await.0, 200);
    }
    let figures = nodes.finish().await;
    assert_eq!((figures.mails, figures.extra), (5, 0), "{figures}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_whose_claim_or_settlement_is_lost_is_sent_once() {
    let Some((_database, proxy, mut nodes)) = behind_a_proxy("lost answers to settlements").await
    else {
        return;
    };
    // Alone, so that all of them are this node's.
    nodes.daemons.remove(1).stop().await;
    let mut lost = 0;
    for (round, text) in [CLAIM, SETTLE, SETTLE, CLAIM, STALE]
        .into_iter()
        .enumerate()
    {
        let gate = Gate::new();
        let later = Act::reply("451 4.3.0 later").held(&gate);
        nodes.peer.once(At::Rcpt, later);
        post(&nodes, &format!("event-{round}")).await;
        gate.reached().await;
        proxy.lose_answer(text);
        lost += 1;
        if text == STALE {
            // It is only asked when a settlement is repeated.
            proxy.lose_answer(SETTLE);
            lost += 1;
        }
        gate.open();
        proxy.until_lost(lost).await;
    }
    let figures = nodes.finish().await;
    assert_eq!((figures.mails, figures.extra), (5, 0), "{figures}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancellation_or_retry_whose_answer_is_lost_is_answered_right() {
    let Some((_database, proxy, mut nodes)) = behind_a_proxy("lost answers to operators").await
    else {
        return;
    };
    for number in 0..2 {
        nodes.daemons[number].stop().await;
        nodes.configs[number].text("retry.initial", "1h");
        nodes.restart(number).await;
    }
    nodes.are_ready().await;
    let cases = [
        ("451 4.3.0 later", "queued", CANCEL, "cancel", "cancelled"),
        ("451 4.3.0 later", "queued", HASTEN, "retry", "sent"),
        ("550 5.1.1 nobody", "dead", QUEUE, "retry", "sent"),
    ];
    for (round, (reply, before, text, verb, after)) in cases.into_iter().enumerate() {
        nodes.peer.once(At::Rcpt, Act::reply(reply));
        let id = format!("event-{round}");
        post(&nodes, &id).await;
        let node = &nodes.daemons[0];
        let what = format!("{before} after an attempt");
        let delivery = node
            .deliveries(&id, &what, |all| {
                all[0]["state"] == before && all[0]["attempts"].as_array().unwrap().len() == 1
            })
            .await
            .remove(0);
        proxy.lose_answer(text);
        let (status, answer) = operate(node, &delivery, verb).await;
        assert_eq!(proxy.lost(), round + 1, "{text}");
        assert_eq!(status, 200, "{text}: {answer}\n{}", node.log());
        nodes.daemons[1].reached(&id, after).await;
        nodes.are_ready().await;
    }
    let figures = nodes.judge(0).await;
    assert_eq!((figures.mails, figures.extra), (2, 0), "{figures}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeat_and_registration_whose_answer_is_lost_keep_the_node() {
    let Some((database, proxy, mut nodes)) = behind_a_proxy("lost heartbeats").await else {
        return;
    };
    proxy.lose_answer(BEAT);
    post(&nodes, "event-1").await;
    proxy.until_lost(1).await;
    nodes.are_ready().await;
    nodes.daemons[0].stop().await;
    proxy.lose_answer(REGISTER);
    nodes.restart(0).await;
    nodes.are_ready().await;
    assert_eq!(proxy.lost(), 2);
    let named = database
        .sql("SELECT name FROM jobbell.nodes ORDER BY name")
        .await;
    assert_eq!(named, ["a", "b"]);
    post(&nodes, "event-2").await;
    let figures = nodes.finish().await;
    assert_eq!((figures.mails, figures.extra), (2, 0), "{figures}");
}

/// Permits and seats whose grant is lost are never given twice: the limits hold in every window.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold_when_the_answer_to_a_grant_is_lost() {
    const MAILS: usize = 60;
    const WINDOW: Duration = Duration::from_secs(1);
    let Some((_database, proxy, mut nodes)) = behind_a_proxy("lost answers to grants").await else {
        return;
    };
    for number in 0..2 {
        nodes.daemons[number].stop().await;
        nodes.configs[number]
            .text("smtp.rate_limit", "10/s")
            .set("smtp.max_connections", "2");
        nodes.restart(number).await;
    }
    nodes.are_ready().await;
    for text in [GRANT, SEATS, GRANT, SEATS, GRANT] {
        proxy.lose_answer(text);
    }
    for number in 0..MAILS {
        let id = format!("event-{number}");
        let mut event = success("boss@example.org");
        event["id"] = json!(id);
        eventually("the event is accepted", async || {
            nodes.daemons[number % 2].answer(&event).await.0 == 202
        })
        .await;
        nodes.oracle.promise(&id, 1);
    }
    let figures = nodes.judge(0).await;
    assert_eq!((figures.mails, figures.extra), (MAILS, 0), "{figures}");
    assert!(proxy.lost() >= 3, "{} lost", proxy.lost());
    let seen = nodes.peer.seen();
    assert!(seen.max_open <= 2, "{} open at a time", seen.max_open);
    let times: Vec<_> = seen.ledger.iter().map(|entry| entry.at).collect();
    for (index, first) in times.iter().enumerate() {
        let within = times[index..]
            .iter()
            .take_while(|time| time.duration_since(*first) <= WINDOW);
        assert!(within.count() <= 10);
    }
}

/// The node is being drained while the answer to an enqueue is lost: what the first commit has claimed
/// is still this node's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_node_ends_what_it_has_stored() {
    const DRAIN: &str = "UPDATE jobbell.nodes SET draining = true WHERE name = 'a'";
    let Some((database, proxy, nodes)) = behind_a_proxy("lost answers while draining").await else {
        return;
    };
    // Before the commit, and after it: then the repetition finds it.
    for (round, is_before) in [(1, false), (2, true)] {
        nodes.are_ready().await;
        proxy.lose_answer(ENQUEUE);
        let drain = async {
            if !is_before {
                proxy.until_lost(round).await;
            }
            database.sql(DRAIN).await;
        };
        let id = format!("event-{round}");
        let mut event = success("boss@example.org");
        event["id"] = json!(id);
        let posting = nodes.daemons[0].answer(&event);
        let (status, answer) = if is_before {
            drain.await;
            posting.await
        } else {
            tokio::join!(drain, posting).1
        };
        let log = nodes.daemons[0].log();
        assert_eq!(status, 202, "{answer}\n{log}");
        nodes.oracle.promise(&id, 1);
        nodes.daemons[1].reached(&id, "sent").await;
        // The node notices, and refuses; another takes over.
        super::nodes::not_ready(&nodes.daemons[0]).await;
        let (status, answer) = nodes.daemons[0].answer(&success("boss@example.org")).await;
        assert_eq!(status, 503, "{answer}");
        nodes.post(1).await;
        database
            .sql("UPDATE jobbell.nodes SET draining = false")
            .await;
    }
    nodes.are_ready().await;
    let figures = nodes.finish().await;
    assert_eq!((figures.mails, figures.extra), (4, 0), "{figures}");
}
