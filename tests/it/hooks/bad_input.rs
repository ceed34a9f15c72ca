//! Hostile input at a public webhook: forged, old, repeated, modified, huge, deep.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use jobbell::domain::Timestamp;
use jobbell::queue::Retention;
use ring::hmac;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{SENT, answer, sample, server};
use crate::http::test_server::TestServer;

const SECRET: &str = "whsec_UQKfF2tCk1AClBufcYf1+BLOB74AXYnzj9k3MZsPLTQ=";
const HOOK: &str =
    "[hooks.replicate]\nsecret = \"whsec_UQKfF2tCk1AClBufcYf1+BLOB74AXYnzj9k3MZsPLTQ=\"\n";

/// A request signed by Standard Webhooks.
fn signed(server: &TestServer, id: &str, seconds: i64, body: &[u8]) -> reqwest::RequestBuilder {
    let base64 = base64::engine::general_purpose::STANDARD;
    let key = hmac::Key::new(
        hmac::HMAC_SHA256,
        &base64.decode(SECRET.trim_start_matches("whsec_")).unwrap(),
    );
    let message = [format!("{id}.{seconds}.").as_bytes(), body].concat();
    let signature = format!("v1,{}", base64.encode(hmac::sign(&key, &message)));
    let request = server
        .post("/v1/hooks/replicate")
        .header("content-type", "application/json")
        .body(body.to_vec());
    request
        .header("webhook-id", id)
        .header("webhook-timestamp", seconds.to_string())
        .header("webhook-signature", signature)
}

fn now() -> i64 {
    SENT.as_millis() / 1_000
}

#[tokio::test]
async fn replayed_delivery_is_a_duplicate_or_a_conflict() {
    let server = server(HOOK, SENT);
    let body = sample("replicate-success.json");
    assert_eq!(answer(signed(&server, "msg_1", now(), &body)).await.0, 202);
    let again = answer(signed(&server, "msg_1", now() + 60, &body)).await;
    assert_eq!((again.0, &again.1["duplicate"]), (200, &json!(true)));
    assert_eq!(
        answer(signed(
            &server,
            "msg_1",
            now(),
            &sample("replicate-failure.json")
        ))
        .await
        .0,
        409
    );
    assert_eq!(
        answer(signed(
            &server,
            "msg_2",
            now(),
            &sample("replicate-success-single-string.json")
        ))
        .await
        .0,
        200,
        "the same end of the same job"
    );
    let mut failed: Value = serde_json::from_slice(&sample("replicate-failure.json")).unwrap();
    failed["id"] = "another".into();
    assert_eq!(
        answer(signed(
            &server,
            "msg_3",
            now(),
            failed.to_string().as_bytes()
        ))
        .await
        .0,
        202
    );
    assert_eq!(server.accepted().await, 2);
}

#[tokio::test]
async fn second_result_of_a_job_is_ignored() {
    let server = server(
        "[hooks.replicate]\nunverified = true\n[hooks.gitlab]\nunverified = true\n[hooks.runpod]\nunverified = true\n",
        SENT,
    );
    let success: Value = serde_json::from_slice(&sample("replicate-success.json")).unwrap();
    let mut failure: Value = serde_json::from_slice(&sample("replicate-failure.json")).unwrap();
    failure["id"] = success["id"].clone();
    let mut both = tokio::task::JoinSet::new();
    for end in [&success, &failure] {
        both.spawn(answer(server.post("/v1/hooks/replicate").json(end)));
    }
    let mut answers = both.join_all().await;
    answers.sort_by_key(|(status, _)| *status);
    assert_eq!((answers[0].0, answers[1].0), (200, 202), "{answers:?}");
    assert_eq!(
        (&answers[0].1["id"], &answers[0].1["duplicate"]),
        (&answers[1].1["id"], &json!(true))
    );
    for end in [&success, &failure] {
        let (status, again) = answer(server.post("/v1/hooks/replicate").json(end)).await;
        assert_eq!((status, &again["id"]), (200, &answers[1].1["id"]));
    }
    assert_eq!(server.accepted().await, 1);
    let (_, kept) = answer(server.get("/v1/hook-failures")).await;
    assert!(
        kept["failures"][0]["why"]
            .as_str()
            .unwrap()
            .starts_with("second result of a job that is stored as"),
        "{kept}"
    );

    let mut prediction: Value = serde_json::from_slice(&sample("replicate-failure.json")).unwrap();
    for name in [
        "x".repeat(250),
        "ctl\u{1}x".to_owned(),
        "a-failed".to_owned(),
        "图 1".to_owned(),
    ] {
        prediction["id"] = name.clone().into();
        for (status, expected) in [("succeeded", 202), ("failed", 200)] {
            prediction["status"] = status.into();
            assert_eq!(
                answer(server.post("/v1/hooks/replicate").json(&prediction))
                    .await
                    .0,
                expected,
                "{status} of {name:?}"
            );
        }
    }
    let ends = ["succeeded", "failed", "canceled", "aborted"];
    for (first, second) in ends
        .iter()
        .flat_map(|first| ends.iter().map(move |second| (first, second)))
        .filter(|(first, second)| first != second)
    {
        prediction["id"] = format!("{first}-{second}").into();
        prediction["status"] = (*first).into();
        assert_eq!(
            answer(server.post("/v1/hooks/replicate").json(&prediction))
                .await
                .0,
            202,
            "{first}"
        );
        prediction["status"] = (*second).into();
        let (status, said) = answer(server.post("/v1/hooks/replicate").json(&prediction)).await;
        assert_eq!(
            (status, &said["id"]),
            (
                200,
                &format!("hook:replicate:{first}:{first}-{second}").into()
            ),
            "{second} after {first}: {said}"
        );
    }

    let mut job: Value = serde_json::from_slice(&sample("runpod-success.json")).unwrap();
    for status in ["FAILED", "COMPLETED"] {
        job["status"] = status.into();
        let (_, said) = answer(server.post("/v1/hooks/runpod").json(&job)).await;
        assert_eq!(
            said["duplicate"], false,
            "a job may be requeued under its id: {said}"
        );
    }
    let mut pipeline: Value =
        serde_json::from_slice(&sample("gitlab-pipeline-failure.json")).unwrap();
    for status in ["failed", "success"] {
        pipeline["object_attributes"]["status"] = status.into();
        assert_eq!(
            answer(server.post("/v1/hooks/gitlab").json(&pipeline))
                .await
                .0,
            202,
            "a pipeline may be run again"
        );
    }
}

#[tokio::test]
async fn delivery_and_job_ids_are_scoped_to_the_hook() {
    let server = server(
        &format!("{HOOK}[hooks.other]\nkind = \"replicate\"\nunverified = true\n"),
        SENT,
    );
    let body = sample("replicate-success.json");
    assert_eq!(answer(signed(&server, "msg_1", now(), &body)).await.0, 202);
    let other = server
        .post("/v1/hooks/other")
        .header("content-type", "application/json")
        .header("webhook-id", "msg_1")
        .body(sample("replicate-failure.json"));
    assert_eq!(
        answer(other).await.0,
        202,
        "another end, but of another hook's job"
    );
    let mut next: Value = serde_json::from_slice(&body).unwrap();
    next["id"] = "next".into();
    for path in ["/v1/hooks/other", "/v1/hooks/replicate"] {
        let (status, _) = answer(server.post(path).json(&next)).await;
        assert_eq!(
            status,
            if path.ends_with("other") { 202 } else { 401 },
            "{path}"
        );
    }
    assert_eq!(server.accepted().await, 3);
}

#[tokio::test]
async fn invalid_signatures_get_identical_401s() {
    let server = server(HOOK, SENT);
    let body = sample("replicate-success.json");
    let post = |headers: &[(&str, &str)], body: &[u8]| {
        let request = server
            .post("/v1/hooks/replicate")
            .header("content-type", "application/json")
            .body(body.to_vec());
        answer(headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        }))
    };
    let good = "v1,77tFrDE5n/Gsce4IzwikH8pwoDBPpJr5sO+j3e6FJiU=";
    let with = |id: &'static str, time: &'static str, signature: &'static str| {
        vec![
            ("webhook-id", id),
            ("webhook-timestamp", time),
            ("webhook-signature", signature),
        ]
    };
    let (status, said) = post(&[], &body).await;
    assert_eq!(status, 401, "{said}");
    for headers in [
        with("msg_rep_0001", "1772612137", "v1,"),
        with("msg_rep_0001", "1772612137", "v1"),
        with(
            "msg_rep_0001",
            "1772612137",
            "77tFrDE5n/Gsce4IzwikH8pwoDBPpJr5sO+j3e6FJiU=",
        ),
        with(
            "msg_rep_0001",
            "1772612137",
            "v1,77tFrDE5n/Gsce4IzwikH8pwoDBPpJr5sO-j3e6FJiU=",
        ),
        with(
            "msg_rep_0001",
            "1772612137",
            "v1,efbb45ac3139fc1b1c71ee08cf08a41fca70a0304fa49af9b0efa3ddee852625",
        ),
        with(
            "msg_rep_0001",
            "1772612137",
            "v2,77tFrDE5n/Gsce4IzwikH8pwoDBPpJr5sO+j3e6FJiU=",
        ),
        with("msg_rep_0002", "1772612137", good),
        with("msg_rep_0001", "1772612138", good),
        with("msg_rep_0001", "1772612137000", good),
        with("msg_rep_0001", "+1772612137", good),
        with("msg_rep_0001", "", good),
    ] {
        assert_eq!(
            post(&headers, &body).await,
            (401, said.clone()),
            "{headers:?}"
        );
    }
    let mut changed = body.clone();
    changed.push(b' ');
    assert_eq!(
        post(&with("msg_rep_0001", "1772612137", good), &changed).await,
        (401, said)
    );
    assert_eq!(server.accepted().await, 0);
    assert_eq!(
        post(&with("msg_rep_0001", "1772612137", good), &body)
            .await
            .0,
        202
    );
}

#[tokio::test]
async fn wrong_secret_in_the_url_looks_like_an_unknown_hook() {
    let server = server("[hooks.runpod]\nsecret = \"0123456789abcdef\"\n", SENT);
    let post = |path: &str| {
        server
            .post(path)
            .header("content-type", "application/json")
            .body(sample("runpod-success.json"))
    };
    let unknown = answer(post("/v1/hooks/nosuch")).await;
    assert_eq!(unknown.0, 404);
    for path in [
        "/v1/hooks/runpod",
        "/v1/hooks/runpod/0123456789abcdeF",
        "/v1/hooks/runpod/0123456789abcde",
        "/v1/hooks/nosuch/0123456789abcdef",
    ] {
        assert_eq!(answer(post(path)).await, unknown, "{path}");
    }
    assert_eq!(
        answer(post("/v1/hooks/runpod").bearer_auth("wrong")).await,
        unknown
    );
    assert_eq!(
        answer(post("/v1/hooks/runpod/0123456789abcdef")).await.0,
        200
    );
    assert_eq!(
        answer(post("/v1/hooks/runpod").bearer_auth("0123456789abcdef"))
            .await
            .0,
        200
    );
}

#[tokio::test]
async fn later_repeat_of_a_delivery_is_a_duplicate() {
    let tables = "[hooks.runpod]\nunverified = true\n[hooks.generic]\nunverified = true\n[hooks.standard-webhooks]\nunverified = true\n";
    let server = server(tables, SENT);
    let body = sample("runpod-success.json");
    for (name, header) in [
        ("runpod", "x-none"),
        ("generic", "webhook-id"),
        ("standard-webhooks", "webhook-id"),
    ] {
        let post = || {
            answer(
                server
                    .post(&format!("/v1/hooks/{name}"))
                    .header("content-type", "application/json")
                    .header(header, "msg_1")
                    .body(body.clone()),
            )
        };
        let first = post().await;
        server.clock.step(std::time::Duration::from_secs(10));
        let second = post().await;
        assert_eq!(
            (&first.1["duplicate"], &second.1["duplicate"], second.0),
            (&json!(false), &json!(true), 200),
            "{name}: {first:?} {second:?}"
        );
    }
    assert_eq!(server.accepted().await, 3);
    let metrics = server
        .get("/metrics")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    for name in ["runpod", "generic", "standard-webhooks"] {
        for outcome in ["accepted", "duplicate"] {
            let line = format!("jobbell_events_total{{source=\"{name}\",outcome=\"{outcome}\"}} 1");
            assert!(metrics.contains(&line), "{line}:\n{metrics}");
        }
    }
    assert!(!metrics.contains("outcome=\"conflict\""), "{metrics}");
}

#[tokio::test]
async fn embedded_images_are_left_out_and_bodies_are_limited() {
    let server = server(
        "[hooks.runpod]\nsecret = \"0123456789abcdef\"\n[hooks.small]\nkind = \"runpod\"\nsecret = \"0123456789abcdef\"\nmax_body = \"1MiB\"\n",
        SENT,
    );
    let body = |size: usize| {
        let picture = format!("iVBORw0KGgo{}", "A".repeat(size));
        json!({ "id": "big", "status": "COMPLETED", "output": { "images": [{ "filename": "a.png", "type": "base64", "data": picture }] } }).to_string()
    };
    let post = |name: &str, size| {
        server
            .post(&format!("/v1/hooks/{name}/0123456789abcdef"))
            .header("content-type", "application/json")
            .body(body(size))
    };
    let (status, said) = answer(post("runpod", 20 << 20)).await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(
        said["warnings"],
        json!(["1 embedded files were left out; emails only link images"])
    );
    let (_, record) = answer(server.get("/v1/events/hook:runpod:succeeded:big")).await;
    assert!(record.to_string().len() < 5_000);
    assert_eq!(answer(post("small", 10 << 20)).await.0, 413);
    let wrong = server
        .post("/v1/hooks/runpod/wrong")
        .header("content-type", "application/json")
        .body("x");
    assert_eq!(
        answer(wrong).await.0,
        404,
        "refused before a byte of the body counts"
    );
}

#[tokio::test]
async fn deep_and_malformed_payloads_store_nothing() {
    let kinds = jobbell::intake::hooks::Kind::NAMES;
    let tables: Vec<String> = kinds
        .iter()
        .map(|kind| format!("[hooks.{kind}]\nunverified = true"))
        .collect();
    let server = server(&tables.join("\n"), SENT);
    let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let nested = format!("{}1{}", "{\"output\":".repeat(120), "}".repeat(120));
    let odd = [
        "null",
        "1",
        "\"text\"",
        "[]",
        "{}",
        "[[[{}]]]",
        r#"{"status":7,"id":{}}"#,
        r#"{"status":"succeeded"}"#,
        r#"{"status":"COMPLETED","id":""}"#,
        r#"{"status":"OK","request_id":[]}"#,
        r#"{"data":{"object":[]}}"#,
        r#"{"object_kind":{},"job_result":[null]}"#,
        r#"{"type":"prompt.complete","prompt":[[]]}"#,
    ];
    for kind in kinds {
        let post = |body: String| {
            answer(
                server
                    .post(&format!("/v1/hooks/{kind}"))
                    .header("content-type", "application/json")
                    .body(body),
            )
        };
        for (body, wanted) in [
            (String::new(), 400),
            ("{".to_owned(), 400),
            (deep(200), 400),
            (format!("\u{feff}{}", deep(100_000)), 400),
        ] {
            assert_eq!(post(body).await.0, wanted, "{kind}");
        }
        for body in odd
            .iter()
            .map(|body| (*body).to_owned())
            .chain([nested.clone()])
        {
            let (status, said) = post(body.clone()).await;
            assert!(
                [200, 202, 204, 422].contains(&status),
                "{kind} {body}: {status} {said}"
            );
        }
    }
}

/// A key server that answers each request with the next body and repeats the last one; `None`
/// closes the connection.
struct KeyServer {
    address: std::net::SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl KeyServer {
    async fn start(answers: Vec<Option<String>>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, asked) = (
            listener.local_addr().unwrap(),
            Arc::new(AtomicUsize::new(0)),
        );
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let nth = count.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
                let Some(body) = &answers[nth] else { continue };
                let mut seen = Vec::new();
                while !seen.ends_with(b"\r\n\r\n") {
                    seen.push(stream.read_u8().await.unwrap());
                }
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(body.as_bytes()).await.ok();
            }
        });
        Self { address, asked }
    }

    fn hook(&self) -> String {
        format!(
            "[hooks.fal]\njwks_url = \"http://{}/jwks.json\"\n",
            self.address
        )
    }
}

/// The signature vector with this name.
fn vector(name: &str) -> Value {
    let vectors: Value = serde_json::from_slice(&sample("signature-vectors.json")).unwrap();
    vectors["vectors"]
        .as_array()
        .unwrap()
        .iter()
        .find(|vector| vector["name"] == name)
        .unwrap()
        .clone()
}

fn from_fal(server: &TestServer, name: &str) -> reqwest::RequestBuilder {
    let vector = vector(name);
    let request = server
        .post("/v1/hooks/fal")
        .header("content-type", "application/json")
        .body(sample(vector["body_file"].as_str().unwrap()));
    vector["headers"]
        .as_object()
        .unwrap()
        .iter()
        .fold(request, |request, (name, value)| {
            request.header(name, value.as_str().unwrap())
        })
}

#[tokio::test]
async fn fal_keys_are_fetched_once_for_ten_deliveries() {
    let keys = KeyServer::start(vec![Some(vector("fal-success")["jwks"].to_string())]).await;
    let server = server(&keys.hook(), SENT);
    let first = answer(from_fal(&server, "fal-success")).await;
    assert_eq!(first.0, 202, "{}", first.1);
    for _ in 0..10 {
        assert_eq!(answer(from_fal(&server, "fal-success")).await.0, 200);
    }
    assert_eq!(answer(from_fal(&server, "fal-failure")).await.0, 202);
    assert_eq!(answer(from_fal(&server, "fal-user-changed")).await.0, 401);
    assert_eq!(
        (keys.asked.load(Ordering::SeqCst), server.accepted().await),
        (1, 2),
        "a wrong signature has them fetched again only after a minute"
    );
}

#[tokio::test]
async fn unavailable_keys_answer_503_with_retry_after() {
    let right = vector("fal-success")["jwks"].to_string();
    let wrong = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": "AfT15PoAMVAu_xVzcAmc0KET4auRbY8Rh6jqPcy99Ms" }] }).to_string();
    let answers = vec![
        None,
        Some("<html>".to_owned()),
        Some("x".repeat(100_000)),
        Some(wrong),
        Some(right),
    ];
    let keys = KeyServer::start(answers).await;
    let server = server(
        &format!("{}replay_window = \"5m\"\n", keys.hook()),
        Timestamp::from_millis(SENT.as_millis() - 240_000),
    );
    for wanted in [503, 503, 503, 401, 202] {
        let response = from_fal(&server, "fal-success").send().await.unwrap();
        assert_eq!(
            response.status().as_u16(),
            wanted,
            "asked {} times",
            keys.asked.load(Ordering::SeqCst)
        );
        assert_eq!(
            response.headers().contains_key("retry-after"),
            wanted == 503
        );
        server.clock.step(std::time::Duration::from_secs(61));
    }
    assert_eq!(keys.asked.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn unmapped_payload_is_kept_once_redacted_and_truncated() {
    let server = server(
        "[hooks.leonardo]\nunverified = true\n[hooks.krea]\nunverified = true\n",
        SENT,
    );
    let post =
        |name: &str, body: &Value| answer(server.post(&format!("/v1/hooks/{name}")).json(body));
    let unknown: Value = serde_json::from_slice(&sample("leonardo-failure-assumed.json")).unwrap();
    assert_eq!(post("leonardo", &unknown).await.0, 204);
    for _ in 0..3 {
        assert_eq!(
            post("krea", &json!({ "job_id": "1", "result": null }))
                .await
                .0,
            422
        );
    }
    assert_eq!(
        post("krea", &json!({ "job_id": "1", "status": "processing" }))
            .await
            .0,
        204,
        "progress is not kept"
    );
    let (status, list) = answer(server.get("/v1/hook-failures")).await;
    let kept = list["failures"].as_array().unwrap();
    let shown: Vec<_> = kept
        .iter()
        .map(|one| {
            (
                one["hook"].as_str().unwrap(),
                one["times"].as_u64().unwrap(),
                one["why"].as_str().unwrap(),
            )
        })
        .collect();
    let wanted = [
        ("krea", 3, "#/status is missing: the payload has no state"),
        ("leonardo", 1, "unknown status \"failed\""),
    ];
    assert_eq!(
        (status, shown.as_slice()),
        (200, wanted.as_slice()),
        "{list}"
    );
    let (_, one) = answer(server.get(&format!("/v1/hook-failures/{}", kept[1]["id"]))).await;
    assert!(
        one["payload"]
            .as_str()
            .unwrap()
            .contains("Leonardo Creative")
            && !one.to_string().contains("REDACT-ME"),
        "{one}"
    );
    assert_eq!(answer(server.get("/v1/hook-failures/999")).await.0, 404);
    assert_eq!(answer(server.get("/v1/hook-failures/x")).await.0, 404);
    for n in 0..150 {
        post("krea", &json!({ "job_id": n, "note": "x".repeat(50_000) })).await;
    }
    let (_, list) = answer(server.get("/v1/hook-failures")).await;
    assert_eq!(
        list["failures"].as_array().unwrap().len(),
        101,
        "a hundred of one hook, and the other's own"
    );
    let retention = Retention {
        deliveries: Duration::MAX,
        payloads: Duration::ZERO,
        rescan: Duration::ZERO,
    };
    let later = Timestamp::from_millis(SENT.as_millis() + 1);
    let done = server.queue.maintain(&retention, 500, later);
    done.await.unwrap();
    assert_eq!(
        answer(server.get("/v1/hook-failures")).await.1,
        json!({ "failures": [] })
    );
}
