//! Behaviour common to all kinds: media types, repeated results, echoed secrets, challenges.

use serde_json::{Value, json};

use super::{SENT, answer, sample, server};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

async fn kept(server: &crate::http::test_server::TestServer) -> Vec<Value> {
    let (_, list) = answer(server.get("/v1/hook-failures")).await;
    let mut kept = Vec::new();
    for failure in list["failures"].as_array().unwrap() {
        kept.push(
            answer(server.get(&format!("/v1/hook-failures/{}", failure["id"])))
                .await
                .1,
        );
    }
    kept
}

#[tokio::test]
async fn json_is_accepted_with_any_media_type() {
    let server = server(
        "[hooks.generic]\nunverified = true\n[hooks.github]\nunverified = true\n",
        SENT,
    );
    // Amazon SNS sends text/plain
    // (https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html).
    let types = [
        "text/plain; charset=UTF-8",
        "application/octet-stream",
        "text/json",
        "application/vnd.acme+json",
        "*/*",
        "",
    ];
    for (nth, kind) in types.into_iter().enumerate() {
        let request = server
            .post("/v1/hooks/generic")
            .body(json!({"id": nth, "status": "done"}).to_string());
        let request = if kind.is_empty() {
            request
        } else {
            request.header("content-type", kind)
        };
        assert_eq!(answer(request).await.0, 202, "{kind}");
    }
    // GitHub's other content type
    // (https://docs.github.com/webhooks/using-webhooks/creating-webhooks).
    let form: String = url::form_urlencoded::Serializer::new(String::new())
        .append_pair(
            "payload",
            &String::from_utf8(sample("github-workflow-run-success.json")).unwrap(),
        )
        .finish();
    let posted = server
        .post("/v1/hooks/github")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    assert_eq!(answer(posted).await.0, 202);
    assert_eq!((server.accepted().await, kept(&server).await.len()), (7, 0));
}

#[tokio::test]
async fn unreadable_body_is_rejected_and_kept_redacted() {
    let table = format!("[hooks.gpu]\nkind = \"runpod\"\nsecret = \"{SECRET}\"\n");
    for (kind, body, status) in [
        (
            "application/json",
            format!(
                "{{\"id\": \"1\", \"apiKey\": \"k1\", \"hook\": \"https://h/v1/hooks/gpu/{SECRET}\""
            ),
            400,
        ),
        ("text/plain", "job 1 done, token=k1".to_owned(), 415),
        (
            "application/xml",
            format!("<job href='https://h/v1/hooks/gpu/{SECRET}'/>"),
            415,
        ),
        ("application/cloudevents+avro", "{}".to_owned(), 415),
        (
            "application/x-www-form-urlencoded",
            "id=1&secret=k1".to_owned(),
            415,
        ),
        ("application/json", json!({"id": "1"}).to_string(), 422),
    ] {
        let server = server(&table, SENT);
        let post = |secret: &str| {
            server
                .post(&format!("/v1/hooks/gpu/{secret}"))
                .header("content-type", kind)
                .body(body.clone())
        };
        assert_eq!(answer(post("wrong")).await.0, 404);
        assert!(
            kept(&server).await.is_empty(),
            "only payloads of authenticated senders are kept"
        );
        let (code, said) = answer(post(SECRET)).await;
        assert_eq!(code, status, "{kind} {body}: {said}");
        let kept = Value::from(kept(&server).await);
        assert_eq!(kept.as_array().map(Vec::len), Some(1), "{kind} {body}");
        let sample = kept.to_string();
        assert!(
            !sample.contains("k1") && !sample.contains(SECRET),
            "{sample}"
        );
    }
}

#[tokio::test]
async fn same_result_with_other_details_is_a_duplicate() {
    let server = server(
        "[hooks.replicate]\nunverified = true\n[hooks.openai]\nunverified = true\n[hooks.fal]\nunverified = true\n",
        SENT,
    );
    for (kind, file) in [
        ("replicate", "replicate-success.json"),
        ("openai", "openai-success-batch.json"),
        ("fal", "fal-success.json"),
    ] {
        let first: Value = serde_json::from_slice(&sample(file)).unwrap();
        let mut again = first.clone();
        again["metrics"] = json!({"predict_time": 9.1});
        again["payload"]["seed"] = 7.into();
        again["input"]["seed"] = 7.into();
        again["created_at"] = json!(1_772_612_000);
        let post = |payload: &Value, id: &str| {
            answer(
                server
                    .post(&format!("/v1/hooks/{kind}"))
                    .header("webhook-id", id)
                    .json(payload),
            )
        };
        let (status, taken) = post(&first, "msg_1").await;
        assert_eq!(status, 202, "{kind}: {taken}");
        for id in ["msg_2", "msg_1"] {
            let (status, said) = post(&again, id).await;
            assert_eq!(
                (status, &said["duplicate"], &said["id"]),
                (200, &json!(true), &taken["id"]),
                "{kind} {id}"
            );
        }
    }
    assert_eq!(server.accepted().await, 3);
    let mut other: Value = serde_json::from_slice(&sample("replicate-success.json")).unwrap();
    other["id"] = "another".into();
    let taken = answer(
        server
            .post("/v1/hooks/replicate")
            .header("webhook-id", "msg_1")
            .json(&other),
    )
    .await;
    assert_eq!(taken.0, 409, "one delivery names one end");
}

#[tokio::test]
async fn duplicates_in_a_batch_do_not_block_other_results() {
    let server = server(
        "[hooks.h]\nkind = \"cloudevents\"\nunverified = true\n",
        SENT,
    );
    let event = |id: &str, title: &str| json!({"specversion": "1.0", "id": id, "source": "/farm", "type": "job.succeeded", "data": {"title": title}});
    let post = |events: Value| {
        answer(
            server
                .post("/v1/hooks/h")
                .header("content-type", "application/cloudevents-batch+json")
                .body(events.to_string()),
        )
    };
    assert_eq!(post(json!([event("1", "A")])).await.0, 202);
    let (status, said) = post(json!([
        event("2", "B"),
        event("1", "A, later"),
        event("3", "C")
    ]))
    .await;
    let duplicates: Vec<_> = said
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["duplicate"].clone())
        .collect();
    assert_eq!(
        (status, duplicates),
        (202, vec![json!(false), json!(true), json!(false)]),
        "{said}"
    );
    assert_eq!(server.accepted().await, 3);
}

#[tokio::test]
async fn svix_headers_identify_job_and_delivery() {
    // https://docs.svix.com/receiving/verifying-payloads/how-manual
    let server = server("[hooks.standard-webhooks]\nunverified = true\n", SENT);
    let post = |id: &str, body: Value| {
        answer(
            server
                .post("/v1/hooks/standard-webhooks")
                .header("svix-id", id)
                .header("svix-timestamp", "1772612137")
                .json(&body),
        )
    };
    let payload = json!({"type": "image.completed", "data": {"title": "Fox"}});
    let (status, said) = post("msg_1", payload.clone()).await;
    assert_eq!(
        (status, &said["id"]),
        (202, &json!("hook:standard-webhooks:succeeded:msg_1")),
        "{said}"
    );
    let again = post("msg_1", payload).await;
    assert_eq!((again.0, &again.1["duplicate"]), (200, &json!(true)));
    assert_eq!(
        post(
            "msg_1",
            json!({"type": "image.completed", "data": {"id": "x"}})
        )
        .await
        .0,
        409
    );
    assert_eq!(server.accepted().await, 1);
}

#[tokio::test]
async fn own_webhook_url_is_masked_everywhere() {
    let server = server(
        &format!(
            "[hooks.gpu]\nkind = \"runpod\"\nsecret = \"{SECRET}\"\n[hooks.mj]\nkind = \"midjourney-proxy\"\nsecret = \"{SECRET}\"\n"
        ),
        SENT,
    );
    let address = format!("https://h/v1/hooks/gpu/{SECRET}");
    let odd = json!({"id": "1", "status": "ODD", "webhook": address, "error": format!("POST {address} failed"), "log": address.replace('/', "%2F")});
    answer(server.post(&format!("/v1/hooks/gpu/{SECRET}")).json(&odd)).await;
    let task = json!({"id": "2", "status": "PAUSED", "notifyHook": format!("https://proxy.example.com/{SECRET}/x"), "properties": {"notifyHook": "https://proxy.example.com/other"}});
    answer(server.post(&format!("/v1/hooks/mj/{SECRET}")).json(&task)).await;
    let shown = Value::from(kept(&server).await).to_string();
    assert!(
        shown.contains("ODD")
            && shown.contains("PAUSED")
            && shown.contains("proxy.example.com/***"),
        "{shown}"
    );
    assert!(
        !shown.contains(SECRET) && !shown.contains("com/other"),
        "{shown}"
    );
    let failed = json!({"id": "3", "status": "FAILED", "error": format!("cannot reach {address}"), "output": {"message": address}});
    let (_, said) = answer(
        server
            .post(&format!("/v1/hooks/gpu/{SECRET}"))
            .json(&failed),
    )
    .await;
    let (_, record) =
        answer(server.get(&format!("/v1/events/{}", said["id"].as_str().unwrap()))).await;
    assert_eq!(
        record["event"]["error"]["message"],
        "cannot reach https://h/v1/hooks/gpu/***"
    );
    assert!(!record.to_string().contains(SECRET), "{record}");
}

#[tokio::test]
async fn challenge_is_echoed() {
    // MiniMax: https://platform.minimaxi.com/docs/api-reference/video-generation-t2v (callback_url)
    let server = server(
        &format!(
            "[hooks.video]\nkind = \"generic\"\nsecret = \"{SECRET}\"\nchallenge = \"/challenge\"\n[hooks.video.map]\nid = \"/task_id\"\n"
        ),
        SENT,
    );
    let post = |payload: Value| {
        answer(
            server
                .post(&format!("/v1/hooks/video/{SECRET}"))
                .json(&payload),
        )
    };
    assert_eq!(
        post(json!({"challenge": "1c8a2e"})).await,
        (200, json!({"challenge": "1c8a2e"}))
    );
    assert_eq!(
        post(json!({"task_id": "7", "status": "success", "challenge": "x"}))
            .await
            .0,
        202,
        "an end is an end"
    );
    assert_eq!((server.accepted().await, kept(&server).await.len()), (1, 0));
    let unknown = answer(
        server
            .post("/v1/hooks/video/wrong")
            .json(&json!({"challenge": "1c8a2e"})),
    )
    .await;
    assert_eq!(unknown.0, 404, "the hook is not revealed");
}

#[tokio::test]
async fn images_beyond_a_thousand_are_left_out() {
    let server = server("[hooks.generic]\nunverified = true\n", SENT);
    let images: Vec<String> = (0..1_001)
        .map(|nth| format!("https://e.com/{nth}.png"))
        .collect();
    let (status, said) = answer(
        server
            .post("/v1/hooks/generic")
            .json(&json!({"id": 1, "status": "done", "images": images})),
    )
    .await;
    assert_eq!(
        (status, &said["warnings"]),
        (
            202,
            &json!(["more than 1,000 images; the rest was left out"])
        )
    );
    let (_, record) = answer(server.get("/v1/events/hook:generic:succeeded:1")).await;
    assert_eq!(
        record["event"]["images"].as_array().map(Vec::len),
        Some(1_000)
    );
}

#[tokio::test]
async fn malformed_url_does_not_reject_the_payload() {
    let server = server(
        "[hooks.generic]\nunverified = true\n[hooks.generic.map]\nto = \"/notify\"\n",
        SENT,
    );
    let post = |id: u8, notify: Value| {
        answer(
            server
                .post("/v1/hooks/generic")
                .json(&json!({"id": id, "status": "done", "notify": notify})),
        )
    };
    for (id, notify) in [
        (1, json!(["ok@example.com", "bad"])),
        (2, json!("bad, ok@example.com")),
        (3, json!(["\"Doe, Jane\" <ok@example.com>", 7])),
    ] {
        let (status, said) = post(id, notify).await;
        assert_eq!(
            (status, said["warnings"].as_array().map(Vec::len)),
            (202, Some(1)),
            "{said}"
        );
        let (_, record) =
            answer(server.get(&format!("/v1/events/{}", said["id"].as_str().unwrap()))).await;
        assert_eq!(
            (
                record["deliveries"].as_array().map(Vec::len),
                &record["deliveries"][0]["to"]
            ),
            (Some(1), &json!("ok@example.com")),
            "{record}"
        );
    }
    assert_eq!(post(4, json!(["bad", "worse"])).await.0, 422);
    assert_eq!(
        kept(&server).await.len(),
        1,
        "when none is left the operator sees why"
    );
}
