//! Access by other users or over the network: `check` and the startup warn about it.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::support::smtp_peer::SmtpPeer;
use crate::support::test_config::TestConfig;

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

async fn warnings(config: &TestConfig) -> Vec<String> {
    let finished = config.run(&["check", "--json"]).await;
    let answer = finished.json();
    assert_eq!(answer["ok"], true, "{answer:#}");
    answer["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|note| {
            format!(
                "{}: {}",
                note["key"].as_str().unwrap(),
                note["message"].as_str().unwrap()
            )
        })
        .collect()
}

/// A configuration that nobody else can access.
async fn tight() -> (SmtpPeer, TestConfig) {
    let peer = SmtpPeer::start().await;
    let config = TestConfig::new(&peer);
    mode(&config.file(), 0o600);
    (peer, config)
}

#[tokio::test]
async fn readable_secret_file_causes_a_warning() {
    let (_peer, mut config) = tight().await;
    mode(&config.file(), 0o644);
    assert_eq!(
        warnings(&config).await,
        Vec::<String>::new(),
        "there is no secret in it"
    );
    config
        .text("smtp.username", "me@example.com")
        .text("smtp.password", "s3cret-canary");
    mode(&config.file(), 0o644);
    let found = warnings(&config).await;
    assert!(
        found.len() == 1 && found[0].starts_with("smtp.password: all users can read"),
        "{found:?}"
    );
    for closed in [0o600, 0o640] {
        mode(&config.file(), closed);
        assert_eq!(warnings(&config).await, Vec::<String>::new());
    }
    config
        .unset("smtp.password")
        .env("SMTP_PASSWORD", "s3cret-canary");
    mode(&config.file(), 0o644);
    assert_eq!(
        warnings(&config).await,
        Vec::<String>::new(),
        "the secret is elsewhere"
    );
}

#[tokio::test]
async fn file_or_directory_writable_by_others_causes_a_warning() {
    let (_peer, mut config) = tight().await;
    mode(&config.file(), 0o602);
    config.env("JOBBELL_CONFIG", config.file());
    std::fs::create_dir(config.state()).unwrap();
    mode(&config.state(), 0o707);
    let found = warnings(&config).await;
    assert!(
        found
            .iter()
            .any(|line| line.contains("all users can change this file")),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|line| line.starts_with("queue.state_dir: all users can write to")),
        "{found:?}"
    );
    let daemon = config.start().await;
    assert!(
        daemon
            .log()
            .contains("queue.state_dir: all users can write to"),
        "{}",
        daemon.log()
    );
}

#[tokio::test]
async fn socket_reachable_by_other_users_causes_a_warning() {
    let (_peer, mut config) = tight().await;
    let socket = config.path().join("jobbell.sock");
    config.text("server.listen", &format!("unix:{}", socket.display()));
    mode(&config.file(), 0o600);
    assert_eq!(warnings(&config).await, Vec::<String>::new());
    let bound = UnixListener::bind(&socket).unwrap();
    mode(&socket, 0o666);
    let found = warnings(&config).await;
    assert!(
        found.len() == 1 && found[0].contains("can connect to") && found[0].contains("0666"),
        "{found:?}"
    );
    drop(bound);
    std::fs::remove_file(&socket).unwrap();
    let folder = config.path().join("run");
    std::fs::create_dir(&folder).unwrap();
    mode(&folder, 0o777);
    config.text(
        "server.listen",
        &format!("unix:{}", folder.join("jobbell.sock").display()),
    );
    mode(&config.file(), 0o600);
    let found = warnings(&config).await;
    assert!(
        found.len() == 1 && found[0].contains("and replace the socket"),
        "{found:?}"
    );
}

#[tokio::test]
async fn plain_http_tokens_beyond_loopback_cause_a_warning() {
    let (_peer, mut config) = tight().await;
    config.set("server.tokens", "[\"a-token-of-thirty-two-characters\"]");
    for (address, open) in [
        ("127.0.0.1:8000", false),
        ("[::1]:8000", false),
        ("0.0.0.0:8000", true),
        ("[::]:8000", true),
        ("192.0.2.7:8000", true),
    ] {
        config.text("server.listen", address);
        mode(&config.file(), 0o600);
        let found = warnings(&config).await;
        assert_eq!(
            found
                .iter()
                .any(|line| line.contains("tokens are sent unencrypted")),
            open,
            "{address}: {found:?}"
        );
    }
}
