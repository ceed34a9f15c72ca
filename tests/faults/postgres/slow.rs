//! A database that is slow, or that nothing is heard of any more.

use std::time::{Duration, Instant};

use serde_json::json;

use super::nodes::{Nodes, not_ready, ready};
use crate::support::daemon::{body, success};
use crate::support::postgres::Database;
use crate::support::postgres::proxy::{Mode, Proxy};
use crate::support::smtp_peer::{Act, At, SmtpPeer};

/// How long a verb takes at most, and a little for the request itself.
const VERB: Duration = Duration::from_secs(11);

/// Two nodes, each behind the same proxy.
async fn behind_a_proxy(test: &'static str) -> Option<(Database, Proxy, Nodes)> {
    let database = Database::create().await?;
    let proxy = Proxy::to(database.server().port).await;
    let peer = SmtpPeer::builder()
        .always(At::Dot, Act::Usual.after(Duration::from_millis(50)))
        .start()
        .await;
    let url = proxy.url(&database.url());
    let nodes = Nodes::start(test, peer, &[&url, &url]).await;
    Some((database, proxy, nodes))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_database_slows_producers_within_their_limit() {
    let Some((_database, proxy, nodes)) = behind_a_proxy("a slow database").await else {
        return;
    };
    // Each answer is asserted to arrive within 15 s.
    let producers = nodes.produce(16);
    producers.acknowledge(10).await;
    for millis in [200, 1_500, 6_000] {
        proxy.set(Mode::Delay(Duration::from_millis(millis)));
        let begun = Instant::now();
        for path in ["/v1/deliveries", "/v1/stats"] {
            let (status, answer) = body(nodes.daemons[0].get(path)).await;
            assert!(matches!(status, 200 | 503), "{status}: {answer}");
        }
        assert!(begun.elapsed() < VERB * 2, "{:?}", begun.elapsed());
        if millis == 6_000 {
            not_ready(&nodes.daemons[0]).await;
        }
    }
    proxy.set(Mode::Pass);
    nodes.are_ready().await;
    producers.acknowledge(20).await;
    producers.finish().await;
    nodes.finish().await;
}

/// Connections hang, and neither end learns of it. It takes less than the lease, so no mail is sent
/// twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_database_is_noticed_and_repeats_no_mail() {
    let Some((_database, proxy, nodes)) = behind_a_proxy("a silent database").await else {
        return;
    };
    nodes
        .peer
        .once(At::Rcpt, Act::reply("550 5.1.1 no such user"));
    let id = nodes.post(0).await;
    let delivery = nodes.daemons[0].reached(&id, "dead").await.remove(0);
    let producers = nodes.produce(16);
    producers.acknowledge(10).await;
    proxy.set(Mode::BlackHole);
    let begun = Instant::now();
    let path = format!("/v1/deliveries/{}/retry", delivery["id"].as_str().unwrap());
    let operate = async {
        let answer = body(nodes.daemons[0].post(&path)).await;
        (answer, begun.elapsed())
    };
    let post = async {
        let answer = body(
            nodes.daemons[1]
                .post("/v1/events")
                .json(&success("boss@example.org")),
        )
        .await;
        (answer, begun.elapsed())
    };
    let (operated, posted) = tokio::join!(operate, post);
    assert_eq!(operated.0.0, 503, "{operated:?}");
    assert!(operated.1 < VERB, "{operated:?}");
    assert_eq!(posted.0.0, 503, "{posted:?}");
    assert!(posted.1 < Duration::from_secs(15), "{posted:?}");
    for daemon in &nodes.daemons {
        not_ready(daemon).await;
    }
    proxy.set(Mode::Pass);
    nodes.are_ready().await;
    producers.acknowledge(20).await;
    producers.finish().await;
    // As the event above may be stored: its producer was not told.
    let (status, _) = body(nodes.daemons[0].post(&path)).await;
    assert!(matches!(status, 200 | 429), "{status}");
    let figures = nodes.judge(0).await;
    assert_eq!(figures.extra, 0, "{figures}");
    assert_eq!(
        figures.stats["sent"], figures.stats["accepted"],
        "{figures}"
    );
}

/// One node hangs, and the other goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_without_its_database_leaves_the_others_alone() {
    let Some(database) = Database::create().await else {
        return;
    };
    let proxy = Proxy::to(database.server().port).await;
    let urls = [proxy.url(&database.url()), database.url()];
    let peer = SmtpPeer::start().await;
    let nodes = Nodes::start("one silent link", peer, &[&urls[0], &urls[1]]).await;
    proxy.set(Mode::BlackHole);
    not_ready(&nodes.daemons[0]).await;
    let mut event = success("boss@example.org");
    for number in 0..20 {
        event["id"] = json!(format!("event-{number}"));
        nodes.oracle.post(&nodes.daemons[1], &event).await;
    }
    proxy.set(Mode::Pass);
    ready(&nodes.daemons[0]).await;
    let figures = nodes.finish().await;
    assert_eq!((figures.mails, figures.extra), (20, 0), "{figures}");
}
