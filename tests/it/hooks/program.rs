//! Hooks in the running program: configuration, reload, and `jobbell hooks failed`.

use serde_json::{Value, json};

use super::{answer, sample};
use crate::support::test_config::TestConfig;

#[tokio::test]
async fn daemon_reloads_hooks_and_lists_unmapped_payloads() {
    let mut home = TestConfig::bare();
    home.set("smtp.enable", "false")
        .text("smtp.to", "boss@example.org")
        .text("email.locale", "en")
        .text("hooks.gpu.kind", "runpod");
    let refused = home.run(&["check"]).await;
    assert_eq!(
        (
            refused.code,
            refused.all().contains("anybody could post here")
        ),
        (Some(78), true),
        "{refused:#?}"
    );
    home.text("hooks.gpu.secret", "0123456789abcdef")
        .text("hooks.gpu.to", "me@example.org");
    let mut daemon = home.start().await;
    let post = |path: &str, file: &str| {
        daemon
            .post(path)
            .header("content-type", "application/json")
            .body(sample(file))
    };
    let (status, said) = answer(post(
        "/v1/hooks/gpu/0123456789abcdef",
        "runpod-failure.json",
    ))
    .await;
    assert_eq!(status, 200, "{said}");
    let record = daemon.event(said["id"].as_str().unwrap()).await;
    assert_eq!(
        (&record["source"], &record["deliveries"][0]["to"]),
        (&json!("gpu"), &json!("me@example.org"))
    );
    assert_eq!(
        answer(post("/v1/hooks/krea", "krea-success.json")).await.0,
        404
    );

    home.text("hooks.krea.secret", "fedcba9876543210");
    daemon.signal("HUP").await;
    daemon.says("configuration reloaded").await;
    assert_eq!(
        answer(post("/v1/hooks/krea/fedcba9876543210", "krea-success.json"))
            .await
            .0,
        202
    );
    let odd = daemon
        .post("/v1/hooks/krea/fedcba9876543210")
        .json(&json!({ "job_id": "1", "status": "melted", "token": "t0k3n" }));
    assert_eq!(answer(odd).await.0, 204);

    home.env("JOBBELL_SERVER__LISTEN", daemon.address());
    for running in [true, false] {
        if !running {
            daemon.stop().await;
        }
        let listed = home.run(&["hooks", "failed", "--json"]).await;
        let id = listed.json()["failures"][0]["id"].to_string();
        assert_eq!(
            listed.json()["failures"].as_array().map(Vec::len),
            Some(1),
            "{listed:#?}"
        );
        let shown = home.run(&["hooks", "failed", &id]).await;
        assert!(
            shown.out.contains("melted") && !shown.out.contains("t0k3n"),
            "{shown:#?}"
        );
        assert!(
            home.run(&["hooks", "failed"])
                .await
                .out
                .contains("unknown status \"melted\"")
        );
        let missing = home.run(&["hooks", "failed", "999"]).await;
        assert_eq!(
            (missing.code, missing.err.contains("999")),
            (Some(1), true),
            "{missing:#?}"
        );
    }
    let events: Value = home.run(&["queue", "stats", "--json"]).await.json();
    assert_eq!(events["accepted"], 2);
}
