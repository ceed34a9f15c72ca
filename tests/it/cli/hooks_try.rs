//! `jobbell hooks try`, and a generic hook from its mapping to the mail.

use serde_json::{Value, json};

use crate::support::daemon::body;
use crate::support::smtp_peer::SmtpPeer;
use crate::support::test_config::{Finished, TestConfig};

/// A hook for an unknown service.
fn farm(config: &mut TestConfig) {
    for (key, value) in [
        ("kind", "\"generic\""),
        ("secret", "\"0123456789abcdef\""),
        ("locale", "\"en\""),
    ] {
        config.set(&format!("hooks.farm.{key}"), value);
    }
    for (key, value) in [
        ("id", "\"/job/uuid\""),
        ("status", "\"/job/exit\""),
        ("title", "[\"/job/name\", \"=Render\"]"),
        ("images", "\"/frames\""),
        ("error_message", "\"/job/log\""),
        ("to", "\"/owner/mail\""),
    ] {
        config.set(&format!("hooks.farm.map.{key}"), value);
    }
    config
        .set("hooks.farm.status_words.succeeded", "[\"0\"]")
        .set("hooks.farm.status_words.failed", "[\"*\"]");
    config
        .set("hooks.farm.status_words.ignored", "[\"-1\"]")
        .text("email.locale", "en");
}

fn payload(exit: i32) -> Value {
    json!({"job": {"uuid": "u-7", "exit": exit, "log": "no licence"}, "frames": ["https://img.example.com/1.png"], "owner": {"mail": "owner@example.org"}})
}

async fn tried(config: &TestConfig, name: &str, payload: &Value, more: &[&str]) -> Finished {
    config
        .run_with(
            &[&["hooks", "try", name, "--file", "-"], more].concat(),
            &payload.to_string(),
        )
        .await
}

#[tokio::test]
async fn generic_hook_makes_a_mail_from_any_json() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    farm(&mut config);
    let daemon = config.start().await;
    let post = |payload: Value| {
        daemon
            .post("/v1/hooks/farm/0123456789abcdef")
            .json(&payload)
    };
    assert_eq!(post(payload(-1)).send().await.unwrap().status(), 204);
    assert_eq!(body(post(payload(3))).await.0, 202);
    assert_eq!(body(post(payload(3))).await.0, 200);
    let failed = daemon.event("hook:farm:failed:u-7").await;
    assert_eq!(
        (&failed["source"], &failed["event"]["error"]["message"]),
        (&json!("farm"), &json!("no licence"))
    );
    assert_eq!(
        (&failed["event"]["title"], &failed["event"]["to"]),
        (&json!("Render"), &json!(["owner@example.org"]))
    );
    assert_eq!(body(post(payload(0))).await.0, 202);
    daemon.reached("hook:farm:succeeded:u-7", "sent").await;
    let seen = peer.until("both mails", |seen| seen.mails.len() == 2).await;
    assert!(
        seen.mails
            .iter()
            .all(|mail| mail.to == ["owner@example.org"])
    );
    let (status, problem) = body(post(json!({"job": {"exit": 0}}))).await;
    assert_eq!(
        (status, &problem["errors"][0]["pointer"]),
        (422, &json!("#/job/uuid"))
    );
}

#[tokio::test]
async fn hooks_try_shows_the_source_of_each_field() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    farm(&mut config);
    let result = tried(&config, "farm", &payload(3), &[]).await;
    assert_eq!(
        (result.code, result.err.as_str()),
        (Some(0), ""),
        "{result:#?}"
    );
    for line in [
        "✓ status            /job/exit = 3",
        "✓ title             =Render = \"Render\"",
        "– model             /model",
        "email to: owner@example.org",
        "hook:farm:failed:u-7",
    ] {
        assert!(result.out.contains(line), "{line}: {}", result.out);
    }
    let result = tried(&config, "farm", &payload(0), &["--json"])
        .await
        .json();
    assert_eq!(
        (
            &result["outcome"],
            &result["events"][0]["event"]["status"],
            &result["kind"]
        ),
        (&json!("events"), &json!("succeeded"), &json!("generic"))
    );
    let field = |name: &str| {
        result["fields"]
            .as_array()
            .unwrap()
            .iter()
            .find(|field| field["field"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(
        field("images"),
        json!({"field": "images", "tried": ["/frames"], "place": "/frames", "value": ["https://img.example.com/1.png"], "useless": null})
    );
    assert_eq!(field("model")["place"], json!(null));
    let ignored = tried(&config, "farm", &payload(-1), &[]).await;
    assert!(
        ignored.code == Some(0) && ignored.out.contains("ignored (204)"),
        "{ignored:#?}"
    );
    let refused = tried(&config, "farm", &json!({"job": {"exit": 0}}), &[]).await;
    assert!(
        refused.code == Some(1) && refused.out.contains("#/job/uuid"),
        "{refused:#?}"
    );
    assert_eq!(
        (peer.seen().connections, config.state().exists()),
        (0, false)
    );
}

#[tokio::test]
async fn hooks_try_shows_only_the_path_that_is_used() {
    let mut config = TestConfig::for_port(25);
    config
        .set("hooks.mine.kind", "\"generic\"")
        .set("hooks.mine.unverified", "true");
    config
        .set("hooks.mine.map.prompt", "[\"/input/prompt\", \"/prompt\"]")
        .set("hooks.mine.map.metadata", "[\"/a\", \"/b\"]");
    let payload = json!({
        "id": 7, "status": "done", "input": {"prompt": {"text": "x"}}, "prompt": "the real one", "b": 5,
        "error": {"odd": 1}, "error_message": "boom", "width": "abc", "seed": "zz", "steps": "x", "finished_at": "soon"
    });
    let result = tried(&config, "mine", &payload, &["--json"]).await.json();
    let field = |name: &str| {
        result["fields"]
            .as_array()
            .unwrap()
            .iter()
            .find(|field| field["field"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(
        (
            &field("prompt")["place"],
            &result["events"][0]["event"]["prompt"]
        ),
        (&json!("/prompt"), &json!("the real one"))
    );
    assert_eq!(
        (
            &field("error_message")["place"],
            &field("metadata")["place"]
        ),
        (&json!("/error_message"), &json!("/b"))
    );
    for name in ["width", "seed", "steps", "finished_at"] {
        assert_eq!(
            (&field(name)["place"], &field(name)["useless"]),
            (&json!(null), &json!(format!("/{name}"))),
            "{name}"
        );
        assert!(
            result["events"][0]["warnings"]
                .to_string()
                .contains(&format!("{name} was left out")),
            "{name}: {result:#}"
        );
    }
    let shown = tried(&config, "mine", &payload, &[]).await;
    assert!(
        shown.out.contains("✗ width             /width")
            && shown
                .out
                .contains("✓ prompt            /prompt = \"the real one\""),
        "{}",
        shown.out
    );
}

#[tokio::test]
async fn hooks_try_supports_every_kind_and_its_headers() {
    let mut config = TestConfig::for_port(25);
    config
        .set("hooks.replicate.unverified", "true")
        .set("hooks.github.unverified", "true");
    let prediction = json!({"id": "p1", "status": "succeeded", "input": {"prompt": "A fox"}, "output": ["https://img.example.com/1.png"]});
    let result = tried(&config, "replicate", &prediction, &["--json"])
        .await
        .json();
    assert_eq!(
        (
            &result["events"][0]["event"]["prompt"],
            &result["events"][0]["to"]
        ),
        (&json!("A fox"), &json!(["boss@example.org"]))
    );
    let unknown = tried(
        &config,
        "replicate",
        &json!({"id": "p1", "status": "odd"}),
        &["--json"],
    )
    .await;
    assert_eq!(
        (unknown.code, &unknown.json()["outcome"]),
        (Some(1), &json!("unknown"))
    );
    let ping = tried(
        &config,
        "github",
        &json!({"zen": "x"}),
        &["--header", "X-GitHub-Event: ping", "--json"],
    )
    .await;
    assert_eq!(
        (ping.code, &ping.json()["outcome"]),
        (Some(0), &json!("ignored")),
        "{ping:#?}"
    );
    assert_eq!(
        tried(&config, "github", &json!({}), &["--header", "nonsense"])
            .await
            .code,
        Some(2)
    );
    let record = tried(&config, "huiying", &json!({"original_prompt": "猫"}), &[]).await;
    assert_eq!(record.code, Some(0), "{record:#?}");
    let nosuch = tried(&config, "nosuch", &json!({}), &[]).await;
    assert!(
        nosuch.code == Some(1) && nosuch.err.contains("github, replicate"),
        "{nosuch:#?}"
    );
    let broken = config
        .run_with(&["hooks", "try", "github", "--file", "-"], "{")
        .await;
    assert!(
        broken.code == Some(1) && broken.err.contains("-: "),
        "{broken:#?}"
    );
}
