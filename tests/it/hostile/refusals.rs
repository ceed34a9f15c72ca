//! A flood of refused requests: counted, and one line in the log.

use super::attacker::{MASTER, home, metric, raw};

#[tokio::test]
async fn floods_are_counted_by_reason_and_fill_no_log() {
    let mut home = home();
    home.text("server.tokens", MASTER)
        .text("server.max_body", "1KiB");
    let daemon = home.start().await;
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
