//! `jobbell queue`: the same answers through the daemon and from the store.

use serde_json::{Value, json};

use crate::support::smtp_peer::{Act, At, SmtpPeer};
use crate::support::test_config::TestConfig;

/// A configuration with a sent, a dead and a deferred delivery.
async fn populated() -> (SmtpPeer, TestConfig) {
    let peer = SmtpPeer::builder()
        .once(At::Rcpt, Act::reply("550 5.1.1 nobody"))
        .once(At::Rcpt, Act::reply("451 4.7.1 come back tomorrow"))
        .start()
        .await;
    let mut config = TestConfig::new(&peer);
    let mut daemon = config
        .text("retry.initial", "1d")
        .text("retry.max", "1d")
        .text("retry.expire_after", "9d")
        .start()
        .await;
    for (id, state) in [("refused", "dead"), ("put-off", "queued"), ("done", "sent")] {
        daemon
            .accept(&json!({"id": id, "status": "succeeded", "to": format!("{id}@example.org")}))
            .await;
        daemon
            .deliveries(id, state, |all| {
                all[0]["state"] == state && all[0]["attempts"].as_array().unwrap().len() == 1
            })
            .await;
    }
    daemon.stop().await;
    (peer, config)
}

async fn queue_json(config: &TestConfig, arguments: &[&str]) -> Value {
    let finished = config
        .run(&[&["queue", "--json"], arguments].concat())
        .await;
    assert_eq!(
        (finished.code, finished.err.as_str()),
        (Some(0), ""),
        "{arguments:?}: {finished:#?}"
    );
    finished.json()
}

#[tokio::test]
async fn queue_output_is_the_same_with_and_without_a_daemon() {
    let (_peer, mut config) = populated().await;
    let list = queue_json(&config, &["list"]).await;
    let events: Vec<_> = list["deliveries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|delivery| delivery["event_id"].as_str().unwrap())
        .collect();
    assert_eq!(events, ["done", "put-off", "refused"], "the newest first");
    let id = list["deliveries"][2]["id"].as_str().unwrap().to_owned();
    let questions: Vec<Vec<&str>> = vec![
        vec![],
        vec!["list"],
        vec!["list", "--state", "dead"],
        vec!["list", "--to", "DONE@example.org"],
        vec!["list", "--since", "2026-01-01T00:00:00Z", "--limit", "2"],
        vec!["list", "--since", "2999-01-01T00:00:00Z"],
        vec!["show", "refused"],
        vec!["show", &id],
        vec!["stats"],
    ];
    let mut alone = Vec::new();
    for question in &questions {
        alone.push(queue_json(&config, question).await);
    }
    let mut daemon = config.start().await;
    config.env("JOBBELL_SERVER__LISTEN", daemon.address());
    for (question, alone) in questions.iter().zip(&alone) {
        assert_eq!(queue_json(&config, question).await, *alone, "{question:?}");
    }
    daemon.stop().await;
    assert_eq!(alone[2]["deliveries"].as_array().unwrap().len(), 1);
    assert_eq!(alone[3]["deliveries"][0]["event_id"], "done");
    assert_eq!(
        (
            alone[4]["deliveries"].as_array().unwrap().len(),
            alone[4]["next_cursor"].is_string()
        ),
        (2, true)
    );
    assert_eq!(alone[5]["deliveries"], json!([]));
    assert_eq!(
        (
            &alone[6]["deliveries"][0],
            &alone[7]["attempts"][0]["reply"]["code"]
        ),
        (&alone[7], &json!(550))
    );
    let stats = json!({"accepted": 3, "queued": 1, "sending": 0, "sent": 1, "dead": 1, "suppressed": 0, "cancelled": 0, "balanced": true});
    assert_eq!(alone[8], stats);
}

#[tokio::test]
async fn retry_and_cancel_work_with_and_without_a_daemon() {
    let (peer, mut config) = populated().await;
    let id = async |config: &TestConfig, event: &str| {
        queue_json(config, &["show", event]).await["deliveries"][0]["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (refused, put_off, done) = (
        id(&config, "refused").await,
        id(&config, "put-off").await,
        id(&config, "done").await,
    );
    let cancelled = queue_json(&config, &["cancel", &put_off]).await;
    assert_eq!(
        (&cancelled["id"], &cancelled["state"]),
        (&json!(put_off), &json!("cancelled"))
    );
    let retried = queue_json(&config, &["retry", &refused]).await;
    assert_eq!(
        (&retried["id"], &retried["state"]),
        (&json!(refused), &json!("queued"))
    );
    for (arguments, words) in [
        (["retry", &done], "sent"),
        (["cancel", &put_off], "cancelled"),
        (["cancel", "no-such-id"], "no-such-id"),
    ] {
        let finished = config.run(&["queue", arguments[0], arguments[1]]).await;
        assert_eq!(
            (finished.code, finished.out.as_str()),
            (Some(1), ""),
            "{finished:#?}"
        );
        assert!(finished.err.contains(words), "{}", finished.err);
    }
    // The daemon sends the retried delivery; later commands go through it.
    let daemon = config.start().await;
    daemon.reached("refused", "sent").await;
    config.env("JOBBELL_SERVER__LISTEN", daemon.address());
    queue_json(&config, &["retry", &put_off]).await;
    daemon.reached("put-off", "sent").await;
    let finished = config.run(&["queue", "retry", &done]).await;
    assert!(
        finished.code == Some(1) && finished.err.contains("409"),
        "{finished:#?}"
    );
    assert_eq!(peer.mails().len(), 3);
}

#[tokio::test]
async fn queue_table_is_printed_in_the_users_language() {
    let (_peer, mut config) = populated().await;
    let list = config.env("LANG", "zh_CN.UTF-8").run(&["queue"]).await;
    assert!(
        list.code == Some(0) && list.out.contains("收件人") && list.out.contains("dead (rejected)"),
        "{}",
        list.out
    );
    config.env("LANG", "en_US.UTF-8");
    let list = config.run(&["queue", "list"]).await.out;
    for word in ["delivery", "refused@example.org", "put-off", "sent"] {
        assert!(list.contains(word), "{word}: {list}");
    }
    let shown = config.run(&["queue", "show", "refused"]).await.out;
    assert!(
        shown.contains("550") && shown.contains("nobody") && shown.contains("rcpt"),
        "{shown}"
    );
    let stats = config.run(&["queue", "stats"]).await;
    assert!(
        stats.code == Some(0)
            && stats.out.contains("consistent")
            && !stats.out.contains("INCONSISTENT"),
        "{stats:#?}"
    );
}

#[tokio::test]
async fn missing_queue_is_reported_and_not_created() {
    let config = TestConfig::for_port(25);
    for verb in ["list", "stats"] {
        let finished = config.run(&["queue", verb]).await;
        assert!(
            finished.code == Some(1) && finished.err.contains("there is no queue at"),
            "{finished:#?}"
        );
    }
    assert!(!config.state().exists());
    let unknown = config.run(&["queue", "show", "nobody"]).await;
    assert_eq!(unknown.code, Some(1));
}

#[tokio::test]
async fn check_and_backup_work_with_and_without_a_daemon() {
    let (_peer, config) = populated().await;
    let check =
        async |arguments: &[&str]| queue_json(&config, &[&["check"], arguments].concat()).await;
    let alone = check(&[]).await;
    let counts = json!({"accepted": 3, "queued": 1, "sending": 0, "sent": 1, "dead": 1, "suppressed": 0, "cancelled": 0});
    assert_eq!(
        (
            &alone["sound"],
            &alone["balanced"],
            &alone["problems"],
            &alone["events"]
        ),
        (&json!(true), &json!(true), &json!([]), &json!(3))
    );
    assert_eq!((&alone["counts"], &alone["found"]), (&counts, &counts));
    let mut daemon = config.start().await;
    assert_eq!(check(&[]).await, alone, "beside the daemon");
    queue_json(&config, &["backup", "copy.db"]).await;
    daemon
        .accept(&json!({"id": "later", "status": "succeeded"}))
        .await;
    daemon.reached("later", "sent").await;
    let copy = check(&["copy.db"]).await;
    assert_eq!(
        (&copy["counts"], &copy["sound"], &copy["path"]),
        (&counts, &json!(true), &json!("copy.db"))
    );
    assert_eq!(check(&[]).await["counts"]["accepted"], 4);
    daemon.stop().await;
    let again = config.run(&["queue", "backup", "copy.db"]).await;
    assert!(
        again.code == Some(1)
            && again
                .err
                .contains("copy.db exists already and is not overwritten"),
        "{again:#?}"
    );
    queue_json(&config, &["backup", "another.db"]).await;
    assert_eq!(check(&["another.db"]).await["counts"]["accepted"], 4);
}

#[tokio::test]
async fn damaged_store_is_reported_with_a_remedy() {
    let (_peer, mut config) = populated().await;
    config.text("email.locale", "en");
    queue_json(&config, &["backup", "copy.db"]).await;
    let store = config.state().join("jobbell.db");
    let good = std::fs::read(&store).unwrap();
    let mut bytes = good.clone();
    bytes[100..2000].fill(0xff);
    std::fs::write(&store, &bytes).unwrap();
    let check = config.run(&["queue", "check"]).await;
    assert!(
        check.code == Some(1)
            && check.out.contains("jobbell.db is damaged")
            && check.out.contains("restore the latest backup"),
        "{check:#?}"
    );
    let check = config.run(&["queue", "check", "--json"]).await;
    assert_eq!(
        (check.code, check.json()["sound"].clone()),
        (Some(1), json!(false))
    );
    let start = config.run(&["serve"]).await;
    assert!(
        start.code == Some(1)
            && start.all().contains("jobbell queue check")
            && start.all().contains("restore it from a backup"),
        "{start:#?}"
    );
    assert_eq!(std::fs::read(&store).unwrap(), bytes, "nothing was touched");
    std::fs::remove_file(&store).unwrap();
    let start = config.run(&["serve"]).await;
    assert!(
        start.code == Some(1) && start.all().contains("jobbell.db is missing") && !store.exists(),
        "{start:#?}"
    );
    // The remedy in docs/operations.md.
    std::fs::copy(config.path().join("copy.db"), &store).unwrap();
    let mut daemon = config.start().await;
    assert_eq!(daemon.stats().await["accepted"], 3);
    daemon.stop().await;
}

#[tokio::test]
async fn check_of_a_missing_queue_reports_no_damage() {
    let config = TestConfig::for_port(25);
    let checked = config.run(&["queue", "check"]).await;
    let output = checked.all();
    assert!(
        checked.code == Some(1)
            && output.contains("there is no queue at")
            && !output.contains("NOT sound")
            && !output.contains("队列已损坏"),
        "{checked:#?}"
    );
}
