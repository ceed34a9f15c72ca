//! `POST /v1/hooks/{name}`: formats of services.

use serde_json::{Value, json};

use crate::http::test_server::{Setup, TestServer, answer, pointers};

fn record() -> Value {
    json!({
        "id": 17, "original_prompt": "一只可爱的小猫", "english_prompt": "A cute little kitten", "image_url": "https://e.com/a.png",
        "local_path": "/static/images/a.png", "r2_url": "https://r2.e.com/a.png", "file_size": 245_760, "width": 1024, "height": 1024,
        "format": "png", "created_at": "2026-01-01 08:00:09"
    })
}

#[tokio::test]
async fn repeated_image_record_makes_one_email() {
    let server = TestServer::open();
    let response = server
        .post("/v1/hooks/huiying")
        .json(&record())
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            response.status().as_u16(),
            response.headers()["location"].to_str().unwrap()
        ),
        (202, "/v1/events/hook:huiying:succeeded:17")
    );
    let answered: Value = response.json().await.unwrap();
    assert_eq!(
        answered["warnings"].as_array().unwrap().len(),
        1,
        "the time has no zone: {answered}"
    );
    assert_eq!(
        answer(server.post("/v1/hooks/huiying").json(&record()))
            .await
            .0,
        200
    );
    let mut failed = record();
    failed["error"] = json!("NSFW");
    assert_eq!(
        answer(server.post("/v1/hooks/huiying").json(&failed))
            .await
            .0,
        202
    );
    assert_eq!(server.accepted().await, 2);
    let (status, event) = answer(server.get("/v1/events/hook:huiying:succeeded:17")).await;
    assert_eq!((status, &event["source"]), (200, &json!("huiying")));
    assert_eq!(event["event"]["images"][0]["url"], "https://r2.e.com/a.png");
    assert_eq!(
        (&event["event"]["prompt"], &event["event"]["size"]),
        (&json!("一只可爱的小猫"), &json!("1024x1024"))
    );
}

#[tokio::test]
async fn hook_rejects_like_the_main_route() {
    let server = TestServer::open();
    let (status, problem) = answer(
        server
            .post("/v1/hooks/huiying")
            .json(&json!({"original_prompt": 5, "width": -1})),
    )
    .await;
    assert_eq!(
        (status, pointers(&problem)),
        (422, vec!["#/original_prompt", "#/width"])
    );
    let post = |kind: &'static str, body: &'static str| {
        answer(
            server
                .post("/v1/hooks/huiying")
                .header("content-type", kind)
                .body(body),
        )
    };
    assert_eq!(post("application/json", "{").await.0, 400);
    assert_eq!(post("application/x-ndjson", "{}").await.0, 415);
    let text = server
        .get("/metrics")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        text.contains("jobbell_events_total{source=\"huiying\",outcome=\"invalid\"} 3"),
        "{text}"
    );
}

#[tokio::test]
async fn unknown_hooks_get_identical_404s() {
    let server = TestServer::open();
    let (status, first) = answer(server.post("/v1/hooks/nosuch").json(&record())).await;
    let (_, second) = answer(server.post("/v1/hooks/%FF%00").json(&json!([]))).await;
    assert_eq!((status, &first), (404, &second));
    let (_, third) = answer(server.post("/v1/hooks/huiying/secret").json(&record())).await;
    assert_eq!(third, first);
    let guarded = TestServer::with(Setup {
        tokens: vec!["t"],
        ..Setup::default()
    });
    assert_eq!(
        answer(guarded.post("/v1/hooks/nosuch").json(&record())).await,
        (404, first)
    );
    assert_eq!(
        answer(guarded.post("/v1/hooks/huiying").json(&record()))
            .await
            .0,
        401
    );
    assert_eq!(
        answer(
            guarded
                .post("/v1/hooks/huiying")
                .bearer_auth("t")
                .json(&record())
        )
        .await
        .0,
        202
    );
}
