//! Shared by the attack tests: a daemon that sends nothing, and raw requests.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::http::test_server::until_closed;
use crate::support::daemon::{Daemon, body};
use crate::support::test_config::TestConfig;

/// A token with every scope.
pub(super) const MASTER: &str = "0123456789abcdef-master";

/// A daemon that sends nothing: its mails are suppressed.
pub(super) fn config() -> TestConfig {
    let mut config = TestConfig::bare();
    config
        .set("smtp.enable", "false")
        .text("smtp.to", "boss@example.org");
    config
}

/// Adds tables to the configuration file, after every key has been set.
pub(super) fn append(config: &mut TestConfig, text: &str) {
    let before = std::fs::read_to_string(config.file()).unwrap();
    config.write(&format!("{before}{text}"));
}

pub(super) fn event() -> Value {
    json!({ "status": "succeeded", "prompt": "A cute little kitten", "to": "alice@example.org" })
}

/// Sends a request with these header lines and returns its status.
pub(super) async fn raw(daemon: &Daemon, line: &str, head: &[&str], body: &str) -> u16 {
    let head = [line]
        .iter()
        .chain(head)
        .copied()
        .collect::<Vec<_>>()
        .join("\r\n");
    let length = body.len();
    let request = format!(
        "{head}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(daemon.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = until_closed(&mut stream).await;
    answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or_else(|| panic!("{line}: {answer}"))
}

/// Posts an event with a token.
pub(super) async fn post(daemon: &Daemon, token: &str, event: &Value) -> (u16, Value) {
    body(daemon.post("/v1/events").bearer_auth(token).json(event)).await
}

/// Reads a route with a token.
pub(super) async fn get(daemon: &Daemon, token: &str, path: &str) -> (u16, Value) {
    body(daemon.get(path).bearer_auth(token)).await
}

/// The value of a metric, named up to the space before it.
pub(super) async fn metric(daemon: &Daemon, token: &str, line: &str) -> Option<String> {
    let text = daemon
        .get("/metrics")
        .bearer_auth(token)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    text.lines().find_map(|found| {
        found
            .strip_prefix(line)?
            .strip_prefix(' ')
            .map(str::to_owned)
    })
}
