//! Another server becomes the primary.

use std::time::Duration;

use super::nodes::{Nodes, not_ready};
use crate::support::postgres::eventually;
use crate::support::postgres::private::PrivateServer;
use crate::support::smtp_peer::SmtpPeer;

const STANDBY: &str = "second";

/// A primary with a synchronous standby, and nodes that know both.
async fn pair(test: &'static str) -> Option<(PrivateServer, PrivateServer, Nodes)> {
    let primary = PrivateServer::start(&[]).await?;
    let standby = primary.standby(STANDBY).await;
    primary.set("synchronous_standby_names", STANDBY).await;
    let url = primary.url_with(&[&standby]) + "?target_session_attrs=read-write";
    let peer = SmtpPeer::builder().counting_only().start().await;
    let nodes = Nodes::start(test, peer, &[&url, &url]).await;
    Some((primary, standby, nodes))
}

/// The primary dies. Its synchronous standby has every acknowledged event.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promoted_standby_has_every_acknowledged_event() {
    let Some((primary, standby, nodes)) = pair("a promoted standby").await else {
        return;
    };
    let producers = nodes.produce(4);
    producers.acknowledge(40).await;
    primary.kill().await;
    standby.promote().await;
    nodes.are_ready().await;
    producers.acknowledge(40).await;
    producers.finish().await;
    let figures = nodes.finish().await;
    assert_eq!(figures.extra, 0, "{figures}");
}

/// The old primary stays up and answers, but takes no writes (25006).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demoted_primary_is_left_for_the_new_one() {
    let Some((primary, standby, nodes)) = pair("a demoted primary").await else {
        return;
    };
    let producers = nodes.produce(4);
    producers.acknowledge(40).await;
    primary.set("default_transaction_read_only", "on").await;
    for daemon in &nodes.daemons {
        not_ready(daemon).await;
    }
    eventually("the standby has everything", async || {
        primary
            .sql("SELECT replay_lsn = pg_current_wal_lsn() FROM pg_stat_replication")
            .await
            == ["t"]
    })
    .await;
    standby.promote().await;
    nodes.are_ready().await;
    producers.acknowledge(40).await;
    let produced = producers.finish().await;
    assert!(produced.refused > 0, "{produced:?}");
    let figures = nodes.finish().await;
    assert_eq!(figures.extra, 0, "{figures}");
}

/// The standby is away: the commit waits, and nothing is acknowledged, even if somebody ends the wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_acknowledged_without_the_synchronous_standby() {
    const END: &str =
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    let Some((primary, standby, nodes)) = pair("a standby that is away").await else {
        return;
    };
    standby.stop("fast").await;
    let event = crate::support::daemon::success("boss@example.org");
    let ending = async {
        loop {
            primary.sql(END).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let (status, answer) = tokio::select! {
        answered = nodes.daemons[0].answer(&event) => answered,
        () = ending => unreachable!(),
    };
    assert_eq!(status, 503, "{answer}");
    standby.restart().await;
    nodes.are_ready().await;
    let producers = nodes.produce(2);
    producers.acknowledge(10).await;
    producers.finish().await;
    nodes.finish().await;
}
