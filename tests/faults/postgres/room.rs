//! A database without room: a full disk, too many connections, or a role that may not log in.

use super::nodes::{Nodes, not_ready};
use crate::support::postgres::private::PrivateServer;
use crate::support::smtp_peer::SmtpPeer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disk_of_the_database_refuses_events_and_loses_none() {
    let Some(server) = PrivateServer::on_small_disk(160).await else {
        return;
    };
    let peer = SmtpPeer::builder().counting_only().start().await;
    let url = server.url();
    let nodes = Nodes::start("a full disk of the database", peer, &[&url, &url]).await;
    let producers = nodes.produce(6);
    producers.acknowledge(40).await;
    server.fill();
    for daemon in &nodes.daemons {
        not_ready(daemon).await;
    }
    server.free();
    server.restart_if_ended().await;
    nodes.are_ready().await;
    producers.acknowledge(40).await;
    let produced = producers.finish().await;
    assert!(produced.refused > 0, "{produced:?}");
    let figures = nodes.finish().await;
    assert_eq!(figures.extra, 0, "{figures}");
}

/// New connections are refused with 53300, then with 28P01; those there were have ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_connections_end_no_node() {
    const END: &str =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'bell'";
    let Some(server) = PrivateServer::start(&[]).await else {
        return;
    };
    server
        .sql("CREATE ROLE bell LOGIN PASSWORD 'secret'; GRANT CREATE ON DATABASE jobbell TO bell")
        .await;
    let url = server.url();
    let (_, place) = url.split_once('@').unwrap();
    let url = format!("postgres://bell:secret@{place}");
    let peer = SmtpPeer::builder().counting_only().start().await;
    let nodes = Nodes::start("refused connections", peer, &[&url, &url]).await;
    let producers = nodes.produce(4);
    for (change, reason, mend) in [
        ("CONNECTION LIMIT 0", "(53300)", "CONNECTION LIMIT -1"),
        (
            "PASSWORD 'other'",
            "check queue.url, the password",
            "PASSWORD 'secret'",
        ),
    ] {
        producers.acknowledge(20).await;
        server.sql(&format!("ALTER ROLE bell {change}")).await;
        server.sql(END).await;
        for daemon in &nodes.daemons {
            not_ready(daemon).await;
            daemon
                .logged(reason, |line| line.to_string().contains(reason))
                .await;
        }
        server.sql(&format!("ALTER ROLE bell {mend}")).await;
        nodes.are_ready().await;
    }
    producers.acknowledge(20).await;
    producers.finish().await;
    let figures = nodes.finish().await;
    assert_eq!(figures.extra, 0, "{figures}");
}
