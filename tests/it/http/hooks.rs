//! `POST /v1/hooks/{name}`: sources that speak their own dialect.

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
async fn an_image_record_makes_one_mail_however_often_it_is_sent() {
    let house = TestServer::open();
    let response = house
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
        answer(house.post("/v1/hooks/huiying").json(&record()))
            .await
            .0,
        200
    );
    let mut failed = record();
    failed["error"] = json!("NSFW");
    assert_eq!(
        answer(house.post("/v1/hooks/huiying").json(&failed))
            .await
            .0,
        202
    );
    assert_eq!(house.accepted().await, 2);
    let (status, event) = answer(house.get("/v1/events/hook:huiying:succeeded:17")).await;
    assert_eq!((status, &event["source"]), (200, &json!("huiying")));
    assert_eq!(event["event"]["images"][0]["url"], "https://r2.e.com/a.png");
    assert_eq!(
        (&event["event"]["prompt"], &event["event"]["size"]),
        (&json!("一只可爱的小猫"), &json!("1024x1024"))
    );
}

#[tokio::test]
async fn a_hook_refuses_as_the_main_route_does() {
    let house = TestServer::open();
    let (status, problem) = answer(
        house
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
            house
                .post("/v1/hooks/huiying")
                .header("content-type", kind)
                .body(body),
        )
    };
    assert_eq!(post("application/json", "{").await.0, 400);
    assert_eq!(post("application/x-ndjson", "{}").await.0, 415);
    let text = house
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
async fn unknown_hooks_are_all_the_same_404() {
    let house = TestServer::open();
    let (status, first) = answer(house.post("/v1/hooks/nosuch").json(&record())).await;
    let (_, second) = answer(house.post("/v1/hooks/%FF%00").json(&json!([]))).await;
    assert_eq!((status, &first), (404, &second));
    let (_, third) = answer(house.post("/v1/hooks/huiying/secret").json(&record())).await;
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
