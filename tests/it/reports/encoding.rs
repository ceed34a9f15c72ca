//! One character that cannot be decoded costs that character, not the mail.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use serde_json::{Value, json};

use crate::http::test_server::{NEW_YEAR, TestServer, answer};
use crate::support::smtp_peer::SmtpPeer;
use crate::support::test_config::{TestConfig, finish};

async fn post(house: &TestServer, path: &str, kind: &str, bytes: &[u8]) -> (u16, Value) {
    answer(
        house
            .post(path)
            .header("content-type", kind.to_owned())
            .body(bytes.to_vec()),
    )
    .await
}

async fn event(house: &TestServer, id: &str) -> Value {
    answer(house.get(&format!("/v1/events/{id}"))).await.1["event"].clone()
}

/// JavaScript cuts strings by UTF-16 units (`"🐱".slice(0, 1)`), and `serde_json` refuses the half
/// that is left (serde-rs/json#495, pydantic/jiter#120).
#[tokio::test]
async fn invalid_unicode_becomes_replacement_characters() {
    let house = crate::hooks::server("[hooks.generic]\nunverified = true\n", NEW_YEAR);
    let json = "application/json";
    assert_eq!(
        post(
            &house,
            "/v1/events",
            json,
            br#"{"id":"a","status":"succeeded","prompt":"a cat \ud83d"}"#
        )
        .await
        .0,
        202
    );
    assert_eq!(event(&house, "a").await["prompt"], "a cat \u{FFFD}");
    assert_eq!(
        post(
            &house,
            "/v1/events",
            json,
            b"{\"id\":\"b\",\"status\":\"failed\",\"error\":\"caf\xe9 \xf0\x9f\"}"
        )
        .await
        .0,
        202
    );
    assert_eq!(
        event(&house, "b").await["error"]["message"],
        "caf\u{FFFD} \u{FFFD}"
    );
    let lines = b"{\"id\":\"c\",\"status\":\"succeeded\",\"title\":\"\\udc31x\"}\n{\"id\":\"d\",\"status\":\"succeeded\",\"title\":\"\xff\"}\n";
    assert_eq!(
        post(&house, "/v1/events", "application/x-ndjson", lines)
            .await
            .0,
        202
    );
    assert_eq!(
        (
            &event(&house, "c").await["title"],
            &event(&house, "d").await["title"]
        ),
        (&json!("\u{FFFD}x"), &json!("\u{FFFD}"))
    );
    let (status, taken) = post(
        &house,
        "/v1/hooks/generic",
        json,
        b"{\"id\":\"7\",\"status\":\"done\",\"prompt\":\"\\ud83d\xe9\"}",
    )
    .await;
    assert_eq!(status, 202);
    assert_eq!(
        event(&house, taken["id"].as_str().unwrap()).await["prompt"],
        "\u{FFFD}\u{FFFD}"
    );
    let message = br#"{"id":"e","to":"a@x.org","template":"plain","params":{"subject":"caf\udce9","text":"t"}}"#;
    assert_eq!(post(&house, "/v1/messages", json, message).await.0, 202);
    assert_eq!(event(&house, "e").await["params"]["subject"], "caf\u{FFFD}");
    assert_eq!(
        post(&house, "/v1/events", json, b"{\"status\":\xff}")
            .await
            .0,
        400,
        "what is not JSON otherwise either"
    );
}

/// `jobbell event --error $'caf\xe9'`: text of a program in Latin-1.
#[tokio::test]
async fn arguments_and_files_with_invalid_utf8_are_posted() {
    let peer = SmtpPeer::builder().start().await;
    let mut home = TestConfig::new(&peer);
    let daemon = home.start().await;
    home.text("server.listen", daemon.address());
    let mut command = home.command(&["event", "--status", "error", "--id", "a", "--error"]);
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
        std::fs::write(home.path().join(name), bytes).unwrap();
        let done = home.run(&["event", "--file", name]).await;
        assert_eq!(done.code, Some(0), "{done:#?}");
    }
    // Files are decoded by the encoding that they seem to be in; only what then is left is
    // replaced.
    for (id, begins) in [("b", "caf"), ("c", "\u{FFFD}"), ("d", "")] {
        assert!(
            daemon.event(id).await["event"]["title"]
                .as_str()
                .unwrap()
                .starts_with(begins)
        );
    }
    let shown = home.run(&["preview", "--file", "one.json"]).await;
    assert!(shown.out.contains("caf"), "{shown:#?}");
}
