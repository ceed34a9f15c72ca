//! Memory of request bodies: counted as bytes arrive, at most a quarter for unauthenticated
//! senders.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::sockets::{
    SECRET, SIGNED_HOOK, SIGNED_PATH, answer, forged, head, metric, peak_memory, sent, signature,
    start_with_memory, status, until_metrics,
};
use crate::hooks::configured;
use crate::http::test_server::{self, PATIENCE, Setup, TestServer};
use crate::support::daemon::{Daemon, body, success};
use crate::support::figures;
use crate::support::smtp_peer::SmtpPeer;
use crate::support::test_config::TestConfig;

const MIB: usize = 1 << 20;
/// Memory limit of the daemon in these tests, in KiB.
const MEMORY: u32 = 614_400;
/// Almost one sender for each connection that the daemon serves at a time.
const SENDERS: usize = 760;
/// Fewer, because these cost CPU time and the tests measure memory.
const FEW: usize = 160;

/// A server with a signed hook, a token and a small body budget.
fn server(body_budget: usize) -> TestServer {
    TestServer::with(Setup {
        tokens: vec!["t"],
        body_budget,
        hooks: configured(SIGNED_HOOK),
        ..Setup::default()
    })
}

async fn until_held(server: &TestServer, what: &str, enough: impl Fn(usize) -> bool) {
    let get = || async {
        server
            .get("/metrics")
            .bearer_auth("t")
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    };
    until_metrics(get, what, |text| {
        enough(usize::try_from(metric(text, "jobbell_body_bytes")).unwrap())
    })
    .await;
}

fn record(id: u32, size: usize) -> String {
    json!({ "id": id, "original_prompt": "cat", "image_url": "https://e.com/a.png", "note": "x".repeat(size) }).to_string()
}

/// Posts a record with a valid signature.
async fn signed(server: &TestServer, id: u32, size: usize) -> (u16, Value) {
    let text = record(id, size);
    let request = server
        .post(SIGNED_PATH)
        .header("content-type", "application/json")
        .header("x-signature", signature(text.as_bytes()));
    test_server::answer(request.body(text)).await
}

fn event(size: usize) -> Value {
    json!({ "status": "succeeded", "note": "x".repeat(size) })
}

#[tokio::test]
async fn declared_length_does_not_reserve_memory() {
    let server = server(MIB);
    let mut unauthenticated = Vec::new();
    for _ in 0..20 {
        unauthenticated.push(sent(&server.address, &[forged(MIB).as_bytes(), b"{"]).await);
    }
    until_held(&server, "one byte of each", |held| held >= 20).await;
    assert_eq!(signed(&server, 1, 200_000).await.0, 202);
    until_held(&server, "only those bytes", |held| held == 20).await;
    drop(unauthenticated);
    until_held(&server, "nothing", |held| held == 0).await;
}

#[tokio::test]
async fn stalled_body_is_evicted_for_the_next_one() {
    let server = server(MIB);
    let mut stranger = sent(
        &server.address,
        &[forged(300_000).as_bytes(), &vec![b'x'; 250_000]],
    )
    .await;
    until_held(&server, "a full quarter", |held| held == 250_000).await;
    let authenticated = test_server::answer(
        server
            .post("/v1/events")
            .bearer_auth("t")
            .json(&event(500_000)),
    )
    .await;
    assert_eq!(authenticated.0, 202, "authenticated senders share the rest");
    assert_eq!(
        signed(&server, 1, 200_000).await.0,
        202,
        "an unauthenticated sender waits until the slow one is evicted"
    );
    let (head, problem) = answer(&mut stranger).await;
    assert!(
        status(&head) == 503
            && head.contains("\r\nretry-after: ")
            && problem.contains("body_budget"),
        "{head}{problem}"
    );
    let metrics = server
        .get("/metrics")
        .bearer_auth("t")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        metrics.contains("jobbell_refused_total{why=\"body_budget\"} 1"),
        "{metrics}"
    );
}

#[tokio::test]
async fn small_bodies_always_fit_and_oversized_ones_get_413() {
    let server = server(MIB);
    let full = [b"{".as_slice(), &vec![b' '; MIB - 1]].concat();
    let authorized = head("/v1/events", MIB, "authorization: Bearer t\r\n");
    let mut holder = sent(&server.address, &[authorized.as_bytes(), &full[..MIB - 1]]).await;
    until_held(&server, "a full budget", |held| held == MIB - 1).await;
    let mut answers = tokio::task::JoinSet::new();
    for id in 0..32 {
        let text = record(id, 60_000);
        let request = server
            .post(SIGNED_PATH)
            .header("content-type", "application/json")
            .header("x-signature", signature(text.as_bytes()));
        answers.spawn(test_server::answer(request.body(text)));
    }
    assert!(
        answers
            .join_all()
            .await
            .iter()
            .all(|(status, _)| *status == 202)
    );
    let (head, _) = answer(&mut holder).await;
    assert_eq!(status(&head), 503, "the large body is evicted for them");
    let (status, problem) = signed(&server, 99, 300_000).await;
    assert!(
        status == 413 && problem["detail"].as_str().unwrap().contains("262144 bytes"),
        "{status} {problem}"
    );
}

/// Posts events of other sizes during an attack; each must be accepted, after a retry if need be.
async fn post_valid_events(daemon: &Daemon, number: usize) {
    for size in [10, 50_000, 300_000] {
        let mut event = success("reader@example.org");
        event["note"] = json!(format!("{number} {}", "x".repeat(size)));
        let taken = timeout(PATIENCE * 3, async {
            loop {
                match body(daemon.post("/v1/events").bearer_auth(SECRET).json(&event)).await {
                    (202, _) => break,
                    (503, _) => {}
                    other => panic!("{other:?}"),
                }
            }
        });
        taken
            .await
            .unwrap_or_else(|_| panic!("{size} bytes were not taken: {}", daemon.log()));
    }
}

async fn held(daemon: &Daemon) -> u64 {
    let text = daemon
        .get("/metrics")
        .bearer_auth(SECRET)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    metric(&text, "jobbell_body_bytes")
}

/// A configuration with a signed hook and a token.
fn config(peer: &SmtpPeer) -> TestConfig {
    let mut config = TestConfig::new(peer);
    config
        .text("server.tokens", SECRET)
        .text("hooks.studio.kind", "huiying")
        .text("hooks.studio.verify", "hmac-sha256")
        .text("hooks.studio.secret", SECRET);
    config
}

/// Sends bodies on many connections while valid events arrive; returns the daemon's peak memory in
/// KiB.
async fn attack(count: usize, head: &str, bytes: Vec<u8>, what: &str) -> u64 {
    let peer = SmtpPeer::start().await;
    let config = config(&peer);
    let mut daemon = start_with_memory(&config, MEMORY).await;
    let bytes: std::sync::Arc<[u8]> = bytes.into();
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..count {
        let (address, head, bytes) = (
            daemon.address().to_owned(),
            head.to_owned(),
            std::sync::Arc::clone(&bytes),
        );
        senders.spawn(async move {
            let mut stream: TcpStream = sent(&address, &[head.as_bytes()]).await;
            // Ends when everything is sent or the daemon closes the connection.
            stream.write_all(&bytes).await.ok();
            stream
        });
    }
    let mut most = 0;
    for number in 0..5 {
        post_valid_events(&daemon, number).await;
        most = most.max(held(&daemon).await);
    }
    let streams = timeout(PATIENCE * 3, senders.join_all())
        .await
        .expect("every sender finishes");
    drop(streams);
    post_valid_events(&daemon, 5).await;
    let memory = peak_memory(&daemon).await;
    assert!(most <= 64 << 20, "{most} bytes of bodies");
    figures::record(&format!(
        "{count} senders, {what}: {memory} KiB of memory at most, {most} bytes of bodies were seen"
    ));
    daemon.stop().await;
    memory
}

#[tokio::test]
async fn large_bodies_to_a_signed_hook_stay_within_the_budget() {
    attack(
        SENDERS,
        &forged(MIB),
        vec![b'x'; MIB],
        "1 MiB each to a signed hook",
    )
    .await;
}

#[tokio::test]
async fn stalled_small_bodies_use_bounded_memory() {
    attack(
        SENDERS,
        &forged(MIB),
        vec![b'x'; 65_536],
        "64 KiB each of an announced MiB",
    )
    .await;
}

#[tokio::test]
async fn large_dense_bodies_with_a_token_use_bounded_memory() {
    let dense = [
        b"{\"status\":\"succeeded\",\"metadata\":[".as_slice(),
        &b"{\"a\":0},".repeat(MIB / 8 - 8),
        b"0]}",
    ]
    .concat();
    let authorized = head(
        "/v1/events",
        dense.len(),
        &format!("authorization: Bearer {SECRET}\r\n"),
    );
    attack(
        FEW,
        &authorized,
        dense,
        "1 MiB each of tiny objects, with a token",
    )
    .await;
}

#[tokio::test]
async fn small_dense_bodies_with_a_token_use_bounded_memory() {
    let dense = [
        b"{\"status\":\"succeeded\",\"metadata\":[".as_slice(),
        &b"{\"a\":0},".repeat(8_000),
        b"0]}",
    ]
    .concat();
    let authorized = head(
        "/v1/events",
        dense.len(),
        &format!("authorization: Bearer {SECRET}\r\n"),
    );
    attack(
        FEW,
        &authorized,
        dense,
        "64 KiB each of tiny objects, with a token",
    )
    .await;
}
