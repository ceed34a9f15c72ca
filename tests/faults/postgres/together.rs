//! Two nodes do the same at the same time.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::nodes::{Nodes, config};
use crate::oracle::{all_deliveries, drained};
use crate::support::daemon::{Daemon, body, success};
use crate::support::postgres::Database;
use crate::support::smtp_peer::{Act, At, Moment, SmtpPeer};

async fn two(test: &'static str, peer: SmtpPeer) -> Option<(Database, Nodes)> {
    let database = Database::create().await?;
    let url = database.url();
    let nodes = Nodes::start(test, peer, &[&url, &url]).await;
    Some((database, nodes))
}

fn event(id: &str, prompt: &str) -> Value {
    let mut event = success("boss@example.org");
    (event["id"], event["prompt"]) = (json!(id), json!(prompt));
    event
}

/// Posts events in this order, as lines.
async fn lines(daemon: &Daemon, events: &[Value], key: Option<&str>) -> (u16, Value) {
    let text: Vec<_> = events.iter().map(Value::to_string).collect();
    let mut request = daemon
        .post("/v1/events")
        .header("content-type", "application/x-ndjson")
        .body(text.join("\n"));
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    body(request).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn same_event_at_two_nodes_is_stored_once() {
    let Some((_database, nodes)) =
        two("the same events at two nodes", SmtpPeer::start().await).await
    else {
        return;
    };
    let [a, b] = [&nodes.daemons[0], &nodes.daemons[1]];
    for round in 0..40 {
        let id = format!("same-{round}");
        let same = event(&id, "a kitten");
        let (one, other) = tokio::join!(a.answer(&same), b.answer(&same));
        let mut statuses = [one.0, other.0];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 202], "{one:?} {other:?}");
        nodes.oracle.promise(&id, 1);
        // With other content, the second one is refused.
        let id = format!("other-{round}");
        let (one, other) = (event(&id, "a kitten"), event(&id, "a puppy"));
        let (one, other) = tokio::join!(a.answer(&one), b.answer(&other));
        let mut statuses = [one.0, other.0];
        statuses.sort_unstable();
        assert_eq!(statuses, [202, 409], "{one:?} {other:?}");
        nodes.oracle.promise(&id, 1);
        // Many of them in opposite orders, under one key.
        let ids: Vec<_> = (0..10)
            .map(|place| format!("many-{round}-{place}"))
            .collect();
        let many: Vec<_> = ids.iter().map(|id| event(id, "kittens")).collect();
        let reversed: Vec<_> = many.iter().rev().cloned().collect();
        let key = format!("key-{round}");
        let (one, other) = tokio::join!(lines(a, &many, Some(&key)), lines(b, &many, Some(&key)));
        let mut statuses = [one.0, other.0];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 202], "{one:?} {other:?}");
        let (one, other) = tokio::join!(lines(a, &many, None), lines(b, &reversed, None));
        assert_eq!((one.0, other.0), (200, 200), "{one:?} {other:?}");
        for id in &ids {
            nodes.oracle.promise(id, 1);
        }
        let fresh: Vec<_> = (0..10)
            .map(|place| event(&format!("fresh-{round}-{place}"), "kittens"))
            .collect();
        let reversed: Vec<_> = fresh.iter().rev().cloned().collect();
        let (one, other) = tokio::join!(lines(a, &fresh, None), lines(b, &reversed, None));
        let mut statuses = [one.0, other.0];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 202], "{one:?} {other:?}");
        for place in 0..10 {
            nodes.oracle.promise(&format!("fresh-{round}-{place}"), 1);
        }
    }
    let figures = nodes.finish().await;
    assert_eq!(figures.extra, 0, "{figures}");
}

/// PostgreSQL stores no text with U+0000: an event or a reply with one fails nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zero_character_in_an_event_or_a_reply_fails_nothing_else() {
    let reply = b"250 2.0.0 kept\0as 1\r\n".to_vec();
    let peer = SmtpPeer::builder()
        .once(
            At::Rcpt,
            Act::Reply(b"451 4.3.0 later\0please\r\n".to_vec()),
        )
        .always(At::Dot, Act::Reply(reply))
        .start()
        .await;
    let Some((_database, nodes)) = two("U+0000", peer).await else {
        return;
    };
    let node = &nodes.daemons[0];
    let mut answers = BTreeMap::new();
    let whole = event("whole", "kitten\0kitten");
    for (name, change) in [
        ("prompt", json!({ "prompt": "kitten\0kitten" })),
        (
            "error",
            json!({ "status": "failed", "error": "out\0of memory" }),
        ),
        ("source", json!({ "source": "app\0" })),
        ("to", json!({ "to": "bo\0ss@example.org" })),
        ("id", json!({ "id": "i\0d" })),
        ("job_id", json!({ "job_id": "job\0" })),
        ("params", json!({ "params": { "seed\0": "1\u{0}2" } })),
    ] {
        let mut event = event(&format!("event-{name}"), "a kitten");
        for (key, value) in change.as_object().unwrap() {
            event[key] = value.clone();
        }
        let (status, answer) = node.answer(&event).await;
        assert!(
            matches!(status, 202 | 400 | 422),
            "{name}: {status} {answer}"
        );
        answers.insert(name, status);
        if status == 202 {
            nodes.oracle.promise(answer["id"].as_str().unwrap(), 1);
        }
    }
    // Beside others in one request.
    let (status, answer) = lines(
        node,
        &[event("before", "kitten"), whole, event("after", "kitten")],
        None,
    )
    .await;
    assert!(matches!(status, 202 | 400 | 422), "{status} {answer}");
    if status == 202 {
        for id in ["before", "whole", "after"] {
            nodes.oracle.promise(id, 1);
        }
    }
    println!("{answers:?}");
    let (status, _) = body(node.get("/v1/events/a%00b")).await;
    assert!(matches!(status, 400 | 404), "{status}");
    let (status, _) = body(node.get("/v1/deliveries?to=a%00b%40example.org")).await;
    assert!(matches!(status, 200 | 422), "{status}");
    nodes.finish().await;
}

/// Operators cancel and retry the deliveries of large events on both nodes while these are being sent
/// and others arrive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verbs_for_many_deliveries_run_beside_live_nodes() {
    const EVENTS: usize = 6;
    const RECIPIENTS: usize = 50;
    let refuses = |moment: Moment<'_>| match moment.at {
        At::Rcpt if moment.line.contains("nobody") => Act::reply("550 5.1.1 no such user"),
        At::Dot => Act::Usual.after(std::time::Duration::from_millis(100)),
        _ => Act::Usual,
    };
    let peer = SmtpPeer::builder()
        .counting_only()
        .ruled(refuses)
        .start()
        .await;
    let Some((database, nodes)) = two("verbs for many deliveries", peer).await else {
        return;
    };
    let producers = nodes.produce(1);
    for number in 0..EVENTS {
        let to: Vec<_> = (0..RECIPIENTS)
            .map(|reader| {
                let name = if reader % 3 == 0 { "nobody" } else { "reader" };
                format!("{name}{reader}@example.org")
            })
            .collect();
        let id = format!("large-{number}");
        let event = json!({ "id": id, "status": "succeeded", "to": to });
        let (status, answer) = nodes.daemons[number % 2].answer(&event).await;
        assert_eq!(status, 202, "{answer}");
        nodes.oracle.promise(&id, RECIPIENTS);
    }
    let cli = config("cli", &nodes.peer, &database.url());
    let run = async |node: usize, verb: &str, id: &str| {
        let url = format!("http://{}", nodes.daemons[node].address());
        let done = cli.run(&["queue", verb, id, "--url", &url]).await;
        // 1: some of them have ended already.
        assert!(matches!(done.code, Some(0 | 1)), "{done:?}");
        assert!(!done.all().contains("deadlock"), "{done:?}");
    };
    // The last ones wait longest.
    for number in (0..EVENTS).rev() {
        let verbs = [
            ["cancel", "cancel"],
            ["cancel", "retry"],
            ["retry", "retry"],
        ][(EVENTS - 1 - number) % 3];
        let id = format!("large-{number}");
        tokio::join!(run(0, verbs[0], &id), run(1, verbs[1], &id));
    }
    producers.acknowledge(30).await;
    producers.finish().await;
    drained(&nodes.daemons[0]).await;
    let figures = nodes.judge(0).await;
    let states = all_deliveries(&nodes.daemons[0]).await;
    let of = |state: &str| states.iter().filter(|one| one["state"] == state).count();
    println!(
        "{} sent, {} cancelled, {} dead",
        of("sent"),
        of("cancelled"),
        of("dead")
    );
    assert_eq!(figures.extra, 0, "{figures}");
    assert_eq!(figures.mails, of("sent"), "{figures}");
    assert!(of("cancelled") > 0, "the operators were in time");
    for daemon in &nodes.daemons {
        let log = daemon.log();
        assert!(!log.contains("deadlock"), "{log}");
    }
}
