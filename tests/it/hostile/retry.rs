//! Manual retries cannot flood a mail server or bypass the list of allowed recipients.

use serde_json::{Value, json};

use crate::support::daemon::{Daemon, body, success};
use crate::support::smtp_peer::{Act, At, SmtpPeer};
use crate::support::test_config::TestConfig;

async fn retry(daemon: &Daemon, delivery: &Value) -> (u16, Option<String>, Value) {
    let response = daemon
        .post(&format!(
            "/v1/deliveries/{}/retry",
            delivery["id"].as_str().unwrap()
        ))
        .send()
        .await
        .unwrap();
    let wait = response
        .headers()
        .get("retry-after")
        .map(|value| value.to_str().unwrap().to_owned());
    (
        response.status().as_u16(),
        wait,
        response.json().await.unwrap(),
    )
}

fn attempt_count(delivery: &Value) -> usize {
    delivery["attempts"].as_array().unwrap().len()
}

/// A delivery with one attempt whose retry is not due today.
async fn put_off(config: &mut TestConfig) -> (Daemon, Value) {
    let daemon = config
        .text("retry.initial", "1d")
        .text("retry.max", "1d")
        .text("retry.expire_after", "9d")
        .start()
        .await;
    daemon
        .accept(&json!({"id": "put-off", "status": "succeeded", "to": "a@example.org"}))
        .await;
    let delivery = daemon
        .deliveries("put-off", "one attempt", |all| {
            all[0]["state"] == "queued" && attempt_count(&all[0]) == 1
        })
        .await
        .remove(0);
    (daemon, delivery)
}

#[tokio::test]
async fn manual_retry_is_limited_to_once_a_minute() {
    let peer = SmtpPeer::builder()
        .always(At::Rcpt, Act::reply("451 4.7.1 come back tomorrow"))
        .start()
        .await;
    let mut config = TestConfig::new(&peer);
    config.env("LC_ALL", "en_US.UTF-8");
    let (daemon, delivery) = put_off(&mut config).await;
    assert_eq!(retry(&daemon, &delivery).await.0, 200);
    let tried = daemon
        .deliveries("put-off", "two attempts", |all| {
            all[0]["state"] == "queued" && attempt_count(&all[0]) == 2
        })
        .await
        .remove(0);
    assert_eq!(
        (
            &tried["attempts"][0]["number"],
            &tried["attempts"][1]["number"]
        ),
        (&json!(1), &json!(2)),
        "attempts are still counted"
    );
    for _ in 0..50 {
        let (status, wait, problem) = retry(&daemon, &delivery).await;
        assert_eq!(status, 429, "{problem}");
        assert!(
            (1..=60).contains(&wait.unwrap().parse().unwrap()),
            "{problem}"
        );
    }
    // Cancelling in between does not help.
    assert_eq!(
        body(daemon.post(&format!(
            "/v1/deliveries/{}/cancel",
            delivery["id"].as_str().unwrap()
        )))
        .await
        .0,
        200
    );
    assert_eq!(retry(&daemon, &delivery).await.0, 429);
    config.env("JOBBELL_SERVER__LISTEN", daemon.address());
    let finished = config
        .run(&["queue", "retry", delivery["id"].as_str().unwrap()])
        .await;
    assert!(
        finished.code == Some(1) && finished.err.contains("less than a minute ago"),
        "{finished:#?}"
    );
    assert_eq!(peer.seen().count("RCPT"), 2);
}

#[tokio::test]
async fn offline_queue_retry_obeys_the_same_limit() {
    let peer = SmtpPeer::builder()
        .always(At::Rcpt, Act::reply("451 4.7.1 come back tomorrow"))
        .start()
        .await;
    let mut config = TestConfig::new(&peer);
    let (mut daemon, delivery) = put_off(&mut config).await;
    daemon.stop().await;
    let id = delivery["id"].as_str().unwrap();
    assert_eq!(config.run(&["queue", "retry", id]).await.code, Some(0));
    for (locale, words) in [
        ("en_US.UTF-8", "less than a minute ago"),
        ("zh_CN.UTF-8", "一分钟内已手动重试过"),
    ] {
        config.env("LC_ALL", locale);
        let finished = config.run(&["queue", "retry", id]).await;
        assert!(
            finished.code == Some(1) && finished.err.contains(words),
            "{finished:#?}"
        );
    }
}

#[tokio::test]
async fn recipient_removed_from_the_allow_list_gets_no_mail() {
    let peer = SmtpPeer::builder()
        .once(At::Rcpt, Act::reply("451 4.7.1 come back"))
        .once(At::Rcpt, Act::reply("550 5.1.1 nobody"))
        .start()
        .await;
    let mut config = TestConfig::new(&peer);
    config.text("retry.initial", "1h");
    let daemon = config.start().await;
    let (waits, refused) = (
        json!({"id": "waits", "status": "succeeded", "to": "a@example.org"}),
        json!({"id": "refused", "status": "failed", "to": "b@example.org"}),
    );
    daemon.accept(&waits).await;
    let waiting = daemon
        .deliveries("waits", "one attempt", |all| {
            all[0]["state"] == "queued" && attempt_count(&all[0]) == 1
        })
        .await
        .remove(0);
    daemon.accept(&refused).await;
    let dead = daemon.reached("refused", "dead").await.remove(0);
    config.set("email.allowed_recipients", "[\"boss@example.org\"]");
    daemon.signal("HUP").await;
    daemon.says("configuration reloaded").await;
    for (id, delivery) in [("waits", &waiting), ("refused", &dead)] {
        let (status, _, problem) = retry(&daemon, delivery).await;
        assert!(
            status == 409 && problem["detail"].as_str().unwrap().contains("not_allowed"),
            "{problem}"
        );
        let ended = daemon.reached(id, "suppressed").await.remove(0);
        assert_eq!(
            (&ended["reason"], attempt_count(&ended)),
            (&json!("not_allowed"), 1)
        );
    }
    let stats = daemon.stats().await;
    assert_eq!(
        (&stats["suppressed"], &stats["balanced"]),
        (&json!(2), &json!(true))
    );
    assert_eq!(peer.mails().len(), 0);
}

#[tokio::test]
async fn allow_list_is_checked_at_every_attempt() {
    let peer = SmtpPeer::builder()
        .once(At::Rcpt, Act::reply("451 4.7.1 come back"))
        .start()
        .await;
    let mut config = TestConfig::new(&peer);
    // Long enough to restart the daemon in between on a slow machine.
    config.text("retry.initial", "10s");
    let mut daemon = config.start().await;
    daemon.accept(&success("a@example.org")).await;
    daemon
        .counted("one attempt", |stats| stats["queued"] == 1)
        .await;
    peer.until("one attempt", |seen| seen.count("RCPT") == 1)
        .await;
    daemon.stop().await;
    config.set("email.allowed_recipients", "[\"*@example.com\"]");
    let daemon = config.start().await;
    daemon
        .counted("the end", |stats| stats["suppressed"] == 1)
        .await;
    assert_eq!((peer.seen().count("RCPT"), peer.mails().len()), (1, 0));
}
