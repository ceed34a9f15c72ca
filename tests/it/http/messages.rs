//! `POST /v1/messages`: responses, parameters, lane and expiry.

use jobbell::domain::{EventId, Lane};
use serde_json::{Value, json};

use crate::http::test_server::{Setup, TestServer, answer, pointers};

fn code() -> Value {
    json!({"id": "code-1", "to": "user@example.com", "template": "verification_code", "expires_in": "10m", "params": {"code": "483921", "app": "Studio"}})
}

async fn post(server: &TestServer, message: &Value) -> (u16, Value) {
    answer(server.post("/v1/messages").json(message)).await
}

async fn refused(server: &TestServer, template: &str, params: &Value) -> Value {
    let (status, problem) = post(
        server,
        &json!({"to": "user@example.com", "template": template, "params": params}),
    )
    .await;
    assert_eq!(status, 422, "{template} {params}: {problem}");
    problem
}

#[tokio::test]
async fn message_is_answered_like_an_event_and_queued_as_urgent() {
    let server = TestServer::open();
    let response = server
        .post("/v1/messages")
        .json(&code())
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            response.status().as_u16(),
            response.headers()["location"].to_str().unwrap()
        ),
        (202, "/v1/events/code-1")
    );
    let taken: Value = response.json().await.unwrap();
    assert_eq!(
        taken,
        json!({"id": "code-1", "status": "accepted", "duplicate": false, "warnings": []})
    );
    let (status, again) = post(&server, &code()).await;
    assert_eq!((status, &again["duplicate"]), (200, &json!(true)));
    let mut other = code();
    other["params"]["code"] = json!("000000");
    assert_eq!(post(&server, &other).await.0, 409);
    let (_, record) = answer(server.get("/v1/events/code-1")).await;
    let delivery = &record["deliveries"][0];
    assert_eq!(
        (&delivery["lane"], &delivery["kind"], &delivery["to"]),
        (
            &json!("urgent"),
            &json!("verification_code"),
            &json!("user@example.com")
        )
    );
    assert_eq!(
        (&record["source"], server.accepted().await),
        (&json!("messages"), 1)
    );
}

#[tokio::test]
async fn every_template_is_sent_ahead_of_job_emails() {
    let server = TestServer::open();
    let link = "https://app.example.com/x?token=1";
    for (template, params) in [
        ("verification_code", json!({"code": "483921"})),
        (
            "verification_code",
            json!({"code": "A-1 b", "purpose": "登录", "app": "绘影", "user": "小王"}),
        ),
        ("password_reset", json!({"code": "483921"})),
        ("password_reset", json!({"url": link, "user": "Ann"})),
        ("password_reset", json!({"code": "483921", "url": link})),
        ("verify_link", json!({"url": link, "app": null})),
        (
            "system_notice",
            json!({"title": "t", "message": "one\ntwo"}),
        ),
        (
            "system_notice",
            json!({"title": "t", "message": "m", "url": link}),
        ),
        ("plain", json!({"subject": "s", "text": "t"})),
        ("plain", json!({"subject": "s", "html": "<p>h</p>"})),
        (
            "plain",
            json!({"subject": "s", "text": "t", "html": "<p>h</p>", "user": "u"}),
        ),
    ] {
        let to = if matches!(template, "system_notice" | "plain") {
            vec!["a@example.com", "b@example.com"]
        } else {
            vec!["a@example.com"]
        };
        let (status, answer) = post(
            &server,
            &json!({"to": to, "template": template, "params": params}),
        )
        .await;
        assert_eq!(status, 202, "{template} {params}: {answer}");
        let id = EventId::parse(answer["id"].as_str().unwrap()).unwrap();
        let record = server.queue.find(&id).await.unwrap().unwrap();
        assert_eq!(record.deliveries.len(), to.len());
        assert!(record.deliveries.iter().all(|delivery| delivery.lane == Lane::Urgent && delivery.kind.as_str() == template), "{record:?}");
    }
}

#[tokio::test]
async fn missing_and_unknown_parameters_are_reported_together() {
    let server = TestServer::open();
    let problem = refused(
        &server,
        "verification_code",
        &json!({"cod": "1", "purpse": "x"}),
    )
    .await;
    assert_eq!(
        pointers(&problem),
        ["#/params/code", "#/params/cod", "#/params/purpse"]
    );
    assert_eq!(problem["errors"][0]["detail"], "is required");
    assert!(
        problem["errors"][1]["detail"]
            .as_str()
            .unwrap()
            .contains("did you mean \"code\"?"),
        "{problem}"
    );
    let problem = refused(&server, "system_notice", &json!({"text": "x"})).await;
    assert_eq!(
        pointers(&problem),
        ["#/params/title", "#/params/message", "#/params/text"]
    );
    assert_eq!(
        pointers(&refused(&server, "password_reset", &json!({"app": "x"})).await),
        ["#/params/code"]
    );
    assert_eq!(
        pointers(&refused(&server, "plain", &json!({"text": " \u{0} "})).await),
        ["#/params/subject", "#/params/text"]
    );
    assert_eq!(
        pointers(&refused(&server, "verify_link", &json!({"url": "", "code": "1"})).await),
        ["#/params/url", "#/params/code"]
    );
    let (status, problem) = post(
        &server,
        &json!({"template": "verify_lnk", "expires_in": "soon", "locale": "fr", "id": "a b"}),
    )
    .await;
    assert_eq!(
        (status, pointers(&problem)),
        (
            422,
            vec!["#/id", "#/to", "#/locale", "#/expires_in", "#/template"]
        )
    );
    assert!(
        problem["errors"][4]["detail"]
            .as_str()
            .unwrap()
            .ends_with("did you mean \"verify_link\"?"),
        "{problem}"
    );
    let (status, problem) = post(
        &server,
        &json!({"template": "plain", "to": "nobody", "params": []}),
    )
    .await;
    assert_eq!(
        (status, pointers(&problem)),
        (422, vec!["#/to", "#/params"])
    );
    assert_eq!(
        pointers(&post(&server, &json!({"to": "a@example.com"})).await.1),
        ["#/template"]
    );
    assert_eq!(server.accepted().await, 0);
}

#[tokio::test]
async fn parameters_that_cannot_be_rendered_are_rejected() {
    let server = TestServer::open();
    for value in [
        json!(483_921),
        json!("48\n39"),
        json!("4".repeat(65)),
        json!("４８３９"),
        json!("48\u{202E}39"),
        json!(["1"]),
    ] {
        assert_eq!(
            pointers(&refused(&server, "verification_code", &json!({ "code": value })).await),
            ["#/params/code"]
        );
    }
    for url in [
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://x.org/",
        "//x.org",
        "https://user:pw@x.org/",
        "https://",
        &format!("https://x.org/{}", "a".repeat(4_096)),
    ] {
        for template in ["verify_link", "password_reset"] {
            assert_eq!(
                pointers(&refused(&server, template, &json!({ "url": url })).await),
                ["#/params/url"],
                "{url}"
            );
        }
        assert_eq!(
            pointers(
                &refused(
                    &server,
                    "system_notice",
                    &json!({"title": "t", "message": "m", "url": url})
                )
                .await
            ),
            ["#/params/url"]
        );
    }
    let long = |name: &str, length: usize| json!({"subject": "s", "title": "t", "message": "m", "text": "t", name: "x".repeat(length)});
    let only = |template: &str, mut params: Value| {
        let fields = if template == "plain" {
            ["title", "message"]
        } else {
            ["subject", "text"]
        };
        for name in fields {
            params.as_object_mut().unwrap().remove(name);
        }
        (template.to_owned(), params)
    };
    for (name, template, most) in [
        ("subject", "plain", 500),
        ("text", "plain", 200_000),
        ("html", "plain", 200_000),
        ("title", "system_notice", 200),
        ("message", "system_notice", 20_000),
        ("app", "plain", 100),
        ("user", "plain", 100),
    ] {
        let (template, params) = only(template, long(name, most + 1));
        assert_eq!(
            pointers(&refused(&server, &template, &params).await),
            [format!("#/params/{name}")]
        );
        let (template, params) = only(&template, long(name, most));
        assert_eq!(
            post(
                &server,
                &json!({"to": "a@example.com", "template": template, "params": params})
            )
            .await
            .0,
            202,
            "{name}"
        );
    }
    for life in [
        json!("0s"),
        json!("31d"),
        json!("ten minutes"),
        json!(0),
        json!(1.5),
        json!(true),
        json!("-5m"),
    ] {
        let mut message = code();
        message["expires_in"] = life;
        assert_eq!(
            pointers(&post(&server, &message).await.1),
            ["#/expires_in"],
            "{message}"
        );
    }
}

#[tokio::test]
async fn active_html_is_rejected_and_long_html_gets_a_warning() {
    let server = TestServer::open();
    let html = |html: &str| json!({"to": "a@example.com", "template": "plain", "params": {"subject": "s", "html": html}});
    let (status, problem) = post(&server, &html("<p onclick=x>a</p><script>b</script><img src='data:image/png;base64,AA'><a href='javascript:x()'>c</a>")).await;
    assert_eq!(
        (status, pointers(&problem)),
        (422, vec!["#/params/html"; 4])
    );
    assert_eq!(server.accepted().await, 0);
    let (status, answer) = post(&server, &html(&"<p>long</p>".repeat(10_000))).await;
    assert_eq!(
        (status, answer["warnings"].as_array().unwrap().len()),
        (202, 1),
        "{answer}"
    );
}

#[tokio::test]
async fn message_without_recipient_has_no_default() {
    let server = TestServer::open();
    for to in [json!(null), json!(""), json!([])] {
        let mut message = code();
        message["to"] = to;
        let (status, problem) = post(&server, &message).await;
        assert_eq!((status, pointers(&problem)), (422, vec!["#/to"]));
    }
    let (status, answer) = post(
        &server,
        &json!({"to": "a@example.com, b@example.com, A@example.com", "template": "plain", "params": {"subject": "s", "text": "t"}, "expire_in": "5m"}),
    )
    .await;
    assert_eq!(
        (status, &answer["warnings"]),
        (
            202,
            &json!(["unknown field \"expire_in\"; did you mean \"expires_in\"?"])
        )
    );
    assert_eq!(server.accepted().await, 2);
}

#[tokio::test]
async fn messages_share_the_error_responses_of_events() {
    let server = TestServer::with(Setup {
        tokens: vec!["secret"],
        max_body: 1_000,
        max_pending: 1,
        ..Setup::default()
    });
    let request = || server.post("/v1/messages").bearer_auth("secret");
    assert_eq!(
        answer(server.post("/v1/messages").json(&code())).await.0,
        401
    );
    assert_eq!(
        answer(
            request()
                .header("content-type", "application/json")
                .body("{")
        )
        .await
        .0,
        400
    );
    assert_eq!(
        answer(
            request()
                .header("content-type", "application/json")
                .body("x".repeat(1_001))
        )
        .await
        .0,
        413
    );
    assert_eq!(
        answer(
            request()
                .header("content-type", "application/x-ndjson")
                .body("{}")
        )
        .await
        .0,
        415
    );
    assert_eq!(answer(request().json(&json!([code()]))).await.0, 422);
    let keyed = |code: &str| {
        request().header("idempotency-key", "k").json(&json!({"to": "a@example.com", "template": "verification_code", "params": {"code": code}}))
    };
    let (status, first) = answer(keyed("1")).await;
    let (again, second) = answer(keyed("1")).await;
    assert_eq!(
        (status, again, &first["id"], &second["duplicate"]),
        (202, 200, &second["id"], &json!(true))
    );
    assert_eq!(answer(keyed("2")).await.0, 409);
    let full = request().json(&code()).send().await.unwrap();
    assert_eq!(
        (
            full.status().as_u16(),
            full.headers().contains_key("retry-after")
        ),
        (503, true)
    );
}

#[tokio::test]
async fn records_hide_codes_and_secret_links() {
    let server = TestServer::open();
    let link = "https://app.example.com/reset?token=2b7f0c5e9a";
    for (id, template, params) in [
        ("a", "verification_code", json!({"code": "483921"})),
        (
            "b",
            "password_reset",
            json!({"code": "483921", "url": link}),
        ),
        ("c", "verify_link", json!({"url": link})),
    ] {
        assert_eq!(
            post(
                &server,
                &json!({"id": id, "to": "a@example.com", "template": template, "params": params})
            )
            .await
            .0,
            202
        );
        let text = server
            .get(&format!("/v1/events/{id}"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        assert!(
            !text.contains("483921") && !text.contains("2b7f0c5e9a") && text.contains("***"),
            "{text}"
        );
    }
    let (_, record) = answer(server.get("/v1/events/b")).await;
    assert_eq!(
        record["event"]["params"],
        json!({"code": "***", "url": "https://app.example.com/***"})
    );
}

#[tokio::test]
async fn allow_list_applies_to_messages_and_job_kinds_do_not() {
    let server = TestServer::open();
    let mut routes = (**server.routes.load()).clone();
    (routes.on_success, routes.on_failure) = (false, false);
    routes.allowed = vec![jobbell::routing::Allowed::parse("*@example.com").unwrap()];
    server.routes.store(std::sync::Arc::new(routes.clone()));
    let notice = json!({"title": "t", "message": "m"});
    let mut message = json!({"id": "code-1", "to": "user@example.com, other@example.org", "template": "system_notice", "params": notice});
    assert_eq!(post(&server, &message).await.0, 202);
    routes.enabled = false;
    server.routes.store(std::sync::Arc::new(routes));
    message["id"] = json!("code-2");
    assert_eq!(post(&server, &message).await.0, 202);
    let fates = async |id: &str| {
        let (_, record) = answer(server.get(&format!("/v1/events/{id}"))).await;
        let deliveries = record["deliveries"].as_array().unwrap().clone();
        deliveries
            .iter()
            .map(|delivery| {
                format!(
                    "{} {}",
                    delivery["state"].as_str().unwrap(),
                    delivery["reason"].as_str().unwrap_or_default()
                )
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(fates("code-1").await, ["queued ", "suppressed not_allowed"]);
    assert_eq!(
        fates("code-2").await,
        ["suppressed disabled", "suppressed not_allowed"]
    );
}
