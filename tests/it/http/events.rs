//! `POST /v1/events`: every documented response, over real sockets.

use serde_json::{Value, json};

use crate::http::test_server::{PATIENCE, Setup, TestServer, answer, pointers, settings};

fn cat() -> Value {
    json!({"id": "cat-1", "status": "succeeded", "prompt": "一只可爱的小猫", "to": ["user@example.com"]})
}

#[tokio::test]
async fn event_is_answered_once_it_is_stored() {
    let server = TestServer::open();
    let response = server.post("/v1/events").json(&cat()).send().await.unwrap();
    assert_eq!(response.status(), 202);
    assert_eq!(response.headers()["location"], "/v1/events/cat-1");
    assert_eq!(response.headers()["content-type"], "application/json");
    let answer: Value = response.json().await.unwrap();
    assert_eq!(
        answer,
        json!({"id": "cat-1", "status": "accepted", "duplicate": false, "warnings": []})
    );
    assert_eq!(server.accepted().await, 1);
}

#[tokio::test]
async fn event_without_an_id_gets_one() {
    let server = TestServer::open();
    let (status, answer) = server
        .event(&json!({"status": "failed", "error": "out of memory"}))
        .await;
    assert_eq!((status, answer["id"].as_str().unwrap().len()), (202, 36));
    let (status, _) = server
        .event(&json!({"status": "failed", "error": "out of memory"}))
        .await;
    assert_eq!((status, server.accepted().await), (202, 2));
}

#[tokio::test]
async fn repeated_event_is_a_duplicate_or_a_conflict() {
    let server = TestServer::open();
    assert_eq!(server.event(&cat()).await.0, 202);
    let response = server.post("/v1/events").json(&cat()).send().await.unwrap();
    assert_eq!(
        (
            response.status().as_u16(),
            response.headers()["location"].to_str().unwrap()
        ),
        (200, "/v1/events/cat-1")
    );
    let again: Value = response.json().await.unwrap();
    assert_eq!(
        (again["duplicate"].as_bool(), again["id"].as_str()),
        (Some(true), Some("cat-1"))
    );
    let mut other = cat();
    other["prompt"] = json!("a dog");
    let (status, problem) = server.event(&other).await;
    assert_eq!(
        (
            status,
            problem["status"].as_u64(),
            problem["title"].as_str()
        ),
        (409, Some(409), Some("Conflict"))
    );
    assert_eq!(server.accepted().await, 1);
}

#[tokio::test]
async fn idempotency_key_identifies_an_event_without_id() {
    let server = TestServer::open();
    for header in ["idempotency-key", "webhook-id"] {
        let send = |prompt: &str| {
            server
                .post("/v1/events")
                .header(header, format!("key of {header}"))
                .json(&json!({"status": "succeeded", "prompt": prompt}))
        };
        let (status, first) = answer(send("a")).await;
        assert_eq!(status, 202);
        let (status, second) = answer(send("a")).await;
        assert_eq!(
            (status, &second["duplicate"], &second["id"]),
            (200, &json!(true), &first["id"])
        );
        assert_eq!(answer(send("b")).await.0, 409);
    }
    let quoted = server
        .post("/v1/events")
        .header("idempotency-key", "\"key of idempotency-key\"")
        .json(&json!({"status": "succeeded", "prompt": "a"}));
    assert_eq!(answer(quoted).await.0, 200);
    for key in ["", "\"\"", &"x".repeat(191)] {
        let (status, problem) = answer(
            server
                .post("/v1/events")
                .header("idempotency-key", key)
                .json(&cat()),
        )
        .await;
        assert_eq!((status, pointers(&problem)), (422, vec!["idempotency-key"]));
    }
    assert_eq!(server.accepted().await, 2);
}

#[tokio::test]
async fn unknown_fields_are_reported_as_warnings() {
    let server = TestServer::open();
    let (status, answer) = server
        .event(&json!({"status": "succeeded", "promt": "x", "image_url": "javascript:alert(1)"}))
        .await;
    assert_eq!(status, 202);
    assert_eq!(
        answer["warnings"][0],
        "#/image_url was left out: must be an absolute http or https link of at most 4096 bytes, without user name and password"
    );
    assert_eq!(
        answer["warnings"][1],
        "unknown field \"promt\"; did you mean \"prompt\"?"
    );
}

#[tokio::test]
async fn malformed_json_is_a_400_with_its_position() {
    let server = TestServer::open();
    let post = |body: String| {
        answer(
            server
                .post("/v1/events")
                .header("content-type", "application/json")
                .body(body),
        )
    };
    let (status, problem) = post("{\"status\":\n oops}".to_owned()).await;
    assert_eq!(status, 400);
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("line 2 column 2"),
        "{problem}"
    );
    for body in [
        String::new(),
        " \n".to_owned(),
        "{".to_owned(),
        "[".repeat(100_000),
        "{}{}".to_owned(),
    ] {
        assert_eq!(post(body).await.0, 400);
    }
    let not_utf8 = server
        .post("/v1/events")
        .header("content-type", "application/json")
        .body(b"{\"status\":\xff}".to_vec());
    assert_eq!(answer(not_utf8).await.0, 400);
}

#[tokio::test]
async fn validation_errors_have_a_pointer_per_field() {
    let server = TestServer::open();
    let response = server
        .post("/v1/events")
        .json(&json!({"size": "big", "images": [{"url": 5}], "status": "succeeded"}))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 422);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let problem: Value = response.json().await.unwrap();
    assert_eq!(pointers(&problem), ["#/images/0/url", "#/size"]);
    assert!(
        problem["errors"][1]["detail"]
            .as_str()
            .unwrap()
            .contains("1024x768")
    );
    assert_eq!(
        (&problem["type"], &problem["title"], &problem["status"]),
        (
            &json!("about:blank"),
            &json!("Unprocessable Entity"),
            &json!(422)
        )
    );
    assert_eq!(server.accepted().await, 0);
}

#[tokio::test]
async fn non_objects_are_a_422_and_arrays_point_to_ndjson() {
    let server = TestServer::open();
    let (status, problem) = server.event(&json!([cat()])).await;
    assert_eq!((status, pointers(&problem)), (422, vec!["#"]));
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("application/x-ndjson")
    );
    for body in [json!(5), json!("text"), json!(null), json!(true)] {
        assert_eq!(server.event(&body).await.0, 422);
    }
}

#[tokio::test]
async fn only_json_and_ndjson_media_types_are_accepted() {
    let server = TestServer::open();
    let post = |kind: Option<&'static str>| {
        let request = server.post("/v1/events").body("{\"status\":\"succeeded\"}");
        kind.map_or(request.try_clone().unwrap(), |kind| {
            request.header("content-type", kind)
        })
    };
    for kind in [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON;charset=UTF-8",
        "application/x-ndjson ; x=y",
    ] {
        assert_eq!(answer(post(Some(kind))).await.0, 202, "{kind}");
    }
    for kind in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("application/jsonp"),
        Some(""),
    ] {
        assert_eq!(answer(post(kind)).await.0, 415, "{kind:?}");
    }
    assert_eq!(
        answer(post(Some("application/json")).header("content-encoding", "br"))
            .await
            .0,
        415
    );
}

#[tokio::test]
async fn large_body_is_a_413_with_and_without_length() {
    let server = TestServer::with(Setup {
        max_body: 1_000,
        ..Setup::default()
    });
    let mut event = cat();
    event["prompt"] = json!("x".repeat(2_000_000));
    let (status, problem) = server.event(&event).await;
    assert_eq!(status, 413);
    assert!(problem["detail"].as_str().unwrap().contains("1000 bytes"));
    let mut chunked =
        b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n".to_vec();
    for chunk in event.to_string().as_bytes().chunks(10_000) {
        chunked.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let unannounced = server.raw(&chunked).await;
    assert!(unannounced.starts_with("HTTP/1.1 413"), "{unannounced}");
    let waiting = server
        .raw(b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 5000\r\nexpect: 100-continue\r\n\r\n")
        .await;
    assert!(waiting.starts_with("HTTP/1.1 413"), "{waiting}");
    assert_eq!(server.event(&cat()).await.0, 202);
    server.access.replace(&settings(&[], 10));
    assert_eq!(server.event(&cat()).await.0, 413);
}

#[tokio::test]
async fn configured_tokens_are_required() {
    let server = TestServer::with(Setup {
        tokens: vec!["alpha", "beta"],
        ..Setup::default()
    });
    let response = server.post("/v1/events").json(&cat()).send().await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(
        response.headers()["www-authenticate"],
        "Bearer realm=\"jobbell\""
    );
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let wrong = server
        .post("/v1/events")
        .bearer_auth("gamma")
        .json(&cat())
        .send()
        .await
        .unwrap();
    assert_eq!(wrong.status(), 401);
    assert!(
        wrong.headers()["www-authenticate"]
            .to_str()
            .unwrap()
            .contains("invalid_token")
    );
    assert_eq!(
        answer(server.post("/v1/events").bearer_auth("beta").json(&cat()))
            .await
            .0,
        202
    );
    server.access.replace(&settings(&["gamma"], 1 << 20));
    assert_eq!(
        answer(server.post("/v1/events").bearer_auth("beta").json(&cat()))
            .await
            .0,
        401
    );
    assert_eq!(
        answer(server.post("/v1/events").bearer_auth("gamma").json(&cat()))
            .await
            .0,
        200
    );
}

#[tokio::test]
async fn foreign_web_page_cannot_post_without_tokens() {
    let server = TestServer::open();
    let (status, _) = answer(
        server
            .post("/v1/events")
            .header("origin", "https://evil.example")
            .json(&cat()),
    )
    .await;
    assert_eq!((status, server.accepted().await), (403, 0));
}

#[tokio::test]
async fn event_without_any_recipient_is_a_422_at_to() {
    let server = TestServer::with(Setup {
        default_to: Vec::new(),
        ..Setup::default()
    });
    let (status, problem) = server.event(&json!({"status": "succeeded"})).await;
    assert_eq!((status, pointers(&problem)), (422, vec!["#/to"]));
    for missing in [json!(null), json!(""), json!([])] {
        let (status, problem) = server
            .event(&json!({"status": "succeeded", "size": "x", "to": missing}))
            .await;
        assert_eq!(
            (status, pointers(&problem)),
            (422, vec!["#/size", "#/to"]),
            "beside the other faults"
        );
        assert!(
            problem["errors"][1]["detail"]
                .as_str()
                .unwrap()
                .contains("smtp.to"),
            "{problem}"
        );
    }
    for (wrong, place) in [
        (json!("nobody"), "#/to"),
        (json!(["nobody"]), "#/to/0"),
        (json!(5), "#/to"),
    ] {
        assert_eq!(
            pointers(
                &server
                    .event(&json!({"status": "succeeded", "to": wrong}))
                    .await
                    .1
            ),
            [place],
            "each error is reported once"
        );
    }
    assert_eq!(pointers(&server.event(&json!(5)).await.1), ["#"]);
    let (status, problem) =
        answer(server.post("/v1/hooks/huiying").json(&json!({"width": -1}))).await;
    assert_eq!((status, pointers(&problem)), (422, vec!["#/width", "#/to"]));
    let post = |lines: String| {
        answer(
            server
                .post("/v1/events")
                .header("content-type", "application/x-ndjson")
                .body(lines),
        )
    };
    let lines = "{\"status\":\"succeeded\",\"to\":\"a@x.org\"}\n\n{\"status\":\"succeeded\"}\n{\"size\":\"x\",\"status\":\"failed\"}\nnonsense\n";
    let (status, problem) = post(lines.to_owned()).await;
    assert_eq!(
        (status, pointers(&problem)),
        (422, vec!["#/1/to", "#/2/size", "#/2/to", "#/3"])
    );
    let detail = |number: usize| problem["errors"][number]["detail"].as_str().unwrap();
    assert!(
        detail(0).starts_with("line 3: is required: no default recipient")
            && detail(2).starts_with("line 4: is required: no default recipient"),
        "{problem}"
    );
    let (_, problem) = post("{\"status\":\"failed\"}\n".repeat(1_000)).await;
    assert_eq!(
        problem["errors"].as_array().unwrap().len(),
        1_000,
        "each line is named"
    );
    assert_eq!(server.accepted().await, 0);
}

#[tokio::test]
async fn full_queue_is_a_503_with_retry_after() {
    let server = TestServer::with(Setup {
        max_pending: 1,
        ..Setup::default()
    });
    let two = json!({"status": "succeeded", "to": "a@x.org, b@x.org"});
    let response = server.post("/v1/events").json(&two).send().await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "10");
    assert_eq!(server.accepted().await, 0);
    assert_eq!(server.event(&cat()).await.0, 202);
    assert_eq!(server.event(&json!({"status": "succeeded"})).await.0, 503);
    assert_eq!(
        server.event(&cat()).await.0,
        200,
        "duplicates are recognized even if the queue is full"
    );
}

#[tokio::test]
async fn ndjson_is_stored_as_a_whole_and_answered_by_an_array() {
    let server = TestServer::open();
    let post = |body: String| {
        answer(
            server
                .post("/v1/events")
                .header("content-type", "application/x-ndjson")
                .body(body),
        )
    };
    let lines = "{\"id\":\"a\",\"status\":\"succeeded\",\"promt\":1}\r\n\n{\"id\":\"b\",\"status\":\"failed\"}";
    let (status, answers) = post(lines.to_owned()).await;
    assert_eq!(status, 202);
    assert_eq!(answers.as_array().unwrap().len(), 2);
    assert_eq!(
        (
            &answers[0]["id"],
            answers[0]["warnings"].as_array().unwrap().len()
        ),
        (&json!("a"), 1)
    );
    assert_eq!(
        (&answers[1]["id"], &answers[1]["duplicate"]),
        (&json!("b"), &json!(false))
    );
    let (status, answers) = post(lines.to_owned()).await;
    assert_eq!((status, &answers[1]["duplicate"]), (200, &json!(true)));
    let (status, answers) = post(format!(
        "{lines}\n{{\"id\":\"c\",\"status\":\"failed\"}}\n{{\"id\":\"c\",\"status\":\"failed\"}}"
    ))
    .await;
    assert_eq!(status, 202);
    let duplicates: Vec<bool> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| answer["duplicate"].as_bool().unwrap())
        .collect();
    assert_eq!(
        (duplicates, server.accepted().await),
        (vec![true, true, false, true], 3)
    );
}

#[tokio::test]
async fn one_invalid_line_rejects_all_and_is_named() {
    let server = TestServer::with(Setup {
        max_pending: 2_000,
        ..Setup::default()
    });
    let post = |body: String| {
        answer(
            server
                .post("/v1/events")
                .header("content-type", "application/x-ndjson")
                .body(body),
        )
    };
    let good = "{\"status\":\"succeeded\"}";
    let (status, problem) = post(format!(
        "{good}\n\n{{\"status\":\"perhaps\",\"size\":1}}\nnonsense\n{good}"
    ))
    .await;
    assert_eq!(
        (status, pointers(&problem)),
        (422, vec!["#/1/size", "#/1/status", "#/2"])
    );
    assert!(
        problem["errors"][0]["detail"]
            .as_str()
            .unwrap()
            .starts_with("line 3: ")
    );
    assert!(
        problem["errors"][2]["detail"]
            .as_str()
            .unwrap()
            .starts_with("line 4: is not JSON")
    );
    let conflict = "{\"id\":\"x\",\"status\":\"succeeded\"}\n{\"id\":\"x\",\"status\":\"failed\"}";
    let (status, problem) = post(conflict.to_owned()).await;
    assert_eq!(status, 409);
    assert!(problem["detail"].as_str().unwrap().starts_with("#/1"));
    let too_many = format!("{good}\n").repeat(1_001);
    assert_eq!(post(too_many).await.0, 422);
    assert_eq!(post("\n \n".to_owned()).await.0, 400);
    assert_eq!(server.accepted().await, 0);
    assert_eq!(post(format!("{good}\n").repeat(1_000)).await.0, 202);
    assert_eq!(server.accepted().await, 1_000);
}

#[tokio::test]
async fn idempotency_key_identifies_the_whole_request() {
    let server = TestServer::open();
    let request = |kind: &'static str| {
        server
            .post("/v1/events")
            .header("content-type", kind)
            .header("idempotency-key", "k")
    };
    let lines = |body: &'static str| answer(request("application/x-ndjson").body(body));
    let both = "{\"status\":\"succeeded\"}\n{\"status\":\"failed\"}";
    let (status, first) = lines(both).await;
    assert_eq!(status, 202);
    let (status, second) = lines(both).await;
    assert_eq!(
        (status, &first[0]["id"], &first[1]["id"]),
        (200, &second[0]["id"], &second[1]["id"])
    );
    assert_eq!(
        (&second[0]["duplicate"], &second[1]["duplicate"]),
        (&json!(true), &json!(true))
    );
    for other in [
        "{\"status\":\"failed\"}\n{\"status\":\"succeeded\"}",
        "{\"status\":\"succeeded\"}",
        "{\"status\":\"succeeded\"}\n{\"status\":\"failed\"}\n{\"status\":\"failed\"}",
    ] {
        let (status, problem) = lines(other).await;
        assert_eq!(
            (
                status,
                problem["detail"]
                    .as_str()
                    .unwrap()
                    .contains("Idempotency-Key")
            ),
            (409, true),
            "{other}: {problem}"
        );
    }
    assert_eq!(
        answer(request("application/json").body("{\"status\":\"succeeded\"}"))
            .await
            .0,
        409
    );
    assert_eq!(server.accepted().await, 2);
}

#[tokio::test]
async fn idempotency_key_of_a_duplicate_is_remembered() {
    let server = TestServer::open();
    let keyed = |event: Value| {
        answer(
            server
                .post("/v1/events")
                .header("idempotency-key", "k")
                .json(&event),
        )
    };
    assert_eq!(server.event(&cat()).await.0, 202);
    assert_eq!(keyed(cat()).await.0, 200);
    assert_eq!(
        keyed(json!({"id": "dog-1", "status": "succeeded"})).await.0,
        409
    );
    assert_eq!(keyed(cat()).await.0, 200);
    assert_eq!(server.accepted().await, 1);
}

#[tokio::test]
async fn missing_body_is_a_408() {
    let server = TestServer::with(Setup {
        body_time: std::time::Duration::from_millis(100),
        ..Setup::default()
    });
    let head = b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"status\":";
    let answered = tokio::time::timeout(PATIENCE, server.raw(head))
        .await
        .unwrap();
    assert!(
        answered.starts_with("HTTP/1.1 408") && answered.contains("connection: close"),
        "{answered}"
    );
}

#[tokio::test]
async fn every_intake_outcome_is_counted() {
    let server = TestServer::with(Setup {
        max_pending: 1,
        ..Setup::default()
    });
    assert_eq!(server.event(&cat()).await.0, 202);
    assert_eq!(server.event(&cat()).await.0, 200);
    assert_eq!(
        server
            .event(&json!({"status": "failed", "id": "cat-1"}))
            .await
            .0,
        409
    );
    assert_eq!(server.event(&json!({"status": "perhaps"})).await.0, 422);
    assert_eq!(server.event(&json!({"status": "failed"})).await.0, 503);
    assert_eq!(answer(server.post("/v1/events").body("x")).await.0, 415);
    let text = server
        .get("/metrics")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    for (outcome, number) in [
        ("accepted", 1),
        ("duplicate", 1),
        ("conflict", 1),
        ("refused", 1),
        ("invalid", 2),
    ] {
        assert!(
            text.contains(&format!(
                "jobbell_events_total{{source=\"http\",outcome=\"{outcome}\"}} {number}"
            )),
            "{text}"
        );
    }
    assert!(text.contains("jobbell_intake_seconds_count 2"), "{text}");
}
