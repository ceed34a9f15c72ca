//! An undecodable character costs that character, not the mail.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use serde_json::{Value, json};

use crate::http::test_server::{NEW_YEAR, TestServer, answer};
use crate::support::smtp_peer::SmtpPeer;
use crate::support::test_config::{TestConfig, finish};

async fn post(server: &TestServer, path: &str, kind: &str, bytes: &[u8]) -> (u16, Value) {
    answer(
        server
            .post(path)
            .header("content-type", kind.to_owned())
            .body(bytes.to_vec()),
    )
    .await
}

async fn event(server: &TestServer, id: &str) -> Value {
    answer(server.get(&format!("/v1/events/{id}"))).await.1["event"].clone()
}

/// JavaScript slices UTF-16 units (`"🐱".slice(0, 1)`), and `serde_json` rejects the lone surrogate
/// (serde-rs/json#495, pydantic/jiter#120).
#[tokio::test]
async fn invalid_unicode_becomes_replacement_characters() {
    let server = crate::hooks::server("[hooks.generic]\nunverified = true\n", NEW_YEAR);
    let json = "application/json";
    assert_eq!(
        post(
            &server,
            "/v1/events",
            json,
            br#"{"id":"a","status":"succeeded","prompt":"a cat \ud83d"}"#
        )
        .await
        .0,
        202
    );
    assert_eq!(event(&server, "a").await["prompt"], "a cat \u{FFFD}");
    assert_eq!(
        post(
            &server,
            "/v1/events",
            json,
            b"{\"id\":\"b\",\"status\":\"failed\",\"error\":\"caf\xe9 \xf0\x9f\"}"
        )
        .await
        .0,
        202
    );
    assert_eq!(
        event(&server, "b").await["error"]["message"],
        "caf\u{FFFD} \u{FFFD}"
    );
    let lines = b"{\"id\":\"c\",\"status\":\"succeeded\",\"title\":\"\\udc31x\"}\n{\"id\":\"d\",\"status\":\"succeeded\",\"title\":\"\xff\"}\n";
    assert_eq!(
        post(&server, "/v1/events", "application/x-ndjson", lines)
            .await
            .0,
        202
    );
    assert_eq!(
        (
            &event(&server, "c").await["title"],
            &event(&server, "d").await["title"]
        ),
        (&json!("\u{FFFD}x"), &json!("\u{FFFD}"))
    );
    let (status, taken) = post(
        &server,
        "/v1/hooks/generic",
        json,
        b"{\"id\":\"7\",\"status\":\"done\",\"prompt\":\"\\ud83d\xe9\"}",
    )
    .await;
    assert_eq!(status, 202);
    assert_eq!(
        event(&server, taken["id"].as_str().unwrap()).await["prompt"],
        "\u{FFFD}\u{FFFD}"
    );
    let message = br#"{"id":"e","to":"a@x.org","template":"plain","params":{"subject":"caf\udce9","text":"t"}}"#;
    assert_eq!(post(&server, "/v1/messages", json, message).await.0, 202);
    assert_eq!(
        event(&server, "e").await["params"]["subject"],
        "caf\u{FFFD}"
    );
    assert_eq!(
        post(&server, "/v1/events", json, b"{\"status\":\xff}")
            .await
            .0,
        400,
        "invalid JSON is still refused"
    );
}

/// `jobbell event --error $'caf\xe9'`: Latin-1 output of a program.
#[tokio::test]
async fn arguments_and_files_with_invalid_utf8_are_posted() {
    let peer = SmtpPeer::builder().start().await;
    let mut config = TestConfig::new(&peer);
    let daemon = config.start().await;
    config.text("server.listen", daemon.address());
    let mut command = config.command(&["event", "--status", "error", "--id", "a", "--error"]);
    command.arg(OsStr::from_bytes(b"caf\xe9"));
    let done = finish(command).await;
    assert_eq!(done.code, Some(0), "{done:#?}");
    assert_eq!(
        daemon.event("a").await["event"]["error"]["message"],
        "caf\u{FFFD}"
    );
    for (name, bytes) in [
        ("one.json", &b"{\"id\":\"b\",\"status\":\"done\",\n\"title\":\"caf\xe9\"}"[..]),
        ("lines.json", b"{\"id\":\"c\",\"status\":\"done\",\"title\":\"\\ud83d\"}\n{\"id\":\"d\",\"status\":\"done\",\"title\":\"\xe9\"}\n"),
    ] {
        std::fs::write(config.path().join(name), bytes).unwrap();
        let done = config.run(&["event", "--file", name]).await;
        assert_eq!(done.code, Some(0), "{done:#?}");
    }
    // Files are decoded in their detected encoding; only the rest is replaced.
    for (id, begins) in [("b", "caf"), ("c", "\u{FFFD}"), ("d", "")] {
        assert!(
            daemon.event(id).await["event"]["title"]
                .as_str()
                .unwrap()
                .starts_with(begins)
        );
    }
    let shown = config.run(&["preview", "--file", "one.json"]).await;
    assert!(shown.out.contains("caf"), "{shown:#?}");
}
