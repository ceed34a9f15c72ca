//! A flood of refused requests: counted, and one line in the log.

use std::time::{Duration, Instant};

use super::attacker::{MASTER, append, config, event, metric, raw};
use crate::support::test_config::PATIENCE;

#[tokio::test]
async fn refusals_are_counted_by_reason_and_logged_sparsely() {
    let mut config = config();
    config
        .text("server.tokens", MASTER)
        .text("server.max_body", "1KiB");
    let daemon = config.start().await;
    let token = format!("Authorization: Bearer {MASTER}");
    let large = "x".repeat(2_000);
    for _ in 0..20 {
        assert_eq!(
            raw(&daemon, "GET /v1/stats HTTP/1.1", &["Host: localhost"], "").await,
            401
        );
        assert_eq!(raw(&daemon, "GET /v1/stats HTTP/1.1", &[], "").await, 400);
        assert_eq!(
            raw(
                &daemon,
                "POST /v1/events HTTP/1.1",
                &["Host: localhost", &token],
                &large
            )
            .await,
            413
        );
    }
    for why in ["no_token", "host", "body_size"] {
        let line = format!("jobbell_refused_total{{why=\"{why}\"}}");
        assert_eq!(
            metric(&daemon, MASTER, &line).await.as_deref(),
            Some("20"),
            "{why}"
        );
        daemon.logged(why, |line| line["why"] == why).await;
        let lines = daemon
            .log()
            .lines()
            .filter(|line| line.contains(&format!("\"why\":\"{why}\"")))
            .count();
        assert_eq!(lines, 1, "{}", daemon.log());
    }
    assert_eq!(
        metric(&daemon, MASTER, "jobbell_refused_total{why=\"origin\"}")
            .await
            .as_deref(),
        Some("0"),
        "visible before the first one"
    );
}

#[tokio::test]
async fn every_kind_of_refusal_is_counted() {
    let mut config = config();
    config.text("server.tokens", MASTER);
    let daemon = config.start().await;
    let token = format!("Authorization: Bearer {MASTER}");
    let host = "Host: localhost";
    let events = "POST /v1/events HTTP/1.1";
    let first = event().to_string();
    assert_eq!(
        raw(
            &daemon,
            events,
            &[host, &token, "Idempotency-Key: k"],
            &first
        )
        .await,
        202
    );
    for (why, status, line, headers, body) in [
        ("malformed", 400, events, &[host, &token][..], "{"),
        ("path", 404, "GET /nothing HTTP/1.1", &[host], ""),
        (
            "method",
            405,
            "DELETE /v1/events HTTP/1.1",
            &[host, &token],
            "",
        ),
        (
            "content_type",
            415,
            events,
            &[host, &token, "Content-Type: text/plain"],
            "x",
        ),
        ("invalid", 422, events, &[host, &token], "{}"),
        (
            "conflict",
            409,
            events,
            &[host, &token, "Idempotency-Key: k"],
            "{\"status\": \"failed\"}",
        ),
        ("malformed", 400, "GET /livez HTTP/9", &[host], ""),
        ("malformed", 431, "GET /livez HTTP/1.1", &["X: y"; 200], ""),
    ] {
        let line_of_metrics = format!("jobbell_refused_total{{why=\"{why}\"}}");
        let count = async || {
            metric(&daemon, MASTER, &line_of_metrics)
                .await
                .unwrap()
                .parse::<u64>()
                .unwrap()
        };
        let before = count().await;
        assert_eq!(raw(&daemon, line, headers, body).await, status, "{why}");
        // A broken head is counted once its connection has ended, after the answer.
        let begun = Instant::now();
        while count().await == before && begun.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(count().await, before + 1, "{why}, {line}");
    }
}

#[tokio::test]
async fn unverified_hook_payloads_do_not_flood_the_log() {
    let mut config = config();
    config.text("server.tokens", MASTER);
    append(
        &mut config,
        "[hooks.open]\nkind = \"generic\"\nunverified = true\n",
    );
    let daemon = config.start().await;
    for number in 0..20 {
        let sent = daemon
            .post("/v1/hooks/open")
            .json(&serde_json::json!({"status": format!("word {number}")}));
        assert!(sent.send().await.unwrap().status().is_success());
        let sent = daemon
            .post("/v1/hooks/open")
            .header("content-type", "application/json")
            .body("{");
        assert_eq!(sent.send().await.unwrap().status(), 400);
    }
    daemon
        .logged("the first one", |line| line["hook"] == "open")
        .await;
    let lines = daemon
        .log()
        .lines()
        .filter(|line| line.contains("\"hook\":\"open\""))
        .count();
    assert_eq!(lines, 1, "{}", daemon.log());
}
