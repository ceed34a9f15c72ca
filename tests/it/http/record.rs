//! Records, retry and cancel, health, metrics and OpenAPI.

use std::time::Duration;

use jobbell::domain::{Outcome, Timestamp};
use jobbell::queue::{ClaimLimit, Settlement};
use jobbell::routing::Routes;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::http::test_server::{Setup, TestServer, answer, pointers};

/// Posts an event and returns the id of its only delivery.
async fn delivery(server: &TestServer, id: &str) -> String {
    assert_eq!(
        server
            .event(&json!({"id": id, "status": "succeeded", "to": "user@example.com"}))
            .await
            .0,
        202
    );
    let (status, event) = answer(server.get(&format!("/v1/events/{id}"))).await;
    assert_eq!(status, 200);
    event["deliveries"][0]["id"].as_str().unwrap().to_owned()
}

fn list(server: &TestServer, query: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(query)
        .finish();
    server.get(&format!("/v1/deliveries?{query}"))
}

#[tokio::test]
async fn event_is_shown_with_its_deliveries() {
    let server = TestServer::open();
    let id = delivery(&server, "e-1").await;
    let (_, shown) = answer(server.get("/v1/events/e-1")).await;
    assert_eq!(
        (&shown["id"], &shown["source"], &shown["received_at"]),
        (
            &json!("e-1"),
            &json!("http"),
            &json!("2026-01-01T00:00:00Z")
        )
    );
    assert_eq!(
        (&shown["event"]["status"], &shown["event"]["to"]),
        (&json!("succeeded"), &json!(["user@example.com"]))
    );
    let one = &shown["deliveries"][0];
    let names: Vec<&str> = one
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let expected = [
        "attempts",
        "created_at",
        "event_id",
        "id",
        "kind",
        "lane",
        "message_id",
        "next_attempt_at",
        "reason",
        "sent_at",
        "state",
        "to",
    ];
    assert_eq!(names, expected);
    assert_eq!(
        (&one["id"], &one["event_id"], &one["to"], &one["state"]),
        (
            &json!(id),
            &json!("e-1"),
            &json!("user@example.com"),
            &json!("queued")
        )
    );
    assert_eq!(
        (&one["attempts"], &one["sent_at"]),
        (&json!([]), &json!(null))
    );
}

#[tokio::test]
async fn events_are_found_by_their_location() {
    let server = TestServer::open();
    for id in [
        "a/b?c#d%e",
        "x y".replace(' ', "+").as_str(),
        "\"<>&';--",
        "~._-",
    ] {
        let response = server
            .post("/v1/events")
            .json(&json!({"id": id, "status": "succeeded"}))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 202);
        let place = response.headers()["location"].to_str().unwrap().to_owned();
        let (status, shown) = answer(server.get(&place)).await;
        assert_eq!((status, &shown["id"]), (200, &json!(id)), "{place}");
    }
    for path in [
        "/v1/events/nosuch",
        "/v1/events/%E7%BB%98%E5%BD%B1",
        "/v1/events/%FF",
        "/v1/events/a%20b",
        &format!("/v1/events/{}", "x".repeat(201)),
    ] {
        assert_eq!(answer(server.get(path)).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn deliveries_are_listed_by_page_and_filter() {
    let server = TestServer::open();
    for number in 0..5 {
        server.event(&json!({"id": format!("p-{number}"), "status": "succeeded", "to": format!("u{}@x.org", number % 2)})).await;
    }
    let (status, all) = answer(server.get("/v1/deliveries?state=&to=&since=&cursor=&limit=")).await;
    assert_eq!(
        (
            status,
            all["deliveries"].as_array().unwrap().len(),
            &all["next_cursor"]
        ),
        (200, 5, &json!(null))
    );
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let (_, page) = answer(list(&server, &[("limit", "2"), ("cursor", &cursor)])).await;
        seen.extend(
            page["deliveries"]
                .as_array()
                .unwrap()
                .iter()
                .map(|delivery| delivery["event_id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        cursor = next.to_owned();
    }
    seen.sort();
    assert_eq!(seen, ["p-0", "p-1", "p-2", "p-3", "p-4"]);
    let count = async |query: &[(&str, &str)]| {
        answer(list(&server, query)).await.1["deliveries"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(count(&[("to", "u0@x.org")]).await, 3);
    assert_eq!(count(&[("state", "sent")]).await, 0);
    assert_eq!(count(&[("state", "queued"), ("to", "U1@x.org")]).await, 2);
    let (status, problem) =
        answer(server.get("/v1/deliveries?state=lost&limit=500&colour=red")).await;
    assert_eq!(
        (status, pointers(&problem)),
        (422, vec!["?state", "?limit", "?colour"])
    );
    let (status, problem) = answer(server.get("/v1/deliveries?cursor=nonsense")).await;
    assert_eq!((status, pointers(&problem)), (422, vec!["?cursor"]));
}

#[tokio::test]
async fn delivery_can_be_cancelled_and_retried_in_allowed_states() {
    let server = TestServer::open();
    let id = delivery(&server, "e-1").await;
    let verb = |verb: &str, id: &str| answer(server.post(&format!("/v1/deliveries/{id}/{verb}")));
    let (status, hastened) = verb("retry", &id).await;
    assert_eq!(
        (status, &hastened["state"]),
        (200, &json!("queued")),
        "a queued one is only tried earlier"
    );
    let (status, cancelled) = verb("cancel", &id).await;
    assert_eq!(
        (status, &cancelled["state"], &cancelled["id"]),
        (200, &json!("cancelled"), &json!(id))
    );
    let (status, problem) = verb("cancel", &id).await;
    assert_eq!(status, 409);
    assert!(problem["detail"].as_str().unwrap().contains("cancelled"));
    assert_eq!(verb("retry", &id).await.0, 429, "once a minute");
    server.clock.step(Duration::from_mins(1));
    let (status, queued) = verb("retry", &id).await;
    assert_eq!((status, &queued["state"]), (200, &json!("queued")));
    server.routes.rcu(|routes| Routes {
        on_success: false,
        ..Routes::clone(routes)
    });
    let never = delivery(&server, "e-2").await;
    let (status, problem) = verb("retry", &never).await;
    assert_eq!(status, 409);
    assert!(
        problem["detail"].as_str().unwrap().contains("suppressed"),
        "{problem}"
    );
    let (status, shown) = answer(server.get(&format!("/v1/deliveries/{id}"))).await;
    assert_eq!(
        (status, &shown),
        (200, &queued),
        "one can be looked at alone"
    );
    for missing in ["nonsense", "019b76da-a800-7000-8000-000000000000", "%FF"] {
        assert_eq!(
            answer(server.get(&format!("/v1/deliveries/{missing}")))
                .await
                .0,
            404
        );
        assert_eq!(verb("retry", missing).await.0, 404);
        assert_eq!(verb("cancel", missing).await.0, 404);
    }
}

#[tokio::test]
async fn foreign_web_page_cannot_retry_or_cancel() {
    let server = TestServer::open();
    let id = delivery(&server, "e-1").await;
    let (status, _) = answer(
        server
            .post(&format!("/v1/deliveries/{id}/cancel"))
            .header("sec-fetch-site", "cross-site"),
    )
    .await;
    assert_eq!(status, 403);
}

#[tokio::test]
async fn stats_add_up() {
    let server = TestServer::open();
    let id = delivery(&server, "e-1").await;
    delivery(&server, "e-2").await;
    answer(server.post(&format!("/v1/deliveries/{id}/cancel"))).await;
    let (status, numbers) = answer(server.get("/v1/stats")).await;
    assert_eq!(status, 200);
    let expected = json!({"accepted": 2, "queued": 1, "sending": 0, "sent": 0, "dead": 0, "suppressed": 0, "cancelled": 1, "balanced": true});
    assert_eq!(numbers, expected);
    let metrics = server.get("/metrics").send().await.unwrap();
    assert!(
        metrics.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("application/openmetrics-text")
    );
    let text = metrics.text().await.unwrap();
    for line in [
        "jobbell_deliveries{state=\"queued\"} 1",
        "jobbell_deliveries{state=\"cancelled\"} 1",
        "jobbell_queue_oldest_seconds{lane=\"normal\"}",
        "# EOF",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[tokio::test]
async fn health_is_public_and_other_routes_need_a_token() {
    let server = TestServer::with(Setup {
        tokens: vec!["t"],
        ..Setup::default()
    });
    assert_eq!(
        answer(server.get("/livez")).await,
        (200, json!({"status": "alive"}))
    );
    assert_eq!(
        answer(server.get("/readyz")).await,
        (200, json!({"status": "ready"}))
    );
    let (status, health) = answer(server.get("/health")).await;
    assert_eq!(
        (status, &health["status"], &health["version"]),
        (200, &json!("ok"), &json!(env!("CARGO_PKG_VERSION")))
    );
    assert!(health["uptime_s"].is_u64());
    let id = "019b76da-a800-7000-8000-000000000000";
    for path in [
        "/v1/events/x",
        "/v1/deliveries",
        "/v1/deliveries/x",
        "/v1/stats",
        "/metrics",
    ] {
        assert_eq!(answer(server.get(path)).await.0, 401, "{path}");
        assert_ne!(
            server
                .get(path)
                .bearer_auth("t")
                .send()
                .await
                .unwrap()
                .status(),
            401,
            "{path}"
        );
    }
    for path in [
        format!("/v1/deliveries/{id}/retry"),
        format!("/v1/deliveries/{id}/cancel"),
    ] {
        assert_eq!(answer(server.post(&path)).await.0, 401, "{path}");
        assert_eq!(
            answer(server.post(&path).bearer_auth("t")).await.0,
            404,
            "{path}"
        );
    }
}

#[tokio::test]
async fn unknown_paths_are_404_and_wrong_methods_405() {
    let server = TestServer::open();
    for path in [
        "/",
        "/v1",
        "/v1/events/",
        "/v1/nosuch",
        "//v1/events",
        "/v1/events/a/b",
    ] {
        let response = server.get(path).send().await.unwrap();
        assert_eq!(
            (
                response.status().as_u16(),
                response.headers()["content-type"].to_str().unwrap()
            ),
            (404, "application/problem+json"),
            "{path}"
        );
    }
    for (method, path, allow) in [
        ("GET", "/v1/events", "POST"),
        ("DELETE", "/v1/events/x", "GET,HEAD"),
        ("PUT", "/health", "GET,HEAD"),
        ("OPTIONS", "/v1/stats", "GET,HEAD"),
    ] {
        let response = server
            .client
            .request(method.parse().unwrap(), server.url(path))
            .send()
            .await
            .unwrap();
        assert_eq!(
            (
                response.status().as_u16(),
                response.headers()["allow"].to_str().unwrap()
            ),
            (405, allow),
            "{method} {path}"
        );
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
    }
    assert_eq!(
        server
            .client
            .head(server.url("/health"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manual_retry_is_due_at_once_during_a_clock_step() {
    const DAY: i64 = 86_400_000;
    let server = TestServer::open();
    let id = delivery(&server, "e-1").await;
    let (done, clock) = (CancellationToken::new(), server.clock.clone());
    let setting = tokio::spawn({
        let done = done.clone();
        async move {
            for millis in [DAY, -DAY].into_iter().cycle() {
                clock.set(millis);
                tokio::task::yield_now().await;
                if done.is_cancelled() {
                    return;
                }
            }
        }
    });
    for _ in 0..200 {
        server.clock.step(Duration::from_mins(1));
        for verb in ["cancel", "retry"] {
            assert_eq!(
                answer(server.post(&format!("/v1/deliveries/{id}/{verb}")))
                    .await
                    .0,
                200
            );
        }
        let limit = ClaimLimit {
            urgent: 0,
            normal: 1,
        };
        let claim = (server.queue).claim(limit, Duration::from_mins(1), server.clock.now());
        let settlement = Settlement {
            lease: claim.await.unwrap().pop().unwrap(),
            attempts: Vec::new(),
            outcome: Outcome::Released,
        };
        let settled = server.queue.settle(vec![settlement], server.clock.now());
        settled.await.unwrap();
    }
    done.cancel();
    setting.await.unwrap();
}

#[tokio::test]
async fn times_are_shown_as_wall_time_after_a_clock_step() {
    let server = TestServer::open();
    let id = delivery(&server, "e-1").await;
    let read = async || answer(server.get(&format!("/v1/deliveries/{id}"))).await.1;
    let before: Timestamp = serde_json::from_value(read().await["created_at"].clone()).unwrap();
    server.clock.set(86_400_000);
    let after: Timestamp = serde_json::from_value(read().await["created_at"].clone()).unwrap();
    assert_eq!(after, before.shifted(86_400_000));
    assert_eq!(after, server.clock.wall());
}

#[tokio::test]
async fn openapi_lists_every_route_and_resolves_references() {
    let server = TestServer::open();
    let (status, description) = answer(server.get("/openapi.json")).await;
    assert_eq!(status, 200);
    let mut routes: Vec<String> = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            routes.push(format!("{method} {path}"));
            let request = server.client.request(
                method.to_uppercase().parse().unwrap(),
                server.url(&path.replace(['{', '}'], "")),
            );
            let response = request.send().await.unwrap();
            assert_ne!(
                response.status(),
                405,
                "{method} {path} is described but not served"
            );
            assert!(
                !response.text().await.unwrap().contains("unknown path"),
                "{method} {path} is described but not served"
            );
        }
    }
    routes.sort();
    let expected = [
        "get /health",
        "get /livez",
        "get /metrics",
        "get /openapi.json",
        "get /readyz",
        "get /v1/deliveries",
        "get /v1/deliveries/{id}",
        "get /v1/events/{id}",
        "get /v1/hook-failures",
        "get /v1/hook-failures/{id}",
        "get /v1/stats",
        "post /v1/deliveries/{id}/cancel",
        "post /v1/deliveries/{id}/retry",
        "post /v1/events",
        "post /v1/hooks/{name}",
        "post /v1/hooks/{name}/{secret}",
        "post /v1/messages",
    ];
    assert_eq!(routes, expected);
    assert_eq!(routes, served(), "served and described routes");
    let mut references = Vec::new();
    collect(&description, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.trim_start_matches('#');
        assert!(description.pointer(pointer).is_some(), "{reference}");
    }
    let event = &description["components"]["schemas"]["Event"];
    assert_eq!(
        event["properties"]["status"]["enum"],
        json!(["succeeded", "failed"])
    );
    assert!(event["properties"].as_object().unwrap().len() > 20);
    assert!(description["components"]["schemas"]["Delivery"]["properties"]["attempts"].is_object());
    assert_eq!(
        description["components"]["securitySchemes"]["bearer"]["scheme"],
        "bearer"
    );
}

/// Every route in the source of the documented modules; the demo's mailbox is not among them.
fn served() -> Vec<String> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders: Vec<_> = ["admin", "intake", "http"]
        .iter()
        .map(|room| root.join(room))
        .collect();
    let mut routes = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            for route in std::fs::read_to_string(&path)
                .unwrap()
                .split(".route(\"")
                .skip(1)
            {
                let (route, handler) = route.split_once("\", ").unwrap();
                let method = handler.split('(').next().unwrap();
                routes.push(format!("{method} {route}"));
            }
        }
    }
    routes.sort();
    routes
}

/// Every `$ref` of the document.
fn collect<'a>(value: &'a Value, references: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(text) if name == "$ref" => references.push(text),
                    _ => collect(value, references),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}
