//! Programs and schemas of different versions.

use super::nodes::{Nodes, config, not_ready};
use crate::support::postgres::Database;
use crate::support::smtp_peer::SmtpPeer;

const NEWER: &str = "needs a newer jobbell";

/// A schema of a later version, which programs since version `oldest` can use.
fn later(oldest: i32) -> String {
    format!("INSERT INTO jobbell.schema_version VALUES (99, {oldest}, '\\x00', now())")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schema_that_needs_a_newer_program_is_refused() {
    let Some(database) = Database::create().await else {
        return;
    };
    let peer = SmtpPeer::start().await;
    let url = database.url();
    let nodes = Nodes::start("a newer schema", peer, &[&url]).await;
    nodes.post(0).await;
    nodes
        .peer
        .until("the mail", |seen| seen.mails.len() == 1)
        .await;
    database.sql(&later(99)).await;
    let other = config("b", &nodes.peer, &url);
    for command in ["serve", "check"] {
        let refused = other.run(&[command]).await;
        assert_eq!(refused.code, Some(78), "{command}: {refused:?}");
        assert!(refused.all().contains(NEWER), "{command}: {refused:?}");
    }
    // A node that runs notices when it connects again, says so, and waits.
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    database.sql(end).await;
    let node = &nodes.daemons[0];
    not_ready(node).await;
    node.says(NEWER).await;
    let (status, answer) = node
        .answer(&crate::support::daemon::success("boss@example.org"))
        .await;
    assert_eq!(status, 503, "{answer}");
    database
        .sql("DELETE FROM jobbell.schema_version WHERE version = 99")
        .await;
    nodes.are_ready().await;
    nodes.post(0).await;
    nodes.finish().await;
}

/// The next version has expanded the schema: this one works with it, also when it starts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schema_that_admits_this_program_is_used() {
    let Some(database) = Database::create().await else {
        return;
    };
    let peer = SmtpPeer::start().await;
    let url = database.url();
    let mut nodes = Nodes::start("an expanded schema", peer, &[&url, &url]).await;
    database.sql(&later(1)).await;
    database
        .sql("ALTER TABLE jobbell.due ADD COLUMN later integer; ALTER TABLE jobbell.events ADD COLUMN later text")
        .await;
    nodes.post(0).await;
    nodes.daemons[1].stop().await;
    nodes.restart(1).await;
    nodes.are_ready().await;
    nodes.post(1).await;
    nodes.finish().await;
}

/// Several nodes start on an empty database at the same time: one of them migrates it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_database_is_migrated_once() {
    let Some(database) = Database::create().await else {
        return;
    };
    let peer = SmtpPeer::start().await;
    let url = database.url();
    let configs = ["a", "b", "c", "d"].map(|name| config(name, &peer, &url));
    let [a, b, c, d] = &configs;
    let daemons = tokio::join!(a.start(), b.start(), c.start(), d.start());
    for daemon in [&daemons.0, &daemons.1, &daemons.2, &daemons.3] {
        super::nodes::ready(daemon).await;
    }
    let versions = database
        .sql("SELECT count(*) FROM jobbell.schema_version")
        .await;
    assert_eq!(versions, ["1"]);
}
