//! `PgBouncer` in transaction mode between the nodes and the database.

use super::nodes::{Nodes, config, ready};
use crate::support::postgres::Database;
use crate::support::postgres::bouncer::PgBouncer;
use crate::support::postgres::eventually;
use crate::support::smtp_peer::SmtpPeer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_share_few_connections_of_a_pooler() {
    let Some(database) = Database::create().await else {
        return;
    };
    let Some(bouncer) = PgBouncer::to(database.server(), 4).await else {
        return;
    };
    let peer = SmtpPeer::builder().counting_only().start().await;
    let url = bouncer.url(&database.url());
    let mut nodes = Nodes::start("PgBouncer", peer, &[&url, &url]).await;
    // One of the nodes also has a way around the pooler, for LISTEN.
    let mut third = config("c", &nodes.peer, &url);
    third.text("queue.listen_url", &database.url());
    let daemon = third.start().await;
    ready(&daemon).await;
    nodes.configs.push(third);
    nodes.daemons.push(daemon);
    let producers = nodes.produce(6);
    for restarts in 0..3 {
        producers.acknowledge(40).await;
        if restarts > 0 {
            bouncer.stop();
            bouncer.start().await;
            nodes.are_ready().await;
        }
    }
    let backends = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND query NOT ILIKE 'LISTEN%'";
    eventually("few connections", async || {
        let open: usize = database.sql(backends).await[0].parse().unwrap();
        open <= 4
    })
    .await;
    // The node that is killed is replaced by way of the pooler as well.
    nodes.daemons[0].kill().await;
    nodes.restart(0).await;
    producers.moved(0, &nodes.daemons[0]);
    producers.acknowledge(40).await;
    producers.finish().await;
    nodes.finish().await;
}
