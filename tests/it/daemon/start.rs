//! Startup errors: one clear line each, and nothing half-started; and the unix socket.

use std::os::unix::net::UnixListener;

use serde_json::Value;

use crate::support::daemon::{body, message, success};
use crate::support::smtp_peer::SmtpPeer;
use crate::support::test_config::{Finished, TestConfig};

/// The lines of the output that are not log lines.
fn messages(finished: &Finished) -> Vec<&str> {
    finished
        .err
        .lines()
        .filter(|line| serde_json::from_str::<Value>(line).is_err())
        .collect()
}

/// Asserts that the only message contains all of these words.
fn assert_says(finished: &Finished, code: i32, words: &[&str]) {
    let lines = messages(finished);
    assert_eq!(
        (finished.code, lines.len(), finished.out.as_str()),
        (Some(code), 1, ""),
        "{finished:#?}"
    );
    for word in words {
        assert!(lines[0].contains(word), "{word}: {}", lines[0]);
    }
}

fn assert_nothing_made(config: &TestConfig) {
    assert!(
        !config.state().exists(),
        "nothing half-started: {:?}",
        config.state()
    );
}

#[tokio::test]
async fn port_in_use_is_reported_before_files_are_created() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut config = TestConfig::for_port(25);
    config.text("server.listen", &address);
    assert_says(
        &config.run(&["serve"]).await,
        1,
        &[
            "cannot listen on",
            &address,
            "the port is in use",
            "server.listen",
        ],
    );
    assert_nothing_made(&config);
    // `serve` is the default command.
    assert_says(&config.run(&[]).await, 1, &["the port is in use"]);
}

#[tokio::test]
async fn impossible_state_directory_is_reported() {
    let mut config = TestConfig::for_port(25);
    let missing = config.path().join("missing/state").display().to_string();
    config.text("queue.state_dir", &missing);
    assert_says(
        &config.run(&["serve"]).await,
        1,
        &[
            &missing,
            "the directory above it does not exist",
            "queue.state_dir",
        ],
    );
    assert!(!config.path().join("missing").exists());

    let file = config.path().join("file").display().to_string();
    std::fs::write(&file, "precious").unwrap();
    config.text("queue.state_dir", &file);
    assert_says(
        &config.run(&["serve"]).await,
        1,
        &[&file, "is not a directory", "queue.state_dir"],
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");

    // A directory in place of the database is unwritable even for root.
    std::fs::create_dir_all(config.state().join("jobbell.db")).unwrap();
    let state = config.state().display().to_string();
    config.text("queue.state_dir", &state);
    assert_says(
        &config.run(&["serve"]).await,
        1,
        &["cannot write", "jobbell.db", "make it writable"],
    );
}

#[tokio::test]
async fn read_only_state_directory_is_reported() {
    use std::os::unix::fs::PermissionsExt as _;
    let config = TestConfig::for_port(25);
    std::fs::create_dir(config.state()).unwrap();
    std::fs::set_permissions(config.state(), std::fs::Permissions::from_mode(0o500)).unwrap();
    if std::fs::write(config.state().join("probe"), "").is_ok() {
        eprintln!("skipped: root may write to read-only directories");
        return;
    }
    assert_says(
        &config.run(&["serve"]).await,
        1,
        &["cannot write", "make it writable", "queue.state_dir"],
    );
}

#[tokio::test]
async fn second_daemon_on_one_directory_is_refused() {
    let peer = SmtpPeer::start().await;
    let config = TestConfig::new(&peer);
    let first = config.start().await;
    assert_says(
        &config.run(&["serve"]).await,
        1,
        &[
            "another jobbell already works on this queue",
            "queue.state_dir",
        ],
    );
    let id = first.accept(&success("a@example.org")).await;
    first.reached(&id, "sent").await;
}

#[tokio::test]
async fn missing_database_is_not_recreated() {
    let peer = SmtpPeer::start().await;
    let config = TestConfig::new(&peer);
    let mut daemon = config.start().await;
    daemon.accept(&success("a@example.org")).await;
    daemon.stop().await;
    std::fs::remove_file(config.state().join("jobbell.db")).unwrap();
    assert_says(
        &config.run(&["serve"]).await,
        1,
        &["jobbell.db is missing", "a queue was kept there", "restore"],
    );
    assert!(!config.state().join("jobbell.db").exists());
}

#[tokio::test]
async fn unreadable_secret_is_a_configuration_error() {
    let mut config = TestConfig::for_port(25);
    config.text("smtp.username", "me@example.com");
    for path in ["/nowhere/password", "/tmp"] {
        config.text("smtp.password_file", path);
        let finished = config.run(&["serve"]).await;
        assert_eq!(finished.code, Some(78), "{finished:#?}");
        let line = messages(&finished)
            .into_iter()
            .find(|line| line.contains(path))
            .unwrap_or_else(|| panic!("{finished:#?}"));
        assert!(
            line.contains("config.toml:") && line.contains("smtp.password_file"),
            "{line}"
        );
        assert_nothing_made(&config);
    }
}

#[tokio::test]
async fn ten_mistakes_are_reported_on_ten_lines() {
    let mut config = TestConfig::bare();
    config.write(
        r#"[smtp]
hots = "smtp.qq.com"
port = "abc"
enable = "maybe"
tls = "ssl"
from = "me at qq.com"
timeout = "30 parsecs"

[server]
listen = "0.0.0.0:8000"

[queue]
max_pending = 0

[emial]
locale = "zh-CN"

[email]
timezone = "Asia/Shangai"
"#,
    );
    for command in ["serve", "check"] {
        let finished = config.run(&[command]).await;
        assert_eq!(finished.code, Some(78), "{finished:#?}");
        let lines = messages(&finished);
        for place in [
            "2:1", "3:8", "4:10", "5:7", "6:8", "7:11", "10:10", "13:15", "15:2", "19:12",
        ] {
            assert_eq!(
                lines
                    .iter()
                    .filter(|line| line.contains(&format!("config.toml:{place}: ")))
                    .count(),
                1,
                "{place}: {lines:#?}"
            );
        }
        assert!(
            lines
                .iter()
                .any(|line| line.contains("did you mean smtp.host?")),
            "{lines:#?}"
        );
        assert_nothing_made(&config);
    }
}

#[tokio::test]
async fn unprotected_public_listener_is_refused() {
    let mut config = TestConfig::for_port(25);
    config.text("server.listen", "0.0.0.0:0");
    let finished = config.run(&["serve"]).await;
    assert_eq!(finished.code, Some(78), "{finished:#?}");
    assert!(
        finished.err.contains("server.tokens") && finished.err.contains("allow_anonymous"),
        "{}",
        finished.err
    );
    assert_nothing_made(&config);
}

#[tokio::test]
async fn enabled_daemon_without_a_mail_server_is_refused() {
    let config = TestConfig::bare();
    let finished = config.run(&["serve"]).await;
    assert_eq!(finished.code, Some(78), "{finished:#?}");
    assert!(
        finished.err.contains("smtp.host") && finished.err.contains("smtp.enable = false"),
        "{}",
        finished.err
    );
    let mut config = TestConfig::bare();
    config.env("SMTP_ENABLE", "perhaps");
    let finished = config.run(&["serve"]).await;
    assert!(
        finished.err.contains("$SMTP_ENABLE")
            && finished.err.contains("perhaps")
            && finished.err.contains("true, false"),
        "{}",
        finished.err
    );
}

#[tokio::test]
async fn unix_socket_of_a_killed_daemon_is_replaced() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    let path = config.path().join("jobbell.sock");
    config.text("server.listen", &format!("unix:{}", path.display()));
    let mut daemon = config.start().await;
    daemon.accept(&success("a@example.org")).await;
    daemon.kill().await;
    assert!(path.exists(), "a killed daemon leaves its socket");
    let mut daemon = config.start().await;
    let id = daemon.accept(&success("b@example.org")).await;
    daemon.reached(&id, "sent").await;
    daemon.stop().await;
    assert!(!path.exists(), "a stopped daemon removes it");
    // A listening socket is left alone.
    let _living = UnixListener::bind(&path).unwrap();
    assert_says(
        &config.run(&["serve"]).await,
        1,
        &["another program listens there", "server.listen"],
    );
    assert!(path.exists());
}

#[tokio::test]
async fn health_routes_and_page_describe_the_daemon() {
    let peer = SmtpPeer::start().await;
    let daemon = TestConfig::new(&peer).start().await;
    for (path, key, value) in [
        ("/livez", "status", "alive"),
        ("/readyz", "status", "ready"),
        ("/health", "version", env!("CARGO_PKG_VERSION")),
    ] {
        let (status, answer) = body(daemon.get(path)).await;
        assert_eq!(
            (status, answer[key].as_str()),
            (200, Some(value)),
            "{answer}"
        );
    }
    let page = daemon
        .get("/")
        .header("accept-language", "zh-CN")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            page.status().as_u16(),
            page.headers()["content-type"].to_str().unwrap()
        ),
        (200, "text/html; charset=utf-8")
    );
    let page = page.text().await.unwrap();
    assert!(
        page.contains("Jobbell 正在运行")
            && page.contains("href=\"/openapi.json\"")
            && !page.contains("<script"),
        "{page}"
    );
    let started = daemon.says("listening on").await;
    assert_eq!(
        (
            started["level"].as_str(),
            message(&started).ends_with(daemon.address())
        ),
        (Some("INFO"), true)
    );
}

#[tokio::test]
async fn threads_setting_sets_the_number_of_workers() {
    let mut config = TestConfig::for_port(25);
    config.set("server.threads", "16");
    let daemon = config.start().await;
    let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap();
    // Threads of the blocking pool have the same name, but there are few.
    let names = tasks
        .map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default());
    assert!(
        names.filter(|name| name.trim_end() == "jobbell").count() > 16,
        "sixteen workers besides the main thread"
    );
}
