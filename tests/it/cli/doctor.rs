//! `jobbell queue doctor` on a server of its own, with real sessions, slots, locks and dropped tables.

use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};

use crate::support::daemon::{Daemon, success};
use crate::support::postgres::eventually;
use crate::support::postgres::private::PrivateServer;
use crate::support::test_config::TestConfig;

/// A server with a queue, whose mails cannot be sent at the moment.
struct Fixture {
    server: PrivateServer,
    config: TestConfig,
    daemon: Daemon,
}

impl Fixture {
    async fn start() -> Option<Self> {
        let server = PrivateServer::start(&["max_prepared_transactions=5"]).await?;
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut config = TestConfig::for_port(closed.local_addr().unwrap().port());
        config
            .text("queue.url", &server.url())
            .text("retry.initial", "1d");
        let daemon = config.start().await;
        Some(Self {
            server,
            config,
            daemon,
        })
    }

    /// Another program's session.
    async fn session(&self) -> (Client, i64) {
        let url = format!("{}?application_name=psql", self.server.url());
        let (client, link) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(link);
        let pid: i32 = client
            .query_one("SELECT pg_backend_pid()", &[])
            .await
            .unwrap()
            .get(0);
        (client, i64::from(pid))
    }

    /// The exit status and the report.
    async fn examine(&self) -> (i32, Value) {
        let finished = self.config.run(&["queue", "doctor", "--json"]).await;
        assert_eq!(finished.err, "", "{finished:#?}");
        (finished.code.unwrap(), finished.json())
    }

    /// Waits until something is found; returns it.
    async fn finding(&self, check: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let mut found = None;
        eventually(check, async || {
            let (code, report) = self.examine().await;
            let findings = report["findings"].as_array().unwrap();
            let needs_action = |finding: &Value| finding["needs_action"] == true;
            let is_bad = findings.iter().any(needs_action);
            assert_eq!((code == 1, report["ok"] == false), (is_bad, is_bad));
            let mut findings = findings.iter();
            found = findings
                .find(|finding| finding["check"] == check && is_it(finding))
                .cloned();
            found.is_some()
        })
        .await;
        found.unwrap()
    }
}

fn text<'a>(finding: &'a Value, name: &str) -> &'a str {
    finding[name].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_names_the_sessions_that_hold_the_queue_back() {
    let Some(fixture) = Fixture::start().await else {
        return;
    };
    let (code, healthy) = fixture.examine().await;
    assert_eq!((code, &healthy["findings"]), (0, &json!([])), "{healthy}");
    let tables = healthy["tables"].as_array().unwrap();
    let names: Vec<_> = tables.iter().map(|table| text(table, "table")).collect();
    assert_eq!(names, ["counts", "due", "held", "nodes"]);

    let (prepared, _) = fixture.session().await;
    let prepare = "BEGIN; CREATE TABLE t (n int); PREPARE TRANSACTION 'order-66'";
    prepared.batch_execute(prepare).await.unwrap();
    let (idle, pid) = fixture.session().await;
    let forgotten = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 'canary', 17 FROM jobbell.due";
    idle.batch_execute(forgotten).await.unwrap();
    assert_eq!(fixture.examine().await.0, 0, "it is still young");
    let found = fixture
        .finding("snapshot", |finding| finding["pid"] == pid)
        .await;
    assert_eq!(
        (text(&found, "user"), text(&found, "database")),
        ("postgres", "jobbell")
    );
    assert!(found["age_s"].as_u64().unwrap() >= 5 && found["needs_action"] == true);
    assert!(text(&found, "query").ends_with("SELECT ?, ? FROM jobbell.due"));
    assert!(!found.to_string().contains("canary"), "{found}");
    let end = format!("pg_terminate_backend({pid})");
    assert!(text(&found, "advice").contains(&end), "{found}");
    let found = fixture.finding("prepared_transaction", |_| true).await;
    assert_eq!(found["needs_action"], false, "it is young: {found}");
    assert!(text(&found, "advice").contains("ROLLBACK PREPARED 'order-66'"));
    let metrics = fixture.daemon.get("/metrics").send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let horizon = metrics
        .lines()
        .find(|line| line.starts_with("jobbell_store_horizon_seconds{"))
        .unwrap();
    let age: f64 = horizon.rsplit_once(' ').unwrap().1.parse().unwrap();
    assert!(age >= 5.0, "{horizon}");
    let said = fixture.config.run(&["queue", "doctor"]).await;
    assert!(
        said.code == Some(1)
            && said.out.contains(&format!(
                "✗ session {pid} (postgres, psql, idle in transaction)"
            ))
            && said.out.contains("What to do: ")
            && said.out.contains("due: 0 rows"),
        "{said:#?}"
    );

    // What was advised helps.
    let (other, _) = fixture.session().await;
    other.batch_execute(&format!("SELECT {end}")).await.unwrap();
    prepared
        .batch_execute("ROLLBACK PREPARED 'order-66'")
        .await
        .unwrap();
    assert_eq!(fixture.examine().await.0, 0);

    let (locker, pid) = fixture.session().await;
    locker
        .batch_execute("BEGIN; LOCK TABLE jobbell.due")
        .await
        .unwrap();
    let found = fixture
        .finding("lock", |finding| finding["pid"] == pid)
        .await;
    assert_eq!(
        (text(&found, "table"), &found["needs_action"]),
        ("due", &json!(true))
    );
    locker
        .batch_execute("ROLLBACK; BEGIN; SELECT * FROM jobbell.nodes FOR UPDATE")
        .await
        .unwrap();
    let found = fixture
        .finding("lock", |finding| {
            finding["pid"] == pid && finding["table"].is_null()
        })
        .await;
    assert_eq!(found["waiting"], 1, "the heartbeat waits: {found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_finds_what_the_server_lacks() {
    let Some(mut fixture) = Fixture::start().await else {
        return;
    };
    let server = &fixture.server;
    for (name, reserve) in [("unused", true), ("fresh", false)] {
        server
            .sql(&format!(
                "SELECT pg_create_physical_replication_slot('{name}', {reserve})"
            ))
            .await;
        let found = fixture
            .finding("replication_slot", |finding| finding["slot"] == name)
            .await;
        assert_eq!(found["needs_action"], reserve, "{found}");
        let advice = format!("pg_drop_replication_slot('{name}')");
        assert!(text(&found, "advice").contains(&advice), "{found}");
    }
    server
        .sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
        .await;

    server
        .sql("ALTER TABLE jobbell.due SET (autovacuum_enabled = off)")
        .await;
    let rows = "INSERT INTO jobbell.due SELECT gen_random_uuid(), 0, 1, 9000000000000, 0, 0 FROM generate_series(1, 20000); DELETE FROM jobbell.due";
    server.sql(rows).await;
    let found = fixture.finding("autovacuum", |_| true).await;
    assert_eq!(text(&found, "table"), "due");
    let found = fixture.finding("bloat", |_| true).await;
    assert_eq!(
        (
            text(&found, "table"),
            found["dead_rows"].as_u64() >= Some(20_000)
        ),
        ("due", true),
        "{found}"
    );
    server
        .sql("ALTER TABLE jobbell.due RESET (autovacuum_enabled)")
        .await;
    server.sql("VACUUM jobbell.due").await;

    server.set("track_counts", "off").await;
    let found = fixture.finding("autovacuum", |_| true).await;
    assert_eq!(text(&found, "setting"), "track_counts");
    server.set("track_counts", "on").await;

    let next = server.sql("SELECT week FROM jobbell.weeks ORDER BY first OFFSET 1 LIMIT 1");
    let next = next.await.remove(0);
    server
        .sql(&format!("DROP TABLE jobbell.attempts_{next}"))
        .await;
    let found = fixture.finding("partitions", |_| true).await;
    assert_eq!(
        (text(&found, "week"), &found["tables"]),
        (next.as_str(), &json!(["attempts"]))
    );
    let advised = text(&found, "advice").strip_prefix("run ").unwrap();
    server.sql(advised.split_once(';').unwrap().0).await;

    server
        .sql("INSERT INTO jobbell.nodes (name, version, life, started_at, seen_at, alive_until, clock_skew) \
            SELECT 'astray', '1', gen_random_uuid(), now, now, now + 60000, -7300 FROM (SELECT jobbell.now_ms() AS now) t")
        .await;
    let found = fixture.finding("clock", |_| true).await;
    assert_eq!(
        (text(&found, "node"), &found["skew_ms"]),
        ("astray", &json!(-7300))
    );
    server
        .sql("DELETE FROM jobbell.nodes WHERE name = 'astray'")
        .await;

    let id = fixture.daemon.accept(&success("boss@example.org")).await;
    fixture.daemon.reached(&id, "queued").await;
    fixture.daemon.stop().await;
    let found = fixture.finding("nodes", |_| true).await;
    assert_eq!(found["waiting"], 1);
    // Its start creates what is missing.
    fixture.daemon = fixture.config.start().await;
    eventually("well", async || fixture.examine().await.0 == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_works_with_fewer_rights() {
    let Some(mut fixture) = Fixture::start().await else {
        return;
    };
    fixture
        .server
        .sql("CREATE ROLE plain LOGIN PASSWORD 'never-a-real-one'; GRANT USAGE ON SCHEMA jobbell TO plain; GRANT SELECT ON ALL TABLES IN SCHEMA jobbell TO plain")
        .await;
    let url = fixture.server.url().replace("//postgres:", "//plain:");
    let (idle, pid) = fixture.session().await;
    let forgotten = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 17 FROM jobbell.due";
    idle.batch_execute(forgotten).await.unwrap();
    // Its age is told by the events that came later.
    fixture.daemon.accept(&success("boss@example.org")).await;
    fixture.config.text("queue.url", &url);
    let found = fixture
        .finding("snapshot", |finding| finding["pid"] == pid)
        .await;
    assert!(
        found["query"].is_null() && found["age_s"].as_u64() >= Some(5),
        "{found}"
    );
    let rights = fixture.finding("rights", |_| true).await;
    assert_eq!(rights["needs_action"], false);
    assert!(text(&rights, "advice").contains("GRANT pg_read_all_stats TO \"plain\""));
    fixture.server.sql("GRANT pg_read_all_stats TO plain").await;
    let found = fixture
        .finding("snapshot", |finding| finding["pid"] == pid)
        .await;
    assert!(
        text(&found, "query").starts_with("BEGIN ISOLATION"),
        "{found}"
    );
}

#[tokio::test]
async fn doctor_has_nothing_to_do_for_sqlite() {
    let mut config = TestConfig::for_port(2525);
    let finished = config.run(&["queue", "doctor"]).await;
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    assert!(
        finished.out.contains("jobbell queue check"),
        "{finished:#?}"
    );
    let json = config.run(&["queue", "doctor", "--json"]).await.json();
    assert_eq!((&json["ok"], &json["findings"]), (&json!(true), &json!([])));
    let chinese = config.env("LANG", "zh_CN.UTF-8");
    let finished = chinese.run(&["queue", "doctor"]).await;
    assert!(
        finished.out.starts_with("该队列使用 SQLite"),
        "{finished:#?}"
    );
}
