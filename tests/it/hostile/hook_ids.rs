//! Ids of hook events: no other hook or producer can use them, and ids of earlier versions stay
//! known.

use std::io::Write as _;

use jobbell::config::{self, Sources};
use jobbell::domain::{EventId, Source};
use jobbell::intake::hooks::Settings;
use jobbell::queue::NewEvent;
use reqwest::Client;
use serde_json::{Value, json};

use crate::http::test_server::{Setup, TestServer, answer};

fn hooks() -> Vec<Settings> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let hook = |name: &str| {
        format!("[hooks.{name}]\nkind = \"runpod\"\nunverified = true\nto = \"a@example.com\"\n")
    };
    write!(
        file,
        "[smtp]\nenable = false\n{}{}",
        hook("gpu"),
        hook("gpu-prod")
    )
    .unwrap();
    config::load(&Sources {
        path: Some(file.path().to_owned()),
        ..Sources::default()
    })
    .unwrap_or_else(|report| panic!("{report}"))
    .config
    .hooks
}

fn server() -> TestServer {
    TestServer::with(Setup {
        hooks: hooks(),
        ..Setup::default()
    })
}

async fn post_result(server: &TestServer, hook: &str, job: &str) -> (u16, Value) {
    let payload =
        json!({"id": job, "status": "COMPLETED", "output": "https://img.example.com/a.png"});
    answer(server.post(&format!("/v1/hooks/{hook}")).json(&payload)).await
}

#[tokio::test]
async fn hook_ids_never_collide_across_hooks() {
    let server = server();
    let (one, other) = (
        post_result(&server, "gpu", "prod-7").await.1,
        post_result(&server, "gpu-prod", "7").await.1,
    );
    assert!(
        one["id"] != other["id"] && one["duplicate"] == false && other["duplicate"] == false,
        "{one} {other}"
    );
    assert_eq!(server.accepted().await, 2);
    assert_eq!(
        post_result(&server, "gpu", "prod-7").await.1["duplicate"],
        true
    );
}

#[tokio::test]
async fn producers_cannot_use_ids_or_keys_of_hooks() {
    let server = server();
    let id = "hook:gpu:succeeded:7";
    for (path, body) in [
        ("/v1/events", json!({"id": id, "status": "succeeded"})),
        (
            "/v1/messages",
            json!({"id": id, "to": "a@example.com", "template": "plain", "params": {"subject": "s", "text": "t"}}),
        ),
    ] {
        let (status, problem) = answer(server.post(path).json(&body)).await;
        assert_eq!(
            (status, &problem["errors"][0]["pointer"]),
            (422, &json!("#/id")),
            "{problem}"
        );
    }
    let line = json!({"id": id, "status": "succeeded"}).to_string();
    let (status, problem) = answer(
        server
            .post("/v1/events")
            .header("content-type", "application/x-ndjson")
            .body(line),
    )
    .await;
    assert_eq!(
        (status, &problem["errors"][0]["pointer"]),
        (422, &json!("#/0/id")),
        "{problem}"
    );
    for header in ["idempotency-key", "webhook-id"] {
        let keyed = server
            .post("/v1/events")
            .header(header, "hook gpu 7")
            .json(&json!({"status": "succeeded"}));
        assert_eq!(answer(keyed).await.0, 422);
    }
    assert_eq!(server.accepted().await, 0);
    let (status, taken) = post_result(&server, "gpu", "7").await;
    assert_eq!(
        (status, &taken["id"], &taken["duplicate"]),
        (200, &json!(id), &json!(false))
    );
    let _: &Client = &server.client;
}

/// Stores the event `now` under an earlier id as well, as older versions did.
async fn store_as_earlier(server: &TestServer, now: &str, earlier: &str, source: &str) {
    let known = server
        .queue
        .find(&EventId::parse(now).unwrap())
        .await
        .unwrap()
        .unwrap();
    let mut event = known.event.unwrap();
    let jobbell::domain::Event::Job(job) = &mut event else {
        panic!("a job")
    };
    job.id = EventId::parse(earlier).unwrap();
    let deliveries = server
        .routes
        .load()
        .plan(&event, server.clock.now())
        .unwrap();
    let new = NewEvent {
        event,
        id_given: true,
        source: Source(source.to_owned().into()),
        deliveries,
        thumbnails_until: None,
        excludes: Vec::new(),
    };
    server
        .queue
        .enqueue(vec![new], None, server.clock.now())
        .await
        .unwrap();
}

#[tokio::test]
async fn result_stored_under_an_older_id_form_is_a_duplicate() {
    let model = server();
    post_result(&model, "gpu", "7").await;
    let record = model
        .queue
        .find(&EventId::parse("hook:gpu:succeeded:7").unwrap())
        .await
        .unwrap()
        .unwrap();
    let server = server();
    let jobbell::domain::Event::Job(mut job) = record.event.unwrap() else {
        panic!("a job")
    };
    job.id = EventId::parse("gpu-7-succeeded").unwrap();
    let event = jobbell::domain::Event::Job(job);
    let deliveries = server
        .routes
        .load()
        .plan(&event, server.clock.now())
        .unwrap();
    let new = NewEvent {
        event,
        id_given: true,
        source: Source("gpu".into()),
        deliveries,
        thumbnails_until: None,
        excludes: Vec::new(),
    };
    server
        .queue
        .enqueue(vec![new], None, server.clock.now())
        .await
        .unwrap();
    let (status, again) = post_result(&server, "gpu", "7").await;
    assert_eq!(
        (status, &again["id"], &again["duplicate"]),
        (200, &json!("gpu-7-succeeded"), &json!(true))
    );
    assert_eq!(server.accepted().await, 1);
    // An event of another source does not affect this hook.
    post_result(&server, "gpu", "8").await;
    store_as_earlier(&server, "hook:gpu:succeeded:8", "gpu-9-succeeded", "http").await;
    let (_, fresh) = post_result(&server, "gpu", "9").await;
    assert_eq!(
        (&fresh["id"], &fresh["duplicate"]),
        (&json!("hook:gpu:succeeded:9"), &json!(false))
    );
}
