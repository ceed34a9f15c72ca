//! A response sent before the request body was read either announces the close, or the next request
//! on the connection is answered.

use std::io::ErrorKind;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::sockets::{SIGNED_HOOK, answer, head, status};
use crate::hooks::configured;
use crate::http::test_server::{PATIENCE, Setup, TestServer};

const NEXT: &[u8] = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Refused requests with their expected status.
fn refused() -> Vec<(u16, &'static str, &'static str)> {
    vec![
        (401, "POST /v1/events", "content-type: application/json\r\n"),
        (
            401,
            "POST /v1/messages",
            "content-type: application/json\r\n",
        ),
        (401, "POST /v1/deliveries/x/retry", ""),
        (401, "GET /v1/stats", ""),
        (
            401,
            "POST /v1/hooks/studio",
            "content-type: application/json\r\n",
        ),
        (404, "POST /nosuch", ""),
        (
            404,
            "POST /v1/hooks/nosuch",
            "content-type: application/json\r\n",
        ),
        (405, "DELETE /v1/events", "authorization: Bearer t\r\n"),
        (
            415,
            "POST /v1/events",
            "authorization: Bearer t\r\ncontent-type: text/plain\r\n",
        ),
        (
            415,
            "POST /v1/events",
            "authorization: Bearer t\r\ncontent-type: application/json\r\ncontent-encoding: br\r\n",
        ),
        (
            413,
            "POST /v1/events",
            "authorization: Bearer t\r\ncontent-type: application/json\r\n",
        ),
        (200, "GET /health", ""),
    ]
}

fn server() -> TestServer {
    TestServer::with(Setup {
        tokens: vec!["t"],
        max_body: 8,
        hooks: configured(SIGNED_HOOK),
        ..Setup::default()
    })
}

/// Sends a request in two parts and returns the head of the response.
async fn refusal(stream: &mut TcpStream, head: &str, body: &[u8]) -> String {
    stream.set_nodelay(true).unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    // The connection may be closed if the response precedes the body.
    stream.write_all(body).await.ok();
    answer(stream).await.0
}

/// Sends another request unless the response announced the close; returns whether the connection
/// was kept.
async fn is_kept(stream: &mut TcpStream, head: &str, case: &str) -> bool {
    if head.contains("\r\nconnection: close") {
        let end = timeout(PATIENCE, stream.read(&mut [0]))
            .await
            .expect("it should have closed");
        assert!(
            matches!(&end, Ok(0))
                || end
                    .as_ref()
                    .is_err_and(|error| error.kind() == ErrorKind::ConnectionReset),
            "{case}: {end:?}"
        );
        return false;
    }
    stream.write_all(NEXT).await.unwrap();
    let (next, _) = answer(stream).await;
    assert_eq!(status(&next), 200, "{case}: {next}");
    true
}

#[tokio::test]
async fn refusal_keeps_its_connection_or_announces_the_close() {
    let server = server();
    for (expected, line, lines) in refused() {
        for size in [0, 10, 60_000, 200_000] {
            let body = vec![b'x'; size];
            let chunked = [format!("{size:x}\r\n").as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
            let bodies = [
                (format!("content-length: {size}\r\n"), body),
                ("transfer-encoding: chunked\r\n".to_owned(), chunked),
            ];
            for (framing, bytes) in bodies
                .iter()
                .filter(|(framing, _)| size > 0 || framing.starts_with("content"))
            {
                let case = format!("{line} with {framing:?}, {size} bytes");
                let head = format!("{line} HTTP/1.1\r\nhost: localhost\r\n{lines}{framing}\r\n");
                let mut stream = server.connect().await;
                let head = refusal(&mut stream, &head, bytes).await;
                if !(expected == 413 && size == 0) {
                    assert_eq!(status(&head), expected, "{case}: {head}");
                }
                let kept = is_kept(&mut stream, &head, &case).await;
                assert!(
                    kept || size > 65_536,
                    "{case}: a small body is read so that its connection stays"
                );
            }
        }
    }
}

#[tokio::test]
async fn connection_survives_hundreds_of_refusals() {
    let server = server();
    let mut stream = server.connect().await;
    for number in 0..300 {
        let (expected, line, lines) = refused()[number % 9];
        let length = 1 + number * 10;
        let head = format!(
            "{line} HTTP/1.1\r\nhost: localhost\r\n{lines}content-length: {length}\r\n\r\n"
        );
        let head = refusal(&mut stream, &head, &vec![b'x'; length]).await;
        assert_eq!(status(&head), expected, "{line}: {head}");
        assert!(is_kept(&mut stream, &head, line).await, "{line}: {head}");
    }
}

#[tokio::test]
async fn wrong_credentials_keep_or_announce_the_close_too() {
    let server = server();
    for (expected, line, lines) in [
        (401, "POST /v1/messages", "authorization: Bearer wrong\r\n"),
        (404, "POST /v1/hooks/studio/secret", ""),
    ] {
        // Fewer than the number that triggers throttling.
        for size in [10, 200_000] {
            let mut stream = server.connect().await;
            let head = format!(
                "{line} HTTP/1.1\r\nhost: localhost\r\n{lines}content-length: {size}\r\n\r\n"
            );
            let head = refusal(&mut stream, &head, &vec![b'x'; size]).await;
            assert_eq!(status(&head), expected, "{line}: {head}");
            assert_eq!(is_kept(&mut stream, &head, line).await, size == 10);
        }
    }
}

#[tokio::test]
async fn missing_or_unsolicited_body_closes_the_connection() {
    let server = server();
    for lines in ["", "expect: 100-continue\r\n"] {
        let mut stream = server.connect().await;
        let head = refusal(&mut stream, &head("/v1/events", 10, lines), b"").await;
        assert_eq!(status(&head), 401, "no 100 Continue is sent: {head}");
        assert!(!is_kept(&mut stream, &head, lines).await, "{head}");
    }
}

#[tokio::test]
async fn truncated_body_closes_the_connection() {
    let server = server();
    let lines = "authorization: Bearer t\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n";
    let mut stream = server.connect().await;
    let head = refusal(
        &mut stream,
        &format!("POST /v1/events HTTP/1.1\r\nhost: localhost\r\n{lines}\r\n"),
        b"1\r\n{\r\nzz\r\n",
    )
    .await;
    assert_eq!(status(&head), 400, "{head}");
    assert!(!is_kept(&mut stream, &head, "broken").await, "{head}");
}

#[tokio::test]
async fn cross_origin_refusal_keeps_or_announces_the_close_too() {
    let server = TestServer::open();
    for size in [10, 200_000] {
        let mut stream = server.connect().await;
        let head = refusal(
            &mut stream,
            &head("/v1/events", size, "sec-fetch-site: cross-site\r\n"),
            &vec![b'x'; size],
        )
        .await;
        assert_eq!(status(&head), 403, "{head}");
        assert_eq!(is_kept(&mut stream, &head, "cross-site").await, size == 10);
    }
}
