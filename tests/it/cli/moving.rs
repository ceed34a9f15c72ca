//! `jobbell queue move`: with real daemons before and after, and with a process that is killed.

use std::process::Stdio;

use mail_parser::MessageParser;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::support::postgres::Database;
use crate::support::smtp_peer::{Act, At, SmtpPeer};
use crate::support::test_config::{Finished, TestConfig};

fn text(mail: &[u8]) -> String {
    let mail = MessageParser::default().parse(mail).unwrap();
    mail.body_text(0).unwrap().into_owned()
}

fn ok(finished: Finished) -> Finished {
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    finished
}

/// Everything on record, without the daemon.
async fn records(config: &TestConfig) -> Vec<Value> {
    let list = ok(config
        .run(&["queue", "--json", "list", "--limit", "200"])
        .await)
    .json();
    let mut records = Vec::new();
    for delivery in list["deliveries"].as_array().unwrap() {
        let id = delivery["event_id"].as_str().unwrap();
        records.push(ok(config.run(&["queue", "--json", "show", id]).await).json());
    }
    let stats = ok(config.run(&["queue", "--json", "stats"]).await).json();
    records.push(stats);
    records
}

/// A queue in a file with deliveries in every state, an event with a key, and a secret that waits.
async fn populated(peer: &SmtpPeer) -> TestConfig {
    let mut config = TestConfig::new(peer);
    config
        .text("retry.initial", "1d")
        .text("retry.max", "1d")
        .text("retry.expire_after", "9d");
    let mut daemon = config.start().await;
    for (id, state) in [
        ("refused", "dead"),
        ("put-off", "queued"),
        ("done", "sent"),
        ("stopped", "queued"),
    ] {
        daemon
            .accept(&json!({"id": id, "status": "succeeded", "title": "猫", "to": format!("{id}@example.org")}))
            .await;
        daemon
            .deliveries(id, state, |all| {
                all[0]["state"] == state && all[0]["attempts"].as_array().unwrap().len() == 1
            })
            .await;
    }
    let code = json!({"id": "code", "to": "code@example.org", "template": "verification_code", "expires_in": "1d", "params": {"code": "428913"}});
    let posted = daemon
        .post("/v1/messages")
        .json(&code)
        .send()
        .await
        .unwrap();
    assert_eq!(posted.status(), 202);
    daemon
        .deliveries("code", "queued", |all| {
            all[0]["attempts"].as_array().unwrap().len() == 1
        })
        .await;
    let named = daemon
        .post("/v1/events")
        .header("idempotency-key", "k1")
        .json(&json!({"status": "succeeded", "title": "named", "to": "done@example.org"}));
    assert_eq!(named.send().await.unwrap().status(), 202);
    daemon
        .counted("both to end or wait", |counts| {
            counts["sent"] == 2 && counts["queued"] == 3
        })
        .await;
    daemon.stop().await;
    ok(config.run(&["queue", "cancel", "stopped"]).await);
    config
}

async fn peer() -> SmtpPeer {
    let mut builder = SmtpPeer::builder().once(At::Rcpt, Act::reply("550 5.1.1 nobody"));
    builder = builder.once(At::Rcpt, Act::reply("451 4.7.1 later"));
    builder = builder.once(At::Rcpt, Act::Usual);
    builder = builder.once(At::Rcpt, Act::reply("451 4.7.1 later"));
    builder = builder.once(At::Rcpt, Act::reply("451 4.7.1 later"));
    builder.start().await
}

/// The same machine with its queue in the database.
fn in_database(config: &mut TestConfig, url: &str) {
    config.text("queue.url", url);
}

#[tokio::test]
async fn queue_moves_to_a_database_and_back() {
    let Some(database) = Database::create().await else {
        return;
    };
    let peer = peer().await;
    let mut config = populated(&peer).await;
    let before = records(&config).await;
    assert_eq!(before.len(), 7);
    let url = database.url();
    let moved = ok(config
        .run(&["queue", "--json", "move", "config", &url])
        .await);
    assert_eq!(
        moved.json(),
        json!({"events": 6, "deliveries": 6, "queued": 2, "was_moved": false})
    );
    for phase in ["reading the source", "copying", "comparing"] {
        assert!(moved.err.contains(phase), "{moved:#?}");
    }
    let again = ok(config
        .run(&["queue", "--json", "move", "config", &url])
        .await);
    assert_eq!(again.json()["was_moved"], true);

    let state = config.state();
    in_database(&mut config, &url);
    assert_eq!(records(&config).await, before);
    let mut daemon = config.start().await;
    // What is known is known; another event of the same name is refused.
    let known =
        json!({"id": "done", "status": "succeeded", "title": "猫", "to": "done@example.org"});
    assert_eq!(daemon.answer(&known).await.0, 200);
    let other = json!({"id": "done", "status": "failed", "to": "done@example.org"});
    assert_eq!(daemon.answer(&other).await.0, 409);
    let named = daemon
        .post("/v1/events")
        .header("idempotency-key", "k1")
        .json(&json!({"status": "succeeded", "title": "named", "to": "done@example.org"}));
    assert_eq!(named.send().await.unwrap().status(), 200);
    // A node is alive.
    let back = format!("sqlite://{}", state.join("back.db").display());
    let refused = config.run(&["queue", "move", "config", &back]).await;
    assert!(
        refused.code == Some(1) && refused.err.contains("stop them first"),
        "{refused:#?}"
    );
    daemon.stop().await;

    ok(config.run(&["queue", "move", "config", &back]).await);
    let mut file = TestConfig::new(&peer);
    file.text("queue.url", &back)
        .text("queue.state_dir", &state.display().to_string());
    assert_eq!(records(&file).await, before);
    // The secret is readable: its mail is sent.
    ok(file.run(&["queue", "retry", "code"]).await);
    let mut daemon = file.start().await;
    let mail = peer
        .until("the code", |seen| {
            seen.mails
                .iter()
                .any(|mail| text(&mail.data).contains("428913"))
        })
        .await;
    assert!(!mail.mails.is_empty());
    let refused = file.run(&["queue", "move", "config", &url]).await;
    assert!(
        refused.code == Some(1) && refused.err.contains("another jobbell"),
        "{refused:#?}"
    );
    daemon.stop().await;
}

#[tokio::test]
async fn target_with_other_deliveries_is_refused() {
    let Some(database) = Database::create().await else {
        return;
    };
    let peer = SmtpPeer::start().await;
    let mut elsewhere = TestConfig::new(&peer);
    let socket = format!("unix:{}", elsewhere.path().join("none.sock").display());
    elsewhere
        .text("queue.url", &database.url())
        .text("server.listen", &socket);
    ok(elsewhere
        .run(&[
            "event",
            "--status",
            "done",
            "--id",
            "other",
            "--to",
            "a@example.org",
        ])
        .await);
    let config = populated(&self::peer().await).await;
    let refused = config
        .run(&["queue", "move", "config", &database.url()])
        .await;
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    assert!(refused.err.contains("give an empty one"), "{refused:#?}");
    let same = config
        .run(&["queue", "move", "config", "sqlite://other.db"])
        .await;
    assert_eq!(same.code, Some(78), "{same:#?}");
    let list = ok(elsewhere.run(&["queue", "--json", "list"]).await).json();
    assert_eq!(list["deliveries"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn move_that_was_killed_is_begun_anew() {
    let Some(database) = Database::create().await else {
        return;
    };
    let peer = SmtpPeer::builder()
        .always(At::Rcpt, Act::reply("451 4.7.1 later"))
        .start()
        .await;
    let mut config = TestConfig::new(&peer);
    config.text("retry.initial", "1d").text("retry.max", "1d");
    let mut daemon = config.start().await;
    for part in 0..5 {
        let mut lines = String::new();
        for line in 0..400 {
            let event = json!({"id": format!("e{part}-{line}"), "status": "done", "to": format!("r{line}@example.org")});
            lines += &event.to_string();
            lines.push('\n');
        }
        let posted = daemon
            .post("/v1/events")
            .header("content-type", "application/x-ndjson")
            .body(lines);
        assert_eq!(posted.send().await.unwrap().status(), 202);
    }
    daemon.stop().await;
    let mut command = config.command(&["queue", "move", "config", &database.url()]);
    command.stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("copying") {
            break;
        }
    }
    child.kill().await.unwrap();
    let mut there = TestConfig::new(&peer);
    there.text("queue.url", &database.url());
    let incomplete = there.run(&["serve"]).await;
    assert_eq!(incomplete.code, Some(78), "{incomplete:#?}");
    assert!(incomplete.err.contains("run it again"), "{incomplete:#?}");
    let moved = ok(config
        .run(&["queue", "--json", "move", "config", &database.url()])
        .await);
    assert_eq!(moved.json()["events"], 2_000);
    let mut daemon = there.start().await;
    let stats = daemon.stats().await;
    assert_eq!(
        (&stats["accepted"], &stats["balanced"]),
        (&json!(2_000), &json!(true))
    );
    daemon.stop().await;
}
