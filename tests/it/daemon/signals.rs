//! Signals: graceful and immediate shutdown, and reload.

use mail_parser::MessageParser;
use serde_json::json;

use crate::support::daemon::{Daemon, success};
use crate::support::smtp_peer::{Act, At, Gate, Mail, SmtpPeer};
use crate::support::test_config::TestConfig;

fn subject(mail: &Mail) -> String {
    MessageParser::default()
        .parse(&mail.data)
        .unwrap()
        .subject()
        .unwrap()
        .to_owned()
}

/// Sends SIGHUP and waits for the reload.
async fn reload(daemon: &Daemon) {
    daemon.signal("HUP").await;
    daemon.says("configuration reloaded").await;
}

#[tokio::test]
async fn sigterm_stops_intake_and_finishes_the_current_mail() {
    for name in ["TERM", "INT"] {
        let gate = Gate::new();
        let peer = SmtpPeer::builder()
            .once(At::Dot, Act::Usual.held(&gate))
            .start()
            .await;
        let config = TestConfig::new(&peer);
        let mut daemon = config.start().await;
        daemon.accept(&success("a@example.org")).await;
        gate.reached().await;
        daemon.signal(name).await;
        daemon.says(&format!("SIG{name}: stopping")).await;
        // The listener closes first; requests still answered are not stored.
        while let Ok(response) = daemon
            .post("/v1/events")
            .json(&success("late@example.org"))
            .send()
            .await
        {
            assert_eq!(response.status(), 202, "every acknowledged event is stored");
        }
        gate.open();
        assert_eq!(daemon.ended().await.code(), Some(0), "{}", daemon.log());
        let stats = config.run(&["queue", "stats", "--json"]).await.json();
        assert!(
            stats["sent"].as_u64() >= Some(1) && stats["sending"] == 0 && stats["balanced"] == true,
            "{stats}"
        );
    }
}

#[tokio::test]
async fn second_sigterm_stops_at_once_and_loses_nothing() {
    let gate = Gate::new();
    let peer = SmtpPeer::builder()
        .once(At::Dot, Act::Usual.held(&gate))
        .start()
        .await;
    let config = TestConfig::new(&peer);
    let mut daemon = config.start().await;
    let id = daemon.accept(&success("a@example.org")).await;
    gate.reached().await;
    daemon.signal("TERM").await;
    daemon.says("SIGTERM: stopping").await;
    daemon.signal("TERM").await;
    assert_eq!(daemon.ended().await.code(), Some(1), "{}", daemon.log());
    daemon.says("SIGTERM again: stopping at once").await;
    let daemon = config.start().await;
    let deliveries = daemon.reached(&id, "sent").await;
    let results: Vec<_> = deliveries[0]["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| &attempt["result"])
        .collect();
    assert_eq!(results, ["uncertain", "sent"]);
    assert_eq!(
        peer.mails().len(),
        1,
        "the server has not accepted the first"
    );
}

#[tokio::test]
async fn sighup_applies_the_new_configuration() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    config.set("server.tokens", r#"["the-first-token-of-all"]"#);
    let daemon = config.start().await;
    let post = |token: &'static str| {
        daemon
            .post("/v1/events")
            .bearer_auth(token)
            .json(&success("a@example.org"))
            .send()
    };
    assert_eq!(post("the-first-token-of-all").await.unwrap().status(), 202);
    peer.until("the first mail", |seen| seen.mails.len() == 1)
        .await;

    config
        .set("server.tokens", r#"["the-second-token-of-all"]"#)
        .text("email.subject_prefix", "[studio]");
    reload(&daemon).await;
    assert_eq!(post("the-first-token-of-all").await.unwrap().status(), 401);
    assert_eq!(post("the-second-token-of-all").await.unwrap().status(), 202);
    let mails = peer
        .until("the second mail", |seen| seen.mails.len() == 2)
        .await
        .mails;
    assert!(
        !subject(&mails[0]).starts_with("[studio]") && subject(&mails[1]).starts_with("[studio]"),
        "{}",
        subject(&mails[1])
    );
    assert!(!daemon.log().contains("-token-of-all"), "{}", daemon.log());
}

#[tokio::test]
async fn switch_is_applied_by_a_reload() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    let daemon = config.start().await;
    config
        .set("smtp.enable", "false")
        .text("email.disabled", "hold");
    reload(&daemon).await;
    let id = daemon.accept(&success("a@example.org")).await;
    config.text("email.disabled", "drop");
    daemon.signal("HUP").await;
    let dropped = loop {
        let id = daemon.accept(&success("b@example.org")).await;
        if daemon.event(&id).await["deliveries"][0]["state"] == "suppressed" {
            break id;
        }
    };
    assert_eq!(
        (
            daemon.reached(&id, "queued").await.len(),
            peer.seen().connections
        ),
        (1, 0)
    );
    config.set("smtp.enable", "true");
    daemon.signal("HUP").await;
    daemon.reached(&id, "sent").await;
    assert_eq!(
        daemon.event(&dropped).await["deliveries"][0]["reason"],
        "disabled"
    );
}

#[tokio::test]
async fn invalid_reload_reports_all_errors_and_keeps_old_config() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    config.text("email.subject_prefix", "[good]");
    let daemon = config.start().await;
    config
        .text("email.subject_prefix", "[bad]")
        .text("smtp.prot", "25")
        .set("retry.max_attempts", "0");
    daemon.signal("HUP").await;
    let failed = daemon.says("reload failed").await;
    assert_eq!(failed["level"], "ERROR");
    for (key, advice) in [
        ("smtp.prot", "did you mean smtp.port?"),
        ("retry.max_attempts", "a number from 1"),
    ] {
        daemon
            .logged(key, |line| {
                line["level"] == "ERROR"
                    && line.to_string().contains(key)
                    && line.to_string().contains(advice)
            })
            .await;
    }
    daemon.accept(&success("a@example.org")).await;
    let mails = peer
        .until("a mail", |seen| seen.mails.len() == 1)
        .await
        .mails;
    assert!(
        subject(&mails[0]).starts_with("[good]"),
        "{}",
        subject(&mails[0])
    );
    // A missing file is refused as well.
    std::fs::remove_file(config.file()).unwrap();
    daemon.signal("HUP").await;
    daemon.says("no configuration found").await;
    daemon.accept(&success("b@example.org")).await;
}

#[tokio::test]
async fn reload_applies_settings_and_reports_restart_only_ones() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    let daemon = config.start().await;
    config
        .text("server.listen", "127.0.0.1:1")
        .set("queue.max_pending", "1")
        .text("queue.retention", "9d")
        .text("email.subject_prefix", "[new]");
    config.text("queue.url", "sqlite://other.db");
    reload(&daemon).await;
    for key in [
        "server.listen",
        "queue.max_pending",
        "queue.retention",
        "queue.url",
    ] {
        let line = daemon
            .says(&format!("{key} has changed; restart the daemon"))
            .await;
        assert_eq!(line["level"], "WARN");
    }
    let id = daemon
        .accept(&json!({"status": "failed", "to": "a@example.org, b@example.org"}))
        .await;
    daemon.reached(&id, "sent").await;
    assert!(subject(&peer.mails()[0]).starts_with("[new]"));
    assert!(!config.state().join("other.db").exists());
}
