//! Commands on a queue in PostgreSQL, without a daemon on this machine.

use serde_json::json;

use crate::support::postgres::Database;
use crate::support::postgres::private::PrivateServer;
use crate::support::smtp_peer::SmtpPeer;
use crate::support::test_config::{Finished, TestConfig};

/// A machine with this database in its configuration. No daemon listens at its address.
fn machine(peer: &SmtpPeer, url: &str) -> TestConfig {
    let mut config = TestConfig::new(peer);
    let listen = format!("unix:{}", config.path().join("nobody.sock").display());
    config.text("queue.url", url).text("server.listen", &listen);
    config
}

fn ok(finished: Finished) -> Finished {
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    finished
}

#[tokio::test]
async fn events_go_into_the_database_and_are_managed_there() {
    let Some(database) = Database::create().await else {
        return;
    };
    let peer = SmtpPeer::start().await;
    let config = machine(&peer, &database.url());
    let missing = config.run(&["queue", "list"]).await;
    assert_eq!(missing.code, Some(1), "{missing:#?}");
    assert!(missing.err.contains("has no queue yet"), "{}", missing.err);

    let event = [
        "event",
        "--status",
        "failed",
        "--id",
        "e1",
        "--to",
        "a@example.org",
    ];
    let first = ok(config.run(&event).await);
    assert_eq!(first.out, "accepted: e1\n");
    let again = ok(config.run(&event).await);
    assert!(
        again.out.contains("e1") && again.out != first.out,
        "{}",
        again.out
    );
    let other = config
        .run(&[
            "event",
            "--status",
            "succeeded",
            "--id",
            "e1",
            "--to",
            "a@example.org",
        ])
        .await;
    assert_eq!(other.code, Some(1), "{other:#?}");
    assert!(other.err.contains("409"), "{}", other.err);
    let lines = "{\"id\":\"e2\",\"status\":\"succeeded\",\"to\":\"b@example.org\"}\n{\"id\":\"e3\",\"status\":\"done\",\"to\":\"c@example.org\"}\n";
    ok(config.run_with(&["event", "-"], lines).await);
    let bad = config
        .run_with(&["event", "-"], "{\"status\":\"unheard-of\"}")
        .await;
    assert!(
        bad.code == Some(1) && bad.err.contains("#/status"),
        "{bad:#?}"
    );
    let ran = ok(config
        .run(&["run", "--id", "e4", "--to", "d@example.org", "--", "true"])
        .await);
    assert_eq!(ran.err, "");

    let list = ok(config.run(&["queue", "--json", "list"]).await).json();
    let ids: Vec<_> = (list["deliveries"].as_array().unwrap().iter())
        .map(|delivery| delivery["event_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["e4", "e3", "e2", "e1"]);
    let stats = ok(config.run(&["queue", "--json", "stats"]).await).json();
    assert_eq!(
        (&stats["queued"], &stats["balanced"]),
        (&json!(4), &json!(true))
    );
    ok(config.run(&["queue", "cancel", "e2"]).await);
    ok(config.run(&["queue", "cancel", "e3"]).await);
    ok(config.run(&["queue", "retry", "e3"]).await);
    let shown = ok(config.run(&["queue", "--json", "show", "e2"]).await).json();
    assert_eq!(shown["deliveries"][0]["state"], "cancelled");

    // A node on another machine sends them.
    let mut node = TestConfig::new(&peer);
    node.text("queue.url", &database.url());
    let mut daemon = node.start().await;
    for id in ["e1", "e3", "e4"] {
        daemon.reached(id, "sent").await;
    }
    // It hears of an event from elsewhere.
    ok(config
        .run(&[
            "event",
            "--status",
            "done",
            "--id",
            "e5",
            "--to",
            "e@example.org",
        ])
        .await);
    daemon.reached("e5", "sent").await;
    assert_eq!(peer.seen().mails.len(), 4);
    daemon.stop().await;
}

#[tokio::test]
async fn url_of_a_daemon_wins_over_the_database() {
    let Some(database) = Database::create().await else {
        return;
    };
    let peer = SmtpPeer::start().await;
    let mut daemon = TestConfig::new(&peer).start().await;
    let config = machine(&peer, &database.url());
    let url = format!("http://{}", daemon.address());
    ok(config
        .run(&[
            "event",
            "--url",
            &url,
            "--status",
            "done",
            "--id",
            "e1",
            "--to",
            "a@example.org",
        ])
        .await);
    daemon.reached("e1", "sent").await;
    let schema = "SELECT count(*) FROM pg_namespace WHERE nspname = 'jobbell'";
    assert_eq!(database.sql(schema).await, ["0"]);
    daemon.stop().await;
}

#[tokio::test]
async fn what_a_person_must_mend_ends_with_78() {
    let Some(server) = PrivateServer::start(&[]).await else {
        return;
    };
    let peer = SmtpPeer::start().await;
    server
        .sql("CREATE ROLE weak LOGIN PASSWORD 'never-a-real-one'; CREATE ROLE other LOGIN PASSWORD 'another'")
        .await;
    let url = server.url();
    let named = |user: &str, database: &str| {
        let mut url = url::Url::parse(&url).unwrap();
        url.set_username(user).unwrap();
        url.set_path(database);
        url.to_string()
    };
    let database = url::Url::parse(&url).unwrap().path().to_owned();
    let refused = async |url: &str, reason: &str| {
        let config = machine(&peer, url);
        for command in ["check", "serve"] {
            let finished = config.run(&[command]).await;
            assert_eq!(finished.code, Some(78), "{command} {url}: {finished:#?}");
            assert!(
                finished.err.contains(reason),
                "{command} {url}: {finished:#?}"
            );
        }
    };
    server.set("fsync", "off").await;
    refused(&url, "fsync = off").await;
    server.set("fsync", "on").await;
    refused(&named("nobody", &database), "nobody").await;
    refused(&named("other", &database), "password").await;
    refused(&named("weak", &database), "GRANT CREATE").await;
    refused(&named("weak", "/missing"), "missing").await;
    let config = machine(&peer, &url);
    let good = ok(config.run(&["check"]).await);
    for setting in [
        "fsync",
        "full_page_writes",
        "synchronous_commit",
        "server_version",
    ] {
        assert!(good.all().contains(setting), "{setting}: {good:#?}");
    }
    let json = ok(config.run(&["check", "--json"]).await).json();
    assert_eq!(json["database"]["ok"], true);
    let findings = json["database"]["findings"].as_array().unwrap();
    let fsync = findings.iter().find(|finding| finding["name"] == "fsync");
    assert_eq!(fsync.unwrap()["value"], "on");

    // Out of reach: the daemon would start.
    server.stop("fast").await;
    let away = ok(config.run(&["check"]).await);
    assert!(
        away.err.contains("the daemon starts all the same"),
        "{away:#?}"
    );
    let event = config
        .run(&["event", "--status", "done", "--to", "a@example.org"])
        .await;
    assert!(
        event.code == Some(1) && event.err.contains("cannot reach"),
        "{event:#?}"
    );
}
