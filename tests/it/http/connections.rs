//! The accept loop: limits of connections, and shutdown.

use std::sync::Arc;
use std::time::Duration;

use jobbell::http::{Limits, Listener, Proxies, serve};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::http::test_server::{
    PATIENCE, Setup, TestServer, client, loopback, refusals, until, until_closed,
};

const SOON: Duration = Duration::from_millis(100);
const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n";

fn limits() -> Limits {
    Limits {
        first_byte: PATIENCE * 9,
        head: PATIENCE * 9,
        idle: PATIENCE * 9,
        ..Limits::default()
    }
}

fn server(limits: Limits) -> TestServer {
    TestServer::with(Setup {
        limits,
        ..Setup::default()
    })
}

#[tokio::test]
async fn silent_connection_is_closed_in_time() {
    let server = server(Limits {
        first_byte: SOON,
        ..limits()
    });
    assert_eq!(until_closed(&mut server.connect().await).await, "");
}

#[tokio::test]
async fn slow_head_is_cut_off() {
    let server = server(Limits {
        head: SOON,
        ..limits()
    });
    let mut stream = server.connect().await;
    stream.write_all(b"GET /health HTTP/1.1\r\n").await.unwrap();
    assert_eq!(until_closed(&mut stream).await, "");
    let mut second = server.connect().await;
    second.write_all(HEALTH).await.unwrap();
    until(&mut second, "uptime_s").await;
    // The same for the head of a later request; each byte does not restart the timeout.
    let dripped = timeout(PATIENCE, async {
        while second.write_all(b"G").await.is_ok() {
            tokio::time::sleep(SOON / 4).await;
        }
    })
    .await;
    assert!(dripped.is_ok(), "dripping kept the connection open");
}

#[tokio::test]
async fn idle_connection_is_kept_and_then_closed() {
    let server = server(Limits {
        idle: SOON * 5,
        head: SOON,
        first_byte: SOON,
        ..limits()
    });
    let mut stream = server.connect().await;
    stream.write_all(HEALTH).await.unwrap();
    until(&mut stream, "uptime_s").await;
    let begun = std::time::Instant::now();
    assert_eq!(until_closed(&mut stream).await, "");
    assert!(
        begun.elapsed() >= SOON * 4,
        "closed after {:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn pipelined_requests_share_one_connection() {
    let server = server(limits());
    let mut stream = server.connect().await;
    stream.write_all(&HEALTH.repeat(50)).await.unwrap();
    let mut seen = 0;
    while seen < 50 {
        seen += until(&mut stream, "uptime_s")
            .await
            .matches("uptime_s")
            .count();
    }
    assert_eq!(seen, 50);
}

#[tokio::test]
async fn idle_connections_are_evicted_for_new_ones() {
    let server = server(Limits {
        connections: 8,
        ..limits()
    });
    let mut idlers: Vec<TcpStream> = Vec::new();
    for _ in 0..100 {
        idlers.push(server.connect().await);
    }
    for number in 0..20 {
        let mut stream = server.connect().await;
        // Kept open, so that idle connections are evicted too.
        stream.write_all(HEALTH).await.unwrap();
        until(&mut stream, "uptime_s").await;
        idlers.push(stream);
        assert!(idlers.len() > 100 + number);
    }
}

#[tokio::test]
async fn garbage_gets_400_and_the_server_survives() {
    let server = server(limits());
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\r\n\r\n\0\0\0\0",
        b"GET / HTTP/9.9\r\n\r\n",
        b"EHLO jobbell\r\n\r\n",
        b"\xff\xfe\xfd\xfc\n\n",
    ] {
        let mut stream = server.connect().await;
        stream.write_all(garbage).await.unwrap();
        stream.shutdown().await.unwrap();
        let answered = until_closed(&mut stream).await;
        assert!(
            answered.is_empty() || answered.starts_with("HTTP/1.1 400"),
            "{answered}"
        );
    }
    let long = format!(
        "GET /health HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
        "y".repeat(1_000_000)
    );
    assert!(
        server
            .raw(long.as_bytes())
            .await
            .starts_with("HTTP/1.1 431")
    );
    assert_eq!(server.get("/health").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn half_closed_client_gets_its_response() {
    let server = server(limits());
    let mut stream = server.connect().await;
    stream.write_all(HEALTH).await.unwrap();
    stream.shutdown().await.unwrap();
    assert!(until_closed(&mut stream).await.contains("uptime_s"));
}

/// A server with one route that waits for permission to respond.
fn slow_server(
    limits: Limits,
) -> (
    String,
    Arc<Notify>,
    Arc<Notify>,
    CancellationToken,
    tokio::task::JoinHandle<()>,
) {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (inside, go) = (Arc::clone(&entered), Arc::clone(&release));
    let wait = move || {
        let (inside, go) = (Arc::clone(&inside), Arc::clone(&go));
        async move {
            inside.notify_one();
            go.notified().await;
            "done"
        }
    };
    let router = axum::Router::new().route("/slow", axum::routing::get(wait));
    let listener = Listener::bind(&loopback()).unwrap();
    let url = format!("http://{}/slow", listener.local_addr());
    let stop = CancellationToken::new();
    let served = tokio::spawn(serve(
        listener,
        router,
        limits,
        refusals(),
        Proxies::default(),
        stop.clone(),
    ));
    (url, entered, release, stop, served)
}

#[tokio::test]
async fn stop_finishes_running_requests_and_accepts_no_new_ones() {
    let (url, entered, release, stop, served) = slow_server(Limits {
        drain: PATIENCE * 9,
        ..limits()
    });
    let address = url
        .trim_start_matches("http://")
        .trim_end_matches("/slow")
        .to_owned();
    let silent = TcpStream::connect(&address).await.unwrap();
    let begun = tokio::spawn(client().get(&url).send());
    entered.notified().await;
    stop.cancel();
    // The listening socket closes first.
    timeout(PATIENCE, async {
        while TcpStream::connect(&address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert!(!served.is_finished());
    release.notify_one();
    let response = begun.await.unwrap().unwrap();
    assert_eq!(response.headers()["connection"], "close");
    assert_eq!(response.text().await.unwrap(), "done");
    timeout(PATIENCE, served)
        .await
        .expect("the end of the last request is the end")
        .unwrap();
    drop(silent);
}

#[tokio::test]
async fn endless_request_is_cut_off_at_the_drain_deadline() {
    let (url, entered, _release, stop, served) = slow_server(Limits {
        drain: SOON,
        ..limits()
    });
    let begun = tokio::spawn(client().get(&url).send());
    entered.notified().await;
    stop.cancel();
    timeout(PATIENCE, served)
        .await
        .expect("the drain deadline ends it")
        .unwrap();
    assert!(begun.await.unwrap().is_err());
}

#[tokio::test]
async fn idle_connection_does_not_delay_a_stop() {
    let server = server(Limits {
        drain: PATIENCE * 9,
        ..limits()
    });
    let mut stream = server.connect().await;
    stream.write_all(HEALTH).await.unwrap();
    until(&mut stream, "uptime_s").await;
    server.stop.cancel();
    timeout(PATIENCE, server.served)
        .await
        .expect("no request was being handled")
        .unwrap();
}

#[tokio::test]
async fn panicking_handler_costs_one_500() {
    async fn fall() -> &'static str {
        panic!("on purpose, for the test")
    }
    let router = axum::Router::new()
        .route("/fall", axum::routing::get(fall))
        .route("/stand", axum::routing::get(|| async { "here" }));
    let listener = Listener::bind(&loopback()).unwrap();
    let base = format!("http://{}", listener.local_addr());
    let stop = CancellationToken::new();
    let served = tokio::spawn(serve(
        listener,
        router,
        limits(),
        refusals(),
        Proxies::default(),
        stop.clone(),
    ));
    let client = client();
    let response = client.get(format!("{base}/fall")).send().await.unwrap();
    assert_eq!(
        (
            response.status().as_u16(),
            response.headers()["content-type"].to_str().unwrap()
        ),
        (500, "application/problem+json")
    );
    assert!(!response.text().await.unwrap().contains("on purpose"));
    assert_eq!(
        client
            .get(format!("{base}/stand"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap(),
        "here"
    );
    stop.cancel();
    timeout(PATIENCE, served).await.unwrap().unwrap();
}
