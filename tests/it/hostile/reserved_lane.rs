//! Job events cannot fill the queue for codes, and deliveries per request are limited.

use serde_json::{Value, json};

use crate::http::test_server::{Setup, TestServer, answer};

async fn code(server: &TestServer, number: u64) -> u16 {
    let message = json!({"id": format!("code-{number}"), "to": "a@example.com", "template": "verification_code", "params": {"code": "483921"}});
    answer(server.post("/v1/messages").json(&message)).await.0
}

async fn job(server: &TestServer, number: u64) -> u16 {
    server
        .event(&json!({"id": format!("job-{number}"), "status": "succeeded"}))
        .await
        .0
}

#[tokio::test]
async fn eighth_of_the_queue_is_reserved_for_urgent_mails() {
    for (max_pending, jobs) in [(4, 3), (8, 7), (20, 18), (1, 1), (3, 3)] {
        let server = TestServer::with(Setup {
            max_pending,
            ..Setup::default()
        });
        for number in 0..jobs {
            assert_eq!(job(&server, number).await, 202, "{number} of {max_pending}");
        }
        assert_eq!(job(&server, jobs).await, 503);
        for number in jobs..max_pending {
            assert_eq!(
                code(&server, number).await,
                202,
                "{number} of {max_pending}"
            );
        }
        assert_eq!(
            code(&server, max_pending).await,
            503,
            "the total limit applies to urgent mails, too"
        );
        assert_eq!(server.accepted().await, max_pending);
    }
}

#[tokio::test]
async fn urgent_mails_can_fill_the_whole_queue() {
    let server = TestServer::with(Setup {
        max_pending: 16,
        ..Setup::default()
    });
    for number in 0..10 {
        assert_eq!(code(&server, number).await, 202);
    }
    for number in 0..4 {
        assert_eq!(job(&server, number).await, 202);
    }
    assert_eq!((job(&server, 4).await, code(&server, 10).await), (503, 202));
}

fn lines(events: usize) -> String {
    let to: Vec<String> = (0..50)
        .map(|number| format!("u{number}@example.com"))
        .collect();
    let line = |number| {
        json!({"id": format!("e{number}"), "status": "succeeded", "to": to}).to_string() + "\n"
    };
    (0..events).map(line).collect()
}

#[tokio::test]
async fn request_is_limited_to_ten_thousand_deliveries() {
    let server = TestServer::with(Setup {
        max_body: 16 << 20,
        max_pending: 1_000_000,
        ..Setup::default()
    });
    let post = async |body: String| {
        let response = server
            .post("/v1/events")
            .header("content-type", "application/x-ndjson")
            .body(body)
            .send()
            .await
            .unwrap();
        (
            response.status().as_u16(),
            response.json::<Value>().await.unwrap(),
        )
    };
    let (status, problem) = post(lines(201)).await;
    assert!(
        status == 422
            && problem["detail"]
                .as_str()
                .unwrap()
                .contains("more than 10000 deliveries"),
        "{problem}"
    );
    assert_eq!(server.accepted().await, 0);
    assert_eq!(post(lines(200)).await.0, 202);
    assert_eq!(server.accepted().await, 10_000);
}
