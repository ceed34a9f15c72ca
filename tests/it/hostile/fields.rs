//! Unknown fields are cheap: suggestions stop once no more warnings are shown, and fields are
//! bounded.

use serde_json::{Map, Value, json};

use crate::http::test_server::{Setup, TestServer, answer, pointers};

fn many(count: usize) -> Map<String, Value> {
    (0..count)
        .map(|n| (format!("promptt{n}"), json!(1)))
        .chain([("status".to_owned(), json!("succeeded"))])
        .collect()
}

#[tokio::test]
async fn warnings_and_unknown_fields_are_bounded() {
    let server = TestServer::open();
    let (status, taken) = server.event(&Value::Object(many(5_000))).await;
    assert_eq!(
        (status, taken["warnings"].as_array().unwrap().len()),
        (202, 100)
    );
    let advised = taken["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|warning| warning.as_str().unwrap().contains("did you mean"))
        .count();
    assert!((1..=20).contains(&advised), "{advised}");
    let (status, problem) = server.event(&Value::Object(many(60_000))).await;
    assert_eq!((status, pointers(&problem)), (422, vec!["#"]));
    let params = json!({"to": "a@x.org", "template": "plain", "params": many(9_000)});
    let (status, problem) = answer(server.post("/v1/messages").json(&params)).await;
    assert_eq!(
        (status, problem["errors"].as_array().unwrap().len()),
        (422, 100)
    );
}

#[tokio::test]
async fn field_limit_applies_to_the_whole_request() {
    let server = TestServer::with(Setup {
        max_pending: 100_000,
        ..Setup::default()
    });
    let line = Value::Object(many(40)).to_string() + "\n";
    let (status, taken) = answer(
        server
            .post("/v1/events")
            .header("content-type", "application/x-ndjson")
            .body(line.repeat(1_000)),
    )
    .await;
    let warnings: usize = taken
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["warnings"].as_array().unwrap().len())
        .sum();
    assert_eq!((status, warnings), (202, 1_000));
}

#[tokio::test]
async fn deeply_nested_metadata_is_refused() {
    let server = TestServer::open();
    let nested = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!([inner]));
    let (status, problem) = server
        .event(&json!({"status": "succeeded", "metadata": {"a": nested(40)}}))
        .await;
    assert_eq!((status, pointers(&problem)), (422, vec!["#/metadata"]));
    assert_eq!(
        server
            .event(&json!({"status": "succeeded", "metadata": {"a": nested(31)}}))
            .await
            .0,
        202
    );
}
