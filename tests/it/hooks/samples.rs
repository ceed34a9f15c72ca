//! Every sample of a service's payload maps as its documentation says.

use serde_json::{Value, json};

use super::{SENT, answer, house, sample};

/// The file, the hook's kind, the status of the answer, and parts of the stored event by JSON pointer.
type Row = (&'static str, &'static str, u16, Vec<(&'static str, Value)>);

const FOX: &str = "A red fox reading a book under a lamp, watercolor";

/// What is checked of an event's record: its id, what the places hold, and that these are the pictures.
async fn holds(house: &crate::http_house::House, file: &str, id: &str, wanted: &[(&str, Value)]) {
    let (status, record) = answer(house.get(&format!("/v1/events/{id}"))).await;
    assert_eq!(status, 200, "{file}: {record}");
    for (place, value) in wanted {
        let found = record["event"].pointer(place).unwrap_or(&Value::Null);
        assert_eq!(found, value, "{file} at {place}: {record:#}");
    }
}

async fn check(rows: Vec<Row>) {
    for (file, kind, wanted, places) in rows {
        let house = house(&format!("[hooks.h]\nkind = \"{kind}\"\nunverified = true\nunconfirmed = true\n"), SENT);
        let post = || house.post("/v1/hooks/h?job=4711").header("content-type", "application/json").body(sample(file));
        let (status, said) = answer(post()).await;
        assert_eq!(status, wanted, "{file}: {said}");
        let events = u64::from(status == 202 || (status == 200 && said["id"].is_string()));
        assert_eq!(house.accepted().await, events, "{file}");
        if events == 0 {
            continue;
        }
        let id = said["id"].as_str().unwrap();
        holds(&house, file, id, &places).await;
        holds(&house, file, id, &[("/metadata/job", json!("4711"))]).await;
        let again = answer(post()).await;
        assert_eq!((again.0, &again.1["duplicate"], house.accepted().await), (200, &json!(true), events), "{file}: {}", again.1);
    }
}

#[tokio::test]
async fn replicate() {
    let picture = "https://images.example.com/out/fox-0.webp";
    check(vec![
        (
            "replicate-success.json",
            "replicate",
            202,
            vec![
                ("/id", json!("h-rq7t4x8y9zabcdefghjkmnpqrs-succeeded")),
                ("/status", json!("succeeded")),
                ("/job_id", json!("rq7t4x8y9zabcdefghjkmnpqrs")),
                ("/prompt", json!(FOX)),
                ("/model", json!("black-forest-labs/flux-schnell:5599ed30")),
                ("/size", json!("1024x768")),
                ("/format", json!("webp")),
                ("/images/0/url", json!(picture)),
                ("/images/1/url", json!("https://images.example.com/out/fox-1.webp")),
                ("/started_at", json!("2026-03-04T08:15:31.22Z")),
                ("/finished_at", json!("2026-03-04T08:15:35.941Z")),
                ("/metadata/predict_time", json!(4.72)),
            ],
        ),
        ("replicate-success-single-string.json", "replicate", 202, vec![("/images/0/url", json!("https://images.example.com/out/fox.webp"))]),
        (
            "replicate-failure.json",
            "replicate",
            202,
            vec![
                ("/id", json!("h-rq7t4x8y9zabcdefghjkmnpqrs-failed")),
                ("/status", json!("failed")),
                ("/images", Value::Null),
                (
                    "/error/message",
                    json!("NSFW content detected. Try running it again, or try a different prompt.\n\nTraceback (most recent call last):\n  ..."),
                ),
            ],
        ),
        ("replicate-canceled.json", "replicate", 202, vec![("/status", json!("failed")), ("/error/code", json!("canceled"))]),
        ("replicate-aborted.json", "replicate", 202, vec![("/status", json!("failed")), ("/error/code", json!("aborted"))]),
        ("replicate-processing-ignored.json", "replicate", 204, vec![]),
    ])
    .await;
}

#[tokio::test]
async fn runpod() {
    check(vec![
        (
            "runpod-success.json",
            "runpod",
            200,
            vec![
                ("/status", json!("succeeded")),
                ("/images/0/url", json!("https://images.example.com/out/runpod-0.png")),
                ("/started_at", json!("2026-03-04T08:15:33.609Z")),
                ("/finished_at", json!("2026-03-04T08:15:37Z")),
            ],
        ),
        ("runpod-success-message-base64.json", "runpod", 200, vec![("/status", json!("succeeded")), ("/images", Value::Null)]),
        ("runpod-failure.json", "runpod", 200, vec![("/status", json!("failed")), ("/error/message", json!("CUDA out of memory. Tried to allocate 2.20 GiB"))]),
        ("runpod-canceled.json", "runpod", 200, vec![("/error/code", json!("canceled"))]),
        ("runpod-timed-out.json", "runpod", 200, vec![("/error/code", json!("timed_out")), ("/error/message", json!("job timed out after 1 retries"))]),
    ])
    .await;
}

#[tokio::test]
async fn standard_webhooks() {
    check(vec![
        (
            "standard-webhooks-success.json",
            "standard-webhooks",
            202,
            vec![
                ("/id", json!("h-job-4711-succeeded")),
                ("/prompt", json!("生成一张雨夜霓虹街道的插画")),
                ("/size", json!("1024x768")),
                ("/images/0/url", json!("https://images.example.com/out/4711-0.png")),
                ("/metadata/project", json!("海报")),
            ],
        ),
        (
            "standard-webhooks-failure.json",
            "standard-webhooks",
            202,
            vec![("/status", json!("failed")), ("/error/code", json!("oom")), ("/error/message", json!("显存不足"))],
        ),
    ])
    .await;
}
