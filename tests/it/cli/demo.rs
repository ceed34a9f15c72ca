//! `jobbell demo`: three mails within seconds, and nothing left behind.

use serde_json::json;

use crate::support::daemon::{Daemon, body};
use crate::support::test_config::{PATIENCE, TestConfig};

async fn page(daemon: &Daemon, path: &str) -> (u16, String, Vec<u8>) {
    let response = daemon.get(path).send().await.unwrap();
    let kind = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    (
        response.status().as_u16(),
        kind,
        response.bytes().await.unwrap().to_vec(),
    )
}

async fn text(daemon: &Daemon, path: &str) -> String {
    let (status, _, bytes) = page(daemon, path).await;
    assert_eq!(status, 200, "{path}");
    String::from_utf8(bytes).unwrap()
}

/// Starts the demo with its own temporary folder, and waits until it prints its address.
async fn demo(config: &mut TestConfig, arguments: &[&str]) -> Daemon {
    let temporary = config.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let mut command = config.command(&[&["demo"], arguments].concat());
    command.env("TMPDIR", &temporary);
    let daemon = Daemon::spawn(command);
    let line = daemon.prints("/mailbox").await;
    let (_, address) = line.split_once("http://").unwrap();
    let address = address.strip_suffix("/mailbox").unwrap().to_owned();
    daemon.at(&address)
}

/// Waits until the list shows this many mails.
async fn mails(daemon: &Daemon, number: usize) -> String {
    let begun = std::time::Instant::now();
    loop {
        let list = text(daemon, "/mailbox").await;
        if (1..=number).all(|number| list.contains(&format!("/mailbox/{number}\""))) {
            return list;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "waited for {number} mails: {list}"
        );
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn demo_shows_three_mails_and_leaves_no_files() {
    let mut config = TestConfig::bare();
    // A broken file in the working directory must be ignored.
    config
        .write("[smtp]\nhots = 7\n")
        .env("SMTP_PORT", "nonsense")
        .env("JOBBELL_NONSENSE", "1");
    let mut daemon = demo(&mut config, &["--listen", "127.0.0.1:0"]).await;
    mails(&daemon, 3).await;
    let mut seen = String::new();
    for number in 1..=3 {
        let path = format!("/mailbox/{number}");
        let overview = text(&daemon, &path).await;
        for view in ["html", "text", "source"] {
            assert!(
                overview.contains(&format!("{path}?view={view}")),
                "{view}: {overview}"
            );
            assert!(
                text(&daemon, &format!("{path}?view={view}"))
                    .await
                    .contains("aria-current"),
                "{view}"
            );
        }
        let (html, plain, source) = (
            text(&daemon, &format!("{path}/html")).await,
            text(&daemon, &format!("{path}/text")).await,
            text(&daemon, &format!("{path}/source")).await,
        );
        assert!(
            html.contains("<html")
                && !plain.contains("<html")
                && source.contains("X-Jobbell-Event:"),
            "{source}"
        );
        seen.push_str(&html);
        seen.push_str(&source);
    }
    for id in [
        "demo-success",
        "demo-failure",
        "demo-series",
        "OUT_OF_MEMORY",
    ] {
        assert!(seen.contains(id), "{id}");
    }
    let picture = format!("http://{}/demo/cat.png", daemon.address());
    assert!(
        seen.contains(&picture),
        "the picture in the mail is the demo's own"
    );
    let (status, kind, bytes) = page(&daemon, "/demo/cat.png").await;
    assert_eq!(
        (status, kind.as_str(), bytes.starts_with(b"\x89PNG")),
        (200, "image/png", true)
    );
    assert_eq!(
        daemon
            .get("/demo/nothing.png")
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
    // A posted event takes the same path.
    let (status, _) = body(
        daemon
            .post("/v1/events")
            .json(&json!({"status": "failed", "error": "mine"})),
    )
    .await;
    assert_eq!(status, 202);
    mails(&daemon, 4).await;
    // So do the sample buttons, but not for a page of another origin.
    assert_eq!(
        daemon
            .post("/demo/sample/code")
            .header("sec-fetch-site", "cross-site")
            .send()
            .await
            .unwrap()
            .status(),
        403
    );
    for (name, number) in [
        ("code", 5),
        ("reset", 6),
        ("notice", 7),
        ("success", 8),
        ("failure", 9),
    ] {
        let status = daemon
            .post(&format!("/demo/sample/{name}"))
            .header("accept-language", "en")
            .send()
            .await
            .unwrap()
            .status()
            .as_u16();
        assert!(status == 303 || status == 200, "{name}: {status}");
        mails(&daemon, number).await;
        assert!(
            text(&daemon, &format!("/mailbox/{number}?view=check"))
                .await
                .contains("✓"),
            "the linter finds nothing in {name}"
        );
    }
    assert_eq!(
        daemon
            .post("/demo/sample/nothing")
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
    assert!(
        text(&daemon, "/mailbox/5")
            .await
            .contains("483921 is your Studio verification code")
    );
    assert_eq!(
        daemon
            .post("/mailbox/clear")
            .header("origin", "http://evil.example")
            .send()
            .await
            .unwrap()
            .status(),
        403
    );
    daemon.post("/mailbox/clear").send().await.unwrap();
    assert!(text(&daemon, "/mailbox").await.contains("class=\"blank\""));

    daemon.signal("INT").await;
    assert_eq!(daemon.ended().await.code(), Some(0), "{}", daemon.log());
    let left: Vec<_> = std::fs::read_dir(config.path().join("tmp"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!config.state().exists());
}

#[tokio::test]
async fn demo_listens_on_the_configured_loopback_address() {
    let mut config = TestConfig::bare();
    config.env("JOBBELL_SERVER__LISTEN", "127.0.0.1:0");
    let mut daemon = demo(&mut config, &[]).await;
    let advice = daemon.prints("curl ").await;
    assert!(
        advice.contains(&format!("http://{}/v1/events", daemon.address())),
        "the curl command is printed: {advice}"
    );
    daemon.stop().await;
    let everywhere = config.run(&["demo", "--listen", "0.0.0.0:0"]).await;
    assert!(
        everywhere.code == Some(1) && everywhere.err.contains("127.0.0.1"),
        "{everywhere:#?}"
    );
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = config.run(&["demo", "--listen", &address]).await;
    assert!(
        refused.code == Some(1) && refused.err.contains("the port is in use"),
        "{refused:#?}"
    );
}
