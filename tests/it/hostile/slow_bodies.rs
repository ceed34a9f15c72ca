//! Stalled connections are evicted for active ones, and no address holds more than half of them.

use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, Instant};

use jobbell::http::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::sockets::{
    SECRET, SIGNED_HOOK, answer, forged, head, peak_memory, sent, signature, start_with_memory,
    status,
};
use crate::hooks::configured;
use crate::http::test_server::{PATIENCE, Setup, TestServer, until_closed};
use crate::support::daemon::success;
use crate::support::figures::{number, record};
use crate::support::smtp_peer::SmtpPeer;
use crate::support::test_config::TestConfig;

const LIVEZ: &[u8] = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Few connections, and timeouts longer than any test.
fn server(connections: usize, setup: Setup) -> TestServer {
    let long = PATIENCE * 9;
    let limits = Limits {
        connections,
        first_byte: long,
        head: long,
        stall: long,
        idle: long,
        ..Limits::default()
    };
    TestServer::with(Setup {
        limits,
        body_time: long,
        tokens: vec!["t"],
        hooks: configured(SIGNED_HOOK),
        ..setup
    })
}

/// Sends one request on a new connection.
async fn livez(server: &TestServer) {
    let (head, _) = answer(&mut sent(&server.address, &[LIVEZ]).await).await;
    assert_eq!(status(&head), 200, "{head}");
}

/// Whether the peer closed the connection within a moment.
async fn is_closed(stream: &mut TcpStream) -> bool {
    !matches!(
        timeout(Duration::from_millis(50), stream.read(&mut [0])).await,
        Err(_) | Ok(Ok(1..))
    )
}

#[tokio::test]
async fn stalled_bodies_are_evicted_for_new_connections() {
    let server = server(8, Setup::default());
    let authorized = head("/v1/events", 100, "authorization: Bearer t\r\n");
    let mut holders = Vec::new();
    for number in 0..64 {
        let head = if number % 2 == 0 {
            forged(100)
        } else {
            authorized.clone()
        };
        holders.push(sent(&server.address, &[head.as_bytes(), b"{"]).await);
        if number % 8 == 7 {
            livez(&server).await;
        }
    }
}

#[tokio::test]
async fn unauthenticated_senders_are_evicted_first() {
    let server = server(8, Setup::default());
    let event = br#"{"status":"succeeded"}"#;
    let authorized = head("/v1/events", event.len(), "authorization: Bearer t\r\n");
    let mut authenticated = Vec::new();
    for _ in 0..2 {
        authenticated.push(sent(&server.address, &[authorized.as_bytes(), &event[..1]]).await);
    }
    // The unauthenticated ones are newer: by age alone the authenticated ones would be evicted.
    let mut unauthenticated = Vec::new();
    for _ in 0..60 {
        unauthenticated.push(sent(&server.address, &[forged(100).as_bytes(), b"{"]).await);
        livez(&server).await;
    }
    for stream in &mut authenticated {
        stream.write_all(&event[1..]).await.unwrap();
        let (head, _) = answer(stream).await;
        assert_eq!(status(&head), 202, "{head}");
    }
}

#[tokio::test]
async fn body_below_the_minimum_rate_gets_408() {
    let limits = Limits {
        stall: Duration::from_millis(200),
        ..Limits::default()
    };
    let server = TestServer::with(Setup {
        limits,
        hooks: configured(SIGNED_HOOK),
        ..Setup::default()
    });
    for first in [0, 1, 50_000] {
        let mut stream = sent(
            &server.address,
            &[forged(100_000).as_bytes(), &vec![b'x'; first]],
        )
        .await;
        let reply = until_closed(&mut stream).await.to_ascii_lowercase();
        assert!(
            reply.starts_with("http/1.1 408") && reply.contains("\r\nconnection: close"),
            "after {first} bytes: {reply}"
        );
    }
    let mut dripping = sent(&server.address, &[forged(100_000).as_bytes()]).await;
    let dripped = timeout(PATIENCE, async {
        while dripping.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    dripped.await.expect("50 bytes a second are too few");
}

#[tokio::test]
async fn body_at_the_minimum_rate_is_accepted() {
    let limits = Limits {
        stall: Duration::from_millis(1_500),
        ..Limits::default()
    };
    let server = TestServer::with(Setup {
        limits,
        hooks: configured(SIGNED_HOOK),
        ..Setup::default()
    });
    let record = format!(
        r#"{{"id":1,"image_url":"https://e.com/a.png","note":"{}"}}"#,
        "x".repeat(8_000)
    );
    let head = head(
        super::sockets::SIGNED_PATH,
        record.len(),
        &format!("x-signature: {}\r\n", signature(record.as_bytes())),
    );
    let mut stream = sent(&server.address, &[head.as_bytes()]).await;
    for part in record.as_bytes().chunks(600) {
        tokio::time::sleep(Duration::from_millis(250)).await;
        stream.write_all(part).await.unwrap();
    }
    let (head, body) = answer(&mut stream).await;
    assert_eq!(status(&head), 202, "{head}{body}");
}

#[tokio::test]
async fn forwarded_address_gets_at_most_half_of_the_slots() {
    let server = server(
        8,
        Setup {
            trusted_proxies: vec!["127.0.0.1"],
            ..Setup::default()
        },
    );
    let from = |address: &str| {
        head(
            "/v1/events",
            100,
            &format!("authorization: Bearer t\r\nx-forwarded-for: 6.6.6.6, {address}\r\n"),
        )
    };
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut stream = sent(&server.address, &[from("192.0.2.1").as_bytes(), b"{"]).await;
        assert!(!is_closed(&mut stream).await);
        held.push(stream);
    }
    let (refused, problem) =
        answer(&mut sent(&server.address, &[from("192.0.2.1").as_bytes()]).await).await;
    assert!(
        status(&refused) == 503 && refused.contains("\r\nretry-after: "),
        "{refused}{problem}"
    );
    let mut other = sent(
        &server.address,
        &[from("192.0.2.7").as_bytes(), &[b' '; 100]],
    )
    .await;
    assert_eq!(
        status(&answer(&mut other).await.0),
        400,
        "another client behind the proxy is served"
    );
    let untrusted = self::server(8, Setup::default());
    let mut streams = Vec::new();
    for _ in 0..7 {
        streams.push(sent(&untrusted.address, &[from("192.0.2.1").as_bytes(), b"{"]).await);
    }
    livez(&untrusted).await;
}

/// A non-loopback address of this machine, if any; sends nothing.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket
        .local_addr()
        .ok()
        .map(|address| address.ip())
        .filter(|address| !address.is_loopback() && !address.is_unspecified())
}

#[tokio::test]
async fn remote_address_gets_at_most_half_of_the_connections() {
    let Some(address) = own_address() else {
        assert!(
            std::env::var("CI").is_err(),
            "this machine has no address but loopback"
        );
        return println!("left out: this machine has no address but loopback");
    };
    let long = PATIENCE * 9;
    let limits = Limits {
        connections: 8,
        first_byte: long,
        head: long,
        stall: long,
        idle: long,
        ..Limits::default()
    };
    let server = TestServer::with(Setup {
        limits,
        listen: (address, 0).into(),
        tokens: vec!["t"],
        ..Setup::default()
    });
    // Requests in progress are not evicted: the fifth connection is closed at once.
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(sent(&server.address, &[LIVEZ]).await);
    }
    let mut open = 0;
    for stream in &mut streams {
        let mut space = [0; 4_096];
        open += usize::from(matches!(
            timeout(PATIENCE, stream.read(&mut space)).await.unwrap(),
            Ok(1..)
        ));
    }
    assert!((4..8).contains(&open), "{open} of 8 were served");
    livez_in_time(&server).await;
}

/// Waits until idle connections of the address are evicted for its new ones.
async fn livez_in_time(server: &TestServer) {
    let begun = Instant::now();
    loop {
        let mut stream = sent(&server.address, &[LIVEZ]).await;
        let mut space = [0; 4_096];
        if matches!(stream.read(&mut space).await, Ok(1..)) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "no connection was evicted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Stalls in one of several ways until the connection is closed, then reconnects.
async fn hold_and_reconnect(address: String, kind: usize) {
    loop {
        let head = match kind % 4 {
            0 => forged(1_000_000),
            1 => head(
                "/v1/events",
                1_000,
                &format!("authorization: Bearer {SECRET}\r\n"),
            ),
            2 => "POST /v1/events HTTP/1.1\r\nhost: ".to_owned(),
            _ => String::new(),
        };
        if let Ok(mut stream) = TcpStream::connect(&address).await {
            let begun = stream.write_all(head.as_bytes()).await.is_ok()
                && (kind % 4 > 1 || stream.write_all(b"{").await.is_ok());
            if begun {
                let _answer = stream.read(&mut [0; 1_024]).await;
            }
        }
        tokio::task::yield_now().await;
    }
}

/// Short version; `tests/soak.sh` holds 3,000 sockets for a minute.
#[tokio::test]
async fn requests_are_served_while_many_sockets_stall() {
    let long = number("JOBBELL_TEST_HOLDERS");
    let holders = usize::try_from(long.unwrap_or(1_500)).unwrap();
    let span = Duration::from_secs(number("JOBBELL_TEST_HOLD_SECONDS").unwrap_or(4));
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    config
        .text("server.tokens", SECRET)
        .text("hooks.studio.kind", "huiying")
        .text("hooks.studio.verify", "hmac-sha256")
        .text("hooks.studio.secret", SECRET);
    let mut daemon = start_with_memory(&config, 614_400).await;
    // On another thread, so that this test measures the daemon and not itself.
    let attackers = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    for kind in 0..holders {
        attackers.spawn(hold_and_reconnect(daemon.address().to_owned(), kind));
    }
    let (begun, mut took) = (Instant::now(), Vec::new());
    while begun.elapsed() < span {
        let sent = Instant::now();
        let connection_of_its_own = daemon
            .post("/v1/events")
            .bearer_auth(SECRET)
            .header("connection", "close");
        let response = connection_of_its_own
            .json(&success("reader@example.org"))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status().as_u16(), 202, "{}", daemon.log());
        took.push(sent.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    attackers.shutdown_background();
    took.sort_unstable();
    let (half, most, last) = (
        took[took.len() / 2],
        took[took.len() * 99 / 100],
        took[took.len() - 1],
    );
    let memory = peak_memory(&daemon).await;
    record(&format!(
        "{holders} sockets held for {span:?}: {} events taken, p50 {half:?}, p99 {most:?}, max {last:?}, {memory} KiB",
        took.len()
    ));
    assert!(
        long.is_none() || last < Duration::from_secs(2),
        "a valid request took {last:?}"
    );
    daemon.stop().await;
}
