//! Bodies with `Content-Encoding`: gzip is inflated within limits, anything else gets a 415 that
//! says what to do.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use serde_json::json;

use super::sockets::{SIGNED_HOOK, SIGNED_PATH, metric, signature};
use crate::hooks::configured;
use crate::http::test_server::{Setup, TestServer, answer};

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn server() -> TestServer {
    TestServer::with(Setup {
        max_body: 100_000,
        hooks: configured(SIGNED_HOOK),
        ..Setup::default()
    })
}

async fn post(
    server: &TestServer,
    path: &str,
    coding: &str,
    body: Vec<u8>,
) -> (u16, serde_json::Value) {
    answer(
        server
            .post(path)
            .header("content-type", "application/json")
            .header("content-encoding", coding)
            .body(body),
    )
    .await
}

#[tokio::test]
async fn gzip_bodies_are_accepted_by_every_route() {
    let server = server();
    let event =
        json!({ "id": "one", "status": "succeeded", "prompt": "猫".repeat(1_000) }).to_string();
    assert_eq!(
        post(&server, "/v1/events", "gzip", gzip(event.as_bytes()))
            .await
            .0,
        202
    );
    assert_eq!(
        post(&server, "/v1/events", "X-Gzip", gzip(event.as_bytes()))
            .await
            .0,
        200,
        "the same event"
    );
    assert_eq!(
        answer(
            server
                .post("/v1/events")
                .header("content-type", "application/json")
                .body(event)
        )
        .await
        .0,
        200,
        "also without the coding"
    );
    let notice = json!({ "to": "a@example.org", "template": "system_notice", "params": { "title": "T", "message": "M" } }).to_string();
    assert_eq!(
        post(&server, "/v1/messages", "gzip", gzip(notice.as_bytes()))
            .await
            .0,
        202
    );
    let lines = gzip(b"{\"status\":\"succeeded\"}\n{\"status\":\"failed\"}\n");
    let request = server
        .post("/v1/events")
        .header("content-type", "application/x-ndjson")
        .header("content-encoding", "gzip")
        .body(lines);
    assert_eq!(answer(request).await.0, 202);
    assert_eq!(server.accepted().await, 4);
}

#[tokio::test]
async fn hook_signature_covers_compressed_or_inflated_body() {
    let server = server();
    let record = json!({ "id": 1, "original_prompt": "cat", "image_url": "https://e.com/a.png" })
        .to_string();
    let coded = gzip(record.as_bytes());
    for (signed, expected) in [
        (coded.as_slice(), 202),
        (record.as_bytes(), 200),
        (b"other".as_slice(), 401),
    ] {
        let request = server
            .post(SIGNED_PATH)
            .header("content-type", "application/json")
            .header("content-encoding", "gzip");
        assert_eq!(
            answer(
                request
                    .header("x-signature", signature(signed))
                    .body(coded.clone())
            )
            .await
            .0,
            expected
        );
    }
}

#[tokio::test]
async fn gzip_bombs_and_corrupt_bodies_are_refused() {
    let server = server();
    let bomb = gzip(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 100_000);
    let (status, problem) = post(&server, "/v1/events", "gzip", bomb.clone()).await;
    assert_eq!(status, 413, "{problem}");
    assert_eq!(
        post(&server, "/v1/events", "gzip", gzip(&bomb)).await.0,
        400,
        "it is inflated once"
    );
    let whole = gzip(b"{\"status\":\"succeeded\"}");
    for damaged in [
        &whole[..whole.len() - 1],
        &whole[..4],
        b"{\"status\":\"succeeded\"}",
    ] {
        let (status, problem) = post(&server, "/v1/events", "gzip", damaged.to_vec()).await;
        assert!(
            status == 400 && problem["detail"].as_str().unwrap().contains("gzip"),
            "{status} {problem}"
        );
    }
    assert_eq!(server.accepted().await, 0);
    let metrics = server
        .get("/metrics")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert_eq!(
        metric(&metrics, "jobbell_body_bytes"),
        0,
        "the whole budget is released"
    );
}

#[tokio::test]
async fn unsupported_content_encodings_get_415() {
    let server = server();
    let mut deflate = DeflateEncoder::new(Vec::new(), Compression::best());
    deflate.write_all(b"{\"status\":\"succeeded\"}").unwrap();
    let deflated = deflate.finish().unwrap();
    for coding in ["deflate", "br", "zstd", "gzip, gzip", "gzip, br", "b\"ad"] {
        for path in ["/v1/events", "/v1/messages", "/v1/hooks/huiying"] {
            let request = server
                .post(path)
                .header("content-type", "application/json")
                .header("content-encoding", coding);
            let response = request.body(deflated.clone()).send().await.unwrap();
            assert_eq!(
                (
                    response.status().as_u16(),
                    response.headers()["accept-encoding"].to_str().unwrap()
                ),
                (415, "gzip"),
                "{coding}"
            );
            let problem: serde_json::Value = response.json().await.unwrap();
            assert!(
                problem["detail"].as_str().unwrap().contains("gzip"),
                "{problem}"
            );
        }
    }
    assert_eq!(
        post(
            &server,
            "/v1/events",
            "identity",
            b"{\"status\":\"succeeded\"}".to_vec()
        )
        .await
        .0,
        202
    );
}
