//! DNS rebinding and related attacks: a web page whose host name resolves to this daemon.

use serde_json::json;

use super::attacker::{MASTER, append, config, event, raw};
use crate::support::daemon::Daemon;
use crate::support::test_config::TestConfig;

const POST: &str = "POST /v1/events HTTP/1.1";

async fn post(daemon: &Daemon, head: &[&str]) -> u16 {
    raw(daemon, POST, head, &event().to_string()).await
}

async fn get(daemon: &Daemon, path: &str, host: &str) -> u16 {
    raw(
        daemon,
        &format!("GET {path} HTTP/1.1"),
        &[&format!("Host: {host}")],
        "",
    )
    .await
}

#[tokio::test]
async fn foreign_host_names_are_refused_without_tokens() {
    let mut config = config();
    config
        .text("server.hosts", "Bell.lan., 192.0.2.7")
        .text("server.public_url", "https://bell.example.com/x");
    let daemon = config.start().await;
    let port = daemon.address().rsplit_once(':').unwrap().1.to_owned();
    let dialled = format!("Host: 127.0.0.1:{port}");
    for host in [
        "localhost",
        "LOCALHOST.:1",
        "127.0.0.1",
        "[::1]:8000",
        "bell.lan:80",
        "192.0.2.7",
        "BELL.example.com",
        "[::ffff:127.0.0.1]",
    ] {
        assert_eq!(
            post(&daemon, &[&format!("Host: {host}")]).await,
            202,
            "{host}"
        );
    }
    assert_eq!(post(&daemon, &[&dialled]).await, 202);
    let foreign = [
        "evil.org",
        "localhost.evil.org",
        "127.0.0.1.evil.org",
        "evil.localhost",
        "0x7f.1",
        "2130706433",
        "0.0.0.0",
        "192.0.2.8",
        "x.bell.lan",
        "[::]",
        "%2Frun%2Fjobbell.sock",
        "a!b:80",
    ];
    for host in foreign {
        assert_eq!(
            post(&daemon, &[&format!("Host: {host}")]).await,
            421,
            "{host}"
        );
        for path in [
            "/v1/stats",
            "/v1/deliveries",
            "/v1/events/x",
            "/metrics",
            "/openapi.json",
            "/nothing",
        ] {
            assert_eq!(get(&daemon, path, host).await, 421, "{path} at {host}");
        }
        for path in ["/livez", "/readyz", "/health"] {
            assert_eq!(
                get(&daemon, path, host).await,
                200,
                "a probe of {path} may ask under any name"
            );
        }
    }
    let absolute = |target: &str| format!("POST http://{target}/v1/events HTTP/1.1");
    for (target, host, status) in [
        ("localhost", "localhost", 202),
        ("evil.org", "localhost", 421),
        ("localhost", "evil.org", 421),
    ] {
        let headers = [&*format!("Host: {host}")];
        let answered = raw(&daemon, &absolute(target), &headers, &event().to_string()).await;
        assert_eq!(answered, status, "{target}, Host: {host}");
    }
}

#[tokio::test]
async fn request_without_exactly_one_host_header_is_refused() {
    let mut config = config();
    config.text("server.tokens", MASTER);
    let daemon = config.start().await;
    let token = format!("Authorization: Bearer {MASTER}");
    let wrong: [&[&str]; 10] = [
        &[],
        &["Host: localhost", "Host: localhost"],
        &["Host: localhost", "Host: evil.org"],
        &["Host:"],
        &["Host: user@localhost"],
        &["Host: local host"],
        &["Host: localhost:port"],
        &["Host: localhost/v1"],
        &["Host: localhost, evil.org"],
        &["Host: evil%zz"],
    ];
    for head in wrong {
        let head: Vec<&str> = head.iter().copied().chain([token.as_str()]).collect();
        for line in [POST, "POST /v1/events HTTP/1.0", "GET /livez HTTP/1.1"] {
            assert_eq!(
                raw(&daemon, line, &head, &event().to_string()).await,
                400,
                "{line} {head:?}"
            );
        }
    }
    assert_eq!(
        raw(
            &daemon,
            "POST /v1/events HTTP/1.0",
            &["Host: evil.org", &token],
            &event().to_string()
        )
        .await,
        202
    );
}

#[tokio::test]
async fn authenticated_requests_may_use_any_host_name() {
    let mut with_token = config();
    with_token.text("server.tokens", MASTER);
    let daemon = with_token.start().await;
    let token = format!("Authorization: Bearer {MASTER}");
    for host in ["proxy.example", "%2Frun%2Fjobbell.sock", "a!b:80"] {
        assert_eq!(
            post(&daemon, &[&format!("Host: {host}"), &token]).await,
            202,
            "{host}"
        );
    }
    assert_eq!(post(&daemon, &["Host: proxy.example"]).await, 401);
    assert_eq!(
        post(
            &daemon,
            &["Host: proxy.example", "Authorization: Bearer wrong"]
        )
        .await,
        401
    );

    let mut with_hooks = config();
    append(
        &mut with_hooks,
        "[hooks.open]\nkind = \"generic\"\nunverified = true\n[hooks.gpu]\nkind = \"runpod\"\nsecret = \"0123456789abcdef\"\n",
    );
    append(
        &mut with_hooks,
        "[hooks.half]\nkind = \"generic\"\nverify = \"hmac-sha256\"\nsecret = \"0123456789abcdef\"\nunverified = true\n",
    );
    let daemon = with_hooks.start().await;
    let body = json!({"id": "j-1", "status": "COMPLETED", "output": {"images": []}}).to_string();
    let hook = async |path: &str, head: &[&str]| {
        raw(
            &daemon,
            &format!("POST /v1/hooks/{path} HTTP/1.1"),
            head,
            &body,
        )
        .await
    };
    assert!(
        matches!(
            hook("gpu/0123456789abcdef", &["Host: tunnel.example"]).await,
            200..300
        ),
        "authenticated by its secret"
    );
    assert_eq!(hook("gpu/wrong", &["Host: tunnel.example"]).await, 404);
    for open in ["open", "half", "huiying"] {
        assert_eq!(hook(open, &["Host: evil.org"]).await, 421, "{open}");
        assert_eq!(
            hook(open, &["Host: localhost", "Origin: http://evil.org"]).await,
            403,
            "{open}"
        );
    }
}

#[tokio::test]
async fn origin_is_checked_against_our_names_not_the_host_header() {
    let mut config = config();
    config.text("server.public_url", "https://bell.example.com");
    let daemon = config.start().await;
    let port = daemon.address().rsplit_once(':').unwrap().1.to_owned();
    let host = format!("Host: 127.0.0.1:{port}");
    let ours = [
        format!("http://127.0.0.1:{port}"),
        format!("http://localhost:{port}"),
        "https://bell.example.com".to_owned(),
    ];
    for origin in &ours {
        assert_eq!(
            post(&daemon, &[&host, &format!("Origin: {origin}")]).await,
            202,
            "{origin}"
        );
        assert_eq!(
            post(
                &daemon,
                &[
                    &host,
                    &format!("Origin: {origin}"),
                    "Sec-Fetch-Site: same-origin"
                ]
            )
            .await,
            202,
            "{origin}"
        );
        assert_eq!(
            post(
                &daemon,
                &[
                    &host,
                    &format!("Origin: {origin}"),
                    "Origin: http://evil.org"
                ]
            )
            .await,
            403,
            "{origin}"
        );
    }
    assert_eq!(
        post(
            &daemon,
            &["Host: localhost:9000", "Origin: http://localhost:9000"]
        )
        .await,
        202,
        "a mapped port"
    );
    for origin in [
        "http://evil.org",
        "null",
        "https://bell.example.com.evil.org",
        "http://localhost:1",
        "http://bell.example.com:1",
        "http://localhost@evil.org",
    ] {
        assert_eq!(
            post(&daemon, &[&host, &format!("Origin: {origin}")]).await,
            403,
            "{origin}"
        );
        assert_eq!(
            post(
                &daemon,
                &[
                    &host,
                    &format!("Origin: {origin}"),
                    "Sec-Fetch-Site: same-origin"
                ]
            )
            .await,
            403,
            "{origin}"
        );
    }
    for site in ["cross-site", "same-site", "nonsense"] {
        assert_eq!(
            post(&daemon, &[&host, &format!("Sec-Fetch-Site: {site}")]).await,
            403,
            "{site}"
        );
    }
    assert_eq!(post(&daemon, &[&host, "Sec-Fetch-Site: none"]).await, 202);
}

#[tokio::test]
async fn command_line_clients_work_on_every_listen_address() {
    let mut homes: Vec<TestConfig> = ["127.0.0.1:0", "[::1]:0"]
        .into_iter()
        .map(|listen| listening(listen, false))
        .collect();
    homes.push(listening("0.0.0.0:0", true));
    let unix = config();
    let path = format!("unix:{}", unix.path().join("bell.sock").display());
    let mut unix = unix;
    unix.text("server.listen", &path);
    homes.push(unix);
    for mut config in homes {
        let daemon = config.start().await;
        config.text("server.listen", daemon.address());
        let posted = config
            .run(&["event", "--status", "succeeded", "--to", "a@example.org"])
            .await;
        assert_eq!(posted.code, Some(0), "{}: {posted:?}", daemon.address());
        let listed = config.run(&["queue", "list", "--json"]).await;
        assert!(
            listed.out.contains("a@example.org"),
            "{}: {listed:?}",
            daemon.address()
        );
        let ran = config
            .run(&["run", "--to", "a@example.org", "--", "true"])
            .await;
        assert!(
            ran.code == Some(0) && ran.err.is_empty(),
            "{}: {ran:?}",
            daemon.address()
        );
        if daemon.address().starts_with("unix:") {
            assert_eq!(
                daemon
                    .post("/v1/events")
                    .header("host", "anything.example")
                    .json(&event())
                    .send()
                    .await
                    .unwrap()
                    .status(),
                202
            );
        }
    }
}

fn listening(address: &str, anonymous: bool) -> TestConfig {
    let mut config = config();
    config.text("server.listen", address).set(
        "server.allow_anonymous",
        if anonymous { "true" } else { "false" },
    );
    config
}
