//! Payloads and server replies cannot control a terminal: C1 controls, bidirectional text and line
//! separators are escaped, also in `--json` and logs.

use serde_json::{Value, json};

use crate::support::daemon::body;
use crate::support::smtp_peer::{Act, At, SmtpPeer};
use crate::support::test_config::TestConfig;

const NASTY: &str = "a\u{9b}31mb\u{202E}c\u{2028}d\u{2066}e\u{61C}f\u{200B}g\u{2060}h\u{AD}i";

fn steers(text: &str) -> bool {
    text.chars().any(|c| {
        (c.is_control() && c != '\n' && c != '\t') || matches!(c, '\u{AD}' | '\u{61C}' | '\u{200B}' | '\u{200E}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}')
    })
}

#[tokio::test]
async fn records_of_hostile_events_are_escaped_on_the_command_line() {
    let reply = "451 4.7.1 \u{202E}later\u{9b}31m\u{2066}";
    let peer = SmtpPeer::builder()
        .once(At::Rcpt, Act::reply(reply))
        .start()
        .await;
    let mut config = TestConfig::new(&peer);
    let mut daemon = config
        .set("hooks.generic.unverified", "true")
        .text("retry.initial", "1d")
        .text("retry.max", "1d")
        .text("retry.expire_after", "9d")
        .start()
        .await;
    config.text("server.listen", daemon.address());
    let event = json!({"id": "nasty", "status": "failed", "title": NASTY, "error": NASTY, "prompt": NASTY, "metadata": {"note": NASTY, NASTY: 1}, NASTY: 1});
    let (status, answer) = body(daemon.post("/v1/events").json(&event)).await;
    assert_eq!(status, 202, "{answer}");
    let raw = daemon
        .get("/v1/events/nasty")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(!steers(&raw) && raw.contains("\\u009b"), "{raw}");
    assert_eq!(
        serde_json::from_str::<Value>(&raw).unwrap()["event"]["metadata"]["note"],
        NASTY
    );
    daemon
        .deliveries("nasty", "one attempt", |all| {
            all[0]["attempts"].as_array().unwrap().len() == 1
        })
        .await;
    let unknown = daemon
        .post("/v1/hooks/generic")
        .json(&json!({"status": NASTY, "id": NASTY}))
        .send()
        .await
        .unwrap();
    assert_eq!(unknown.status(), 204);
    for arguments in [
        &["queue", "show", "nasty"][..],
        &["queue", "show", "nasty", "--json"],
        &["queue", "list"],
        &["hooks", "failed"],
        &["hooks", "failed", "--json"],
        &["hooks", "failed", "1"],
        &["event", "--status", "done", "--title", NASTY, "--to", NASTY],
        &["test-email"],
        &["test-email", "--json"],
        &["event", "--status", NASTY],
        &["queue", "list", "--state", NASTY],
        &[NASTY],
    ] {
        let done = config.run(arguments).await;
        assert!(
            !steers(&done.out) && !steers(&done.err),
            "{arguments:?}: {done:?}"
        );
        if arguments.contains(&"--json") {
            assert!(serde_json::from_str::<Value>(&done.out).is_ok(), "{done:?}");
        }
        if arguments.contains(&"nasty") {
            assert!(done.out.contains("\\u"), "{done:?}");
        }
    }
    // Replies shown during `test-email` are escaped, too.
    let peer = SmtpPeer::builder()
        .once(At::Rcpt, Act::reply(reply))
        .start()
        .await;
    let tested = TestConfig::new(&peer).run(&["test-email"]).await;
    assert!(
        tested.out.contains("\\u202elater") && !steers(&tested.out),
        "{tested:?}"
    );
    daemon.stop().await;
    assert!(!steers(&daemon.log()), "{:?}", daemon.log());
}
