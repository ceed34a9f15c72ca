//! Shared by the attack tests: raw requests over sockets, and a daemon with a memory limit.

use std::time::{Duration, Instant};

use ring::hmac;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use crate::http::test_server::PATIENCE;
use crate::support::daemon::Daemon;
use crate::support::test_config::TestConfig;

pub(super) const SECRET: &str = "0123456789abcdef";
/// A hook with signed bodies.
pub(super) const SIGNED_HOOK: &str =
    "[hooks.studio]\nkind = \"huiying\"\nverify = \"hmac-sha256\"\nsecret = \"0123456789abcdef\"\n";
pub(super) const SIGNED_PATH: &str = "/v1/hooks/studio";

/// The signature header of that hook.
pub(super) fn signature(body: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), body);
    tag.as_ref()
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// The head of a POST with additional header lines.
pub(super) fn head(path: &str, length: usize, lines: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{lines}\r\n"
    )
}

/// The head of a POST with an invalid signature.
pub(super) fn forged(length: usize) -> String {
    head(
        SIGNED_PATH,
        length,
        &format!("x-signature: {}\r\n", "00".repeat(32)),
    )
}

/// Reads one response: its head in lower case, and its body.
pub(super) async fn answer(stream: &mut TcpStream) -> (String, String) {
    let mut text = String::new();
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                return (head, body.to_owned());
            }
        }
        let mut space = [0; 4_096];
        let read = timeout(PATIENCE, stream.read(&mut space))
            .await
            .expect("an answer should have come")
            .unwrap();
        assert!(read > 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&space[..read]).unwrap());
    }
}

pub(super) fn status(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Connects and sends bytes, ignoring write errors.
pub(super) async fn sent(address: &str, parts: &[&[u8]]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    for part in parts {
        if stream.write_all(part).await.is_err() {
            break;
        }
    }
    stream
}

/// Starts a daemon with a memory limit.
pub(super) async fn start_with_memory(config: &TestConfig, kib: u32) -> Daemon {
    let mut command = Command::new("/bin/sh");
    command.args([
        "-c",
        &format!("ulimit -v {kib}; exec \"$0\" serve"),
        env!("CARGO_BIN_EXE_jobbell"),
    ]);
    config.prepare(&mut command);
    Daemon::start(command).await.living_in(config.keep())
}

/// Peak memory of the daemon, in KiB.
pub(super) async fn peak_memory(daemon: &Daemon) -> u64 {
    let status = tokio::fs::read_to_string(format!("/proc/{}/status", daemon.pid()))
        .await
        .unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The value of a metric without labels.
pub(super) fn metric(text: &str, name: &str) -> u64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .unwrap_or_else(|| panic!("{name}\n{text}"));
    line.parse().unwrap()
}

/// Waits until the metrics returned by `get` meet a condition.
pub(super) async fn until_metrics<F: Future<Output = String>>(
    get: impl Fn() -> F,
    what: &str,
    enough: impl Fn(&str) -> bool,
) {
    let begun = Instant::now();
    loop {
        let text = get().await;
        if enough(&text) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "waited for {what}:\n{text}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
