//! Listening: ports, unix sockets, inherited sockets.

use std::os::unix::fs::PermissionsExt;

use jobbell::http::{Limits, Listen, Listener, Proxies, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::http::test_server::{PATIENCE, loopback, refusals};

fn router() -> axum::Router {
    axum::Router::new().route("/", axum::routing::get(|| async { "here" }))
}

#[tokio::test]
async fn port_in_use_error_says_what_to_do() {
    let first = Listener::bind(&loopback()).unwrap();
    let taken = Listen::Tcp(first.local_addr().parse().unwrap());
    let text = Listener::bind(&taken).unwrap_err().to_string();
    assert_eq!(
        text,
        format!(
            "cannot listen on {taken}: the port is in use; stop the other program (see ss -ltnp) or change server.listen"
        )
    );
    let elsewhere = Listener::bind(&Listen::Tcp("192.0.2.1:1".parse().unwrap()))
        .unwrap_err()
        .to_string();
    assert!(elsewhere.contains("no network interface"), "{elsewhere}");
}

#[tokio::test]
async fn unix_socket_serves_its_group_and_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobbell.sock");
    let listener = Listener::bind(&Listen::Unix(path.clone())).unwrap();
    assert_eq!(listener.local_addr(), format!("unix:{}", path.display()));
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o660
    );
    let stop = CancellationToken::new();
    let served = tokio::spawn(serve(
        listener,
        router(),
        Limits::default(),
        refusals(),
        Proxies::default(),
        stop.clone(),
    ));
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut text = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut text))
        .await
        .unwrap()
        .unwrap();
    assert!(
        text.starts_with("HTTP/1.1 200") && text.ends_with("here"),
        "{text}"
    );
    stop.cancel();
    timeout(PATIENCE, served).await.unwrap().unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn stale_socket_file_is_replaced_and_a_live_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobbell.sock");
    let listen = Listen::Unix(path.clone());
    // A killed daemon leaves a socket file without a listener.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let living = Listener::bind(&listen).unwrap();
    let text = Listener::bind(&listen).unwrap_err().to_string();
    assert!(text.contains("another program listens there"), "{text}");
    assert!(path.exists());
    drop(living);
    std::fs::write(&path, "precious").unwrap();
    let text = Listener::bind(&listen).unwrap_err().to_string();
    assert!(text.contains("is not a socket"), "{text}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    let text = Listener::bind(&Listen::Unix(directory.path().join("missing/x.sock")))
        .unwrap_err()
        .to_string();
    assert!(text.contains("does not exist; create it"), "{text}");
    let text = Listener::bind(&Listen::Unix(directory.path().join("x".repeat(200))))
        .unwrap_err()
        .to_string();
    assert!(text.contains("exceeds the limit for sockets"), "{text}");
}

#[tokio::test]
async fn inherited_sockets_are_served_and_keep_their_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("given.sock");
    let given = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let listener = Listener::from_unix(given).unwrap();
    assert_eq!(listener.local_addr(), format!("unix:{}", path.display()));
    drop(listener);
    assert!(path.exists());
    let given = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = given.local_addr().unwrap().to_string();
    let listener = Listener::from_tcp(given).unwrap();
    assert_eq!(listener.local_addr(), address);
    let stop = CancellationToken::new();
    let served = tokio::spawn(serve(
        listener,
        router(),
        Limits::default(),
        refusals(),
        Proxies::default(),
        stop.clone(),
    ));
    let text = crate::http::test_server::client()
        .get(format!("http://{address}/"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert_eq!(text, "here");
    stop.cancel();
    timeout(PATIENCE, served).await.unwrap().unwrap();
}
