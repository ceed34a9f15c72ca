//! Numbers, times and status words as other programs write them.

use serde_json::{Value, json};

use crate::http::test_server::{TestServer, answer, pointers};

async fn stored(server: &TestServer, path: &str, event: &Value) -> (Value, Value) {
    let (status, taken) = answer(server.post(path).json(event)).await;
    assert_eq!(status, 202, "{event}: {taken}");
    let (_, record) =
        answer(server.get(&format!("/v1/events/{}", taken["id"].as_str().unwrap()))).await;
    (record["event"].clone(), taken["warnings"].clone())
}

/// JavaScript stores seeds beyond 2^53 as text; form data is always text.
#[tokio::test]
async fn numeric_strings_are_accepted_as_numbers() {
    let server = TestServer::open();
    let event = json!({
        "status": "succeeded", "seed": "18446744073709551615", "steps": "30", "width": "1024", "height": 768.0, "sensitive": "true", "job_id": 42,
        "images": [{"url": "https://e.com/a", "width": "8", "height": " 9 ", "file_size": "245760"}]
    });
    let (event, warnings) = stored(&server, "/v1/events", &event).await;
    assert_eq!(
        (
            &event["seed"],
            &event["steps"],
            &event["size"],
            &event["sensitive"]
        ),
        (
            &json!(u64::MAX),
            &json!(30),
            &json!("1024x768"),
            &json!(true)
        )
    );
    assert_eq!(
        (&event["images"][0], &event["job_id"]),
        (
            &json!({"url": "https://e.com/a", "width": 8, "height": 9, "file_size": 245_760}),
            &json!("42")
        )
    );
    assert_eq!(warnings, json!([]));
    for (field, value) in [
        ("seed", json!("12a")),
        ("seed", json!("1.5")),
        ("steps", json!("")),
        ("steps", json!("-1")),
        ("seed", json!("99999999999999999999")),
    ] {
        let (status, problem) = server
            .event(&json!({"status": "succeeded", field: value}))
            .await;
        assert_eq!(
            (status, pointers(&problem)),
            (422, vec![format!("#/{field}").as_str()]),
            "{value}"
        );
    }
}

/// Python: `time.time()`, `time.time_ns()`, `datetime.utcnow().isoformat()`, `str(datetime)`;
/// JavaScript: `Date.now()`.
#[tokio::test]
async fn common_time_formats_are_accepted() {
    let server = TestServer::open();
    for time in [
        json!(1_767_225_600),
        json!(1_767_225_600.0),
        json!("1767225600"),
        json!("1767225600.0"),
        json!(1_767_225_600_000_i64),
        json!(1_767_225_600_000.0),
        json!(1_767_225_600_000_000_i64),
        json!(1_767_225_600_000_000_000_i64),
        json!("2026-01-01T00:00:00Z"),
        json!("2026-01-01 00:00:00+00:00"),
        json!("2026-01-01 08:00:00+0800"),
        json!("2026-01-01 00:00:00 UTC"),
        json!("Thu, 01 Jan 2026 00:00:00 GMT"),
        json!("Thu, 01 Jan 2026 01:00:00 +0100"),
    ] {
        let (event, warnings) = stored(
            &server,
            "/v1/events",
            &json!({"status": "succeeded", "finished_at": time}),
        )
        .await;
        assert_eq!(
            (&event["finished_at"], &warnings),
            (&json!("2026-01-01T00:00:00Z"), &json!([])),
            "{time}"
        );
    }
    let (event, _) = stored(
        &server,
        "/v1/events",
        &json!({"status": "succeeded", "finished_at": 1_767_225_600.123_456}),
    )
    .await;
    assert_eq!(event["finished_at"], "2026-01-01T00:00:00.123Z");
    for time in [
        "2026-01-01T00:00:00",
        "2026-01-01 00:00:00",
        "2026-01-01T00:00:00.000000",
    ] {
        let (event, warnings) = stored(
            &server,
            "/v1/events",
            &json!({"status": "succeeded", "finished_at": time}),
        )
        .await;
        assert_eq!(
            (&event["finished_at"], warnings.as_array().unwrap().len()),
            (&json!("2026-01-01T00:00:00Z"), 1),
            "{time}"
        );
    }
    for time in [
        json!("soon"),
        json!("2026-01-01"),
        json!(-1),
        json!(true),
        json!(1e300),
        json!("NaN"),
        json!("inf"),
    ] {
        let (status, problem) = server
            .event(&json!({"status": "succeeded", "finished_at": time}))
            .await;
        assert_eq!(
            (status, pointers(&problem)),
            (422, vec!["#/finished_at"]),
            "{time}"
        );
    }
}

/// Status words of services and queues: Replicate, `RunPod`, Celery, Sidekiq, GitHub.
#[tokio::test]
async fn every_route_accepts_the_same_status_words() {
    let server = TestServer::open();
    for (word, status) in [
        (json!("completed"), "succeeded"),
        (json!("SUCCESS"), "succeeded"),
        (json!("done"), "succeeded"),
        (json!(" ok "), "succeeded"),
        (json!(true), "succeeded"),
        (json!("error"), "failed"),
        (json!("Failure"), "failed"),
        (json!("TIMED_OUT"), "failed"),
        (json!("timed-out"), "failed"),
        (json!("成功"), "succeeded"),
    ] {
        for path in ["/v1/events", "/v1/hooks/huiying"] {
            assert_eq!(
                stored(&server, path, &json!({ "status": word })).await.0["status"],
                status,
                "{path} {word}"
            );
        }
    }
    let (event, _) = stored(&server, "/v1/events", &json!({"status": "cancelled"})).await;
    assert_eq!(
        (&event["status"], &event["error"]["code"]),
        (&json!("failed"), &json!("canceled"))
    );
    for word in [json!("running"), json!("perhaps"), json!(1), json!("")] {
        let (status, problem) = server.event(&json!({ "status": word })).await;
        assert_eq!(
            (status, pointers(&problem)),
            (422, vec!["#/status"]),
            "{word}"
        );
    }
}

#[tokio::test]
async fn image_count_is_limited_to_one_thousand() {
    let server = TestServer::open();
    let images = |count: usize| {
        (0..count)
            .map(|n| json!({"url": format!("https://e.com/{n}.png")}))
            .collect::<Vec<_>>()
    };
    let (event, _) = stored(
        &server,
        "/v1/events",
        &json!({"status": "succeeded", "images": images(1_000)}),
    )
    .await;
    assert_eq!(event["images"].as_array().unwrap().len(), 1_000);
    let (status, problem) = server
        .event(&json!({"status": "succeeded", "images": images(1_001)}))
        .await;
    assert_eq!((status, pointers(&problem)), (422, vec!["#/images"]));
}
