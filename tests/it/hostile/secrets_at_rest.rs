//! Codes and secret links in the store: never in clear, and removed when their mail has ended.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use jobbell::clock::Clock;
use jobbell::domain::{
    DeadReason, Event, EventId, MailKind, MessageContent, MessageRequest, Outcome, State,
};
use jobbell::queue::{ClaimLimit, Enqueued, NewEvent, OperatorError, Settlement, sqlite};
use ring::digest::{SHA256, digest};
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::queue::fixture::{LEASE, QueueFixture, settings};
use crate::support::daemon::{Daemon, body};
use crate::support::smtp_peer::{Act, At, SmtpPeer};
use crate::support::test_config::TestConfig;

const CODE: &str = "48392177";
const LINK: &str = "https://app.example.com/reset?token=2b7f0c5e9a1d";
const TOKEN: &str = "2b7f0c5e9a1d";

/// Asserts that no file of the state directory, including backups, contains a code or a link.
fn assert_unreadable(directory: &Path) {
    let mut files = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap_or_default();
        files += 1;
        for secret in [CODE, TOKEN] {
            assert!(
                !bytes
                    .windows(secret.len())
                    .any(|window| window == secret.as_bytes()),
                "{secret} in {}",
                path.display()
            );
        }
    }
    assert!(files > 2, "{}", directory.display());
}

async fn post(daemon: &Daemon, id: &str, template: &str, params: Value) {
    let message = json!({"id": id, "to": format!("{id}@example.org"), "template": template, "params": params, "locale": "en"});
    let (status, answer) = body(daemon.post("/v1/messages").json(&message)).await;
    assert_eq!(status, 202, "{answer}");
}

#[tokio::test]
async fn store_and_backup_contain_no_code_or_link_in_clear() {
    let peer = SmtpPeer::builder()
        .once(At::Rcpt, Act::reply("550 5.1.1 nobody"))
        .once(At::Rcpt, Act::reply("451 4.7.1 later"))
        .start()
        .await;
    let mut config = TestConfig::new(&peer);
    let mut daemon = config.text("retry.initial", "1h").start().await;
    post(
        &daemon,
        "dead",
        "verification_code",
        json!({ "code": CODE }),
    )
    .await;
    let dead = daemon.reached("dead", "dead").await.remove(0);
    post(
        &daemon,
        "cancelled",
        "password_reset",
        json!({"code": CODE, "url": LINK}),
    )
    .await;
    let waits = daemon
        .deliveries("cancelled", "one try", |all| {
            all[0]["attempts"].as_array().unwrap().len() == 1 && all[0]["state"] == "queued"
        })
        .await
        .remove(0);
    post(&daemon, "sent", "verify_link", json!({ "url": LINK })).await;
    daemon.reached("sent", "sent").await;
    assert_unreadable(&config.state());
    assert_eq!(
        config
            .run(&["queue", "backup", "state/copy-1.db"])
            .await
            .code,
        Some(0)
    );
    let id = waits["id"].as_str().unwrap();
    assert_eq!(
        body(daemon.post(&format!("/v1/deliveries/{id}/cancel")))
            .await
            .0,
        200
    );
    assert_eq!(
        config
            .run(&["queue", "backup", "state/copy-2.db"])
            .await
            .code,
        Some(0)
    );
    assert_unreadable(&config.state());
    for delivery in [&dead, &waits] {
        let (status, problem) = body(daemon.post(&format!(
            "/v1/deliveries/{}/retry",
            delivery["id"].as_str().unwrap()
        )))
        .await;
        assert!(
            status == 409
                && problem["detail"]
                    .as_str()
                    .unwrap()
                    .contains("codes and links go when their mail has ended"),
            "{problem}"
        );
    }
    // The record keeps the type, and a repetition is recognized.
    assert_eq!(
        daemon.event("cancelled").await["event"]["params"],
        json!({"code": "***", "url": "https://app.example.com/***"})
    );
    let again = json!({"id": "sent", "to": "sent@example.org", "template": "verify_link", "params": {"url": LINK}, "locale": "en"});
    assert_eq!(body(daemon.post("/v1/messages").json(&again)).await.0, 200);
    let other = json!({"id": "sent", "to": "sent@example.org", "template": "verify_link", "params": {"url": "https://app.example.com/else"}});
    assert_eq!(body(daemon.post("/v1/messages").json(&other)).await.0, 409);
    assert!(
        peer.mails()[0]
            .data
            .windows(TOKEN.len())
            .any(|window| window == TOKEN.as_bytes()),
        "the mail itself has it"
    );
    daemon.stop().await;
    assert_unreadable(&config.state());
    let check = config.run(&["queue", "check", "--json"]).await;
    assert_eq!(
        (check.code, &check.json()["sound"]),
        (Some(0), &json!(true)),
        "{check:#?}"
    );
    let copy = config
        .run(&["queue", "check", "state/copy-1.db", "--json"])
        .await;
    assert_eq!(copy.json()["sound"], true, "{copy:#?}");
}

#[tokio::test]
async fn code_repeated_by_a_mail_server_is_masked_in_record_and_log() {
    let peer = SmtpPeer::builder()
        .once(
            At::Dot,
            Act::reply(&format!("554 5.7.1 spam: {CODE} is your code")),
        )
        .once(At::Dot, Act::reply(&format!("250 2.0.0 took {LINK}")))
        .start()
        .await;
    let config = TestConfig::new(&peer);
    let daemon = config.start().await;
    post(
        &daemon,
        "refused",
        "verification_code",
        json!({ "code": CODE }),
    )
    .await;
    let dead = daemon.reached("refused", "dead").await.remove(0);
    assert_eq!(
        dead["attempts"][0]["reply"]["text"],
        "spam: *** is your code"
    );
    post(&daemon, "taken", "verify_link", json!({ "url": LINK })).await;
    let sent = daemon.reached("taken", "sent").await.remove(0);
    assert_eq!(
        sent["attempts"][0]["reply"]["text"],
        "took https://app.example.com/***"
    );
    assert_unreadable(&config.state());
    let log = daemon.log();
    assert!(!log.contains(CODE) && !log.contains(TOKEN), "{log}");
}

#[tokio::test]
async fn encrypted_messages_are_sent_after_a_restart() {
    let peer = SmtpPeer::builder()
        .once(At::Rcpt, Act::reply("451 4.7.1 later"))
        .start()
        .await;
    let config = TestConfig::new(&peer);
    let mut daemon = config.start().await;
    post(
        &daemon,
        "waits",
        "verification_code",
        json!({ "code": CODE }),
    )
    .await;
    daemon.stop().await;
    let daemon = config.start().await;
    daemon.reached("waits", "sent").await;
    assert!(String::from_utf8_lossy(&peer.mails()[0].data).contains(CODE));
}

#[tokio::test]
async fn daemon_memory_is_unreadable_to_other_users() {
    let peer = SmtpPeer::start().await;
    let config = TestConfig::new(&peer);
    let daemon = config.start().await;
    // `/proc` files of a non-dumpable process belong to root, whichever user runs it.
    let environment = fs::metadata(format!("/proc/{}/environ", daemon.pid())).unwrap();
    assert_eq!(environment.uid(), 0);
    let limits = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    assert!(limits.contains("CoreDumping:\t0"), "{limits}");
}

fn message(id: &str) -> Event {
    let names = jobbell::domain::event::MessageNames::default();
    let code = jobbell::domain::event::Code::parse(CODE).unwrap();
    let content = MessageContent::VerificationCode {
        code,
        purpose: None,
        names,
    };
    let to =
        ["a@example.com", "b@example.com"].map(|to| jobbell::domain::Recipient::parse(to).unwrap());
    Event::Message(Box::new(MessageRequest::new(
        EventId::parse(id).unwrap(),
        to.to_vec(),
        content,
    )))
}

fn planned(fixture: &QueueFixture, event: Event) -> NewEvent {
    let mut builder = fixture
        .event(event.id().as_str())
        .urgent("a@example.com")
        .urgent("b@example.com");
    builder
        .new
        .deliveries
        .iter_mut()
        .for_each(|delivery| delivery.kind = MailKind::VerificationCode);
    NewEvent {
        event,
        ..builder.new
    }
}

#[tokio::test]
async fn secret_is_kept_until_the_last_delivery_ends() {
    let fixture = QueueFixture::on_disk();
    let new = planned(&fixture, message("both"));
    assert_eq!(fixture.enqueue(new.clone()).await, Enqueued::New);
    assert_unreadable(&fixture.settings().state_dir);
    let limit = ClaimLimit {
        urgent: 2,
        normal: 0,
    };
    let mut leases = fixture
        .queue
        .claim(limit, LEASE, fixture.now())
        .await
        .unwrap();
    let (first, second) = (leases.remove(0), leases.remove(0));
    let (first_id, second_id) = (first.id, second.id);
    fixture
        .settle(first, Outcome::Dead(DeadReason::Rejected))
        .await;
    // The other delivery is still pending, so the first may be retried.
    assert_eq!(
        fixture
            .queue
            .retry(first_id, fixture.now(), fixture.now())
            .await
            .unwrap()
            .state,
        State::Queued
    );
    let again = fixture
        .queue
        .claim(limit, LEASE, fixture.now())
        .await
        .unwrap()
        .remove(0);
    assert_eq!(*again.event().unwrap(), message("both"));
    fixture.settle(again, Outcome::Sent).await;
    assert_eq!(*second.event().unwrap(), message("both"));
    fixture
        .settle(second, Outcome::Dead(DeadReason::Rejected))
        .await;
    let refused = fixture
        .queue
        .retry(second_id, fixture.now(), fixture.now())
        .await;
    assert!(
        matches!(refused, Err(OperatorError::PayloadRemoved)),
        "{refused:?}"
    );
    assert!(matches!(
        fixture.enqueue(new).await,
        Enqueued::Duplicate { .. }
    ));
    assert_unreadable(&fixture.settings().state_dir);
    fixture.assert_conserved().await;
}

/// A store of the previous version: a pending and a finished event, both with their code in clear.
fn older(dir: &TempDir) -> jobbell::queue::Settings {
    let settings = settings(dir, 1_000);
    fs::create_dir(&settings.state_dir).unwrap();
    let store = Connection::open(settings.location.file().unwrap()).unwrap();
    store.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE migrations (version INTEGER PRIMARY KEY, checksum BLOB NOT NULL) STRICT").unwrap();
    let steps = [
        include_str!("../../../src/queue/migrations/0001_initial.sql"),
        include_str!("../../../src/queue/migrations/0002_server_use.sql"),
        include_str!("../../../src/queue/migrations/0003_pictures.sql"),
        include_str!("../../../src/queue/migrations/0004_hook_failures.sql"),
    ];
    for (number, sql) in steps.iter().enumerate() {
        store.execute_batch(sql).unwrap();
        let checksum = digest(&SHA256, sql.as_bytes());
        store
            .execute(
                "INSERT INTO migrations VALUES (?1, ?2)",
                params![i64::try_from(number).unwrap() + 1, checksum.as_ref()],
            )
            .unwrap();
    }
    store.execute_batch("PRAGMA user_version = 4; PRAGMA application_id = 1247962476; UPDATE counts SET accepted = 2, queued = 1, sent = 1").unwrap();
    for (seq, (id, state)) in [("waits", 0), ("ended", 2)].into_iter().enumerate() {
        let payload = serde_json::to_vec(&message(id)).unwrap();
        let content = digest(&SHA256, &payload);
        let seq = i64::try_from(seq).unwrap() + 1;
        store
            .execute(
                "INSERT INTO events (seq, id, content, source, received_at, payload) VALUES (?1, ?2, ?3, 'messages', 0, ?4)",
                params![seq, id, content.as_ref(), payload],
            )
            .unwrap();
        store
            .execute(
                "INSERT INTO deliveries (seq, id, event_seq, state, lane, due_at, created_at, expires_at, ended_at, kind, recipient, message_id) \
                 VALUES (?1, ?2, ?1, ?3, 0, 0, 0, 9000000000000, ?4, 'verification_code', 'a@example.com', 'm@example.com')",
                params![seq, [u8::try_from(seq).unwrap(); 16], state, (state == 2).then_some(0)],
            )
            .unwrap();
    }
    // Leaked as after a crash, so that the WAL contains it too.
    std::mem::forget(store);
    settings
}

#[tokio::test]
async fn older_store_is_encrypted_when_opened() {
    let dir = TempDir::new().unwrap();
    let settings = older(&dir);
    let queue = sqlite::open(&settings, &Clock::System).unwrap();
    assert_unreadable(&settings.state_dir);
    let now = Clock::System.now();
    for id in ["waits", "ended"] {
        let fixture = QueueFixture::in_memory();
        let again = queue
            .enqueue(vec![planned(&fixture, message(id))], None, now)
            .await
            .unwrap();
        assert!(matches!(again[..], [Enqueued::Duplicate { .. }]), "{id}");
    }
    let lease = queue
        .claim(
            ClaimLimit {
                urgent: 9,
                normal: 0,
            },
            LEASE,
            now,
        )
        .await
        .unwrap()
        .pop()
        .unwrap();
    assert_eq!(*lease.event().unwrap(), message("waits"));
    queue
        .settle(
            vec![Settlement {
                lease,
                attempts: Vec::new(),
                outcome: Outcome::Sent,
            }],
            now,
        )
        .await
        .unwrap();
    assert!(queue.verify_counts().await.unwrap().agrees());
    queue.close().await;
    assert_unreadable(&settings.state_dir);
    let check = sqlite::check(&settings, None).unwrap();
    assert!(check.is_sound(), "{check:?}");
}

#[tokio::test]
async fn queued_code_without_its_key_is_reported_at_startup() {
    let mut config = TestConfig::for_port(1);
    let mut daemon = config.text("retry.initial", "1h").start().await;
    post(&daemon, "code", "verification_code", json!({"code": CODE})).await;
    daemon
        .deliveries("code", "one attempt", |all| {
            all[0]["attempts"].as_array().unwrap().len() == 1
        })
        .await;
    daemon.stop().await;
    fs::remove_file(config.state().join("jobbell.db-key")).unwrap();
    let daemon = config.start().await;
    daemon
        .logged("the key that is missing", |line| {
            line["mails"] == 1 && line["message"].as_str().unwrap().contains("jobbell.db-key")
        })
        .await;
}
