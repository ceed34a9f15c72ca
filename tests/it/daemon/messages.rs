//! Messages are sent in time or not at all, and ahead of all other mails.

use std::time::Duration;

use jobbell::domain::{EventId, MessageRequest, State};
use jobbell::queue::OperatorError;
use serde_json::{Value, json};

use crate::support::daemon::body;
use crate::support::smtp_peer::{Act, At, Gate, SmtpPeer};
use crate::support::test_app::{NEW_YEAR, TestApp};
use crate::support::test_config::TestConfig;

fn code(id: &str) -> Value {
    json!({"id": id, "to": "user@example.org", "template": "verification_code", "expires_in": "10m", "params": {"code": "483921", "app": "Studio"}, "locale": "en"})
}

async fn submit(app: &TestApp, message: &Value) {
    let message = MessageRequest::parse(message, NEW_YEAR).unwrap().event;
    assert!(!app.jobbell.submit(message).await.unwrap().duplicate);
}

#[tokio::test]
async fn expired_verification_code_is_never_sent() {
    let peer = SmtpPeer::builder()
        .always(At::Greeting, Act::reply_and_close("421 4.3.2 down"))
        .start()
        .await;
    let app = TestApp::start(&TestConfig::new(&peer)).await;
    submit(&app, &code("late")).await;
    app.reached("late", State::Queued, 1).await;
    app.clock.step(Duration::from_mins(11));
    let dead = app.reached("late", State::Dead, 1).await;
    assert_eq!(dead.reason.as_deref(), Some("expired"));
    // The server is back: a manual retry leaves the expired code unsent, while another code is
    // sent.
    peer.always(At::Greeting, None);
    let refused = app
        .jobbell
        .queue()
        .retry(
            dead.id,
            app.clock.now().after(Duration::from_hours(48)),
            app.clock.now(),
        )
        .await;
    assert!(
        matches!(refused, Err(OperatorError::Expired)),
        "{refused:?}"
    );
    submit(&app, &code("fresh")).await;
    peer.until("the fresh code", |seen| !seen.mails.is_empty())
        .await;
    app.reached("fresh", State::Sent, 1).await;
    let events: Vec<_> = peer
        .mails()
        .iter()
        .map(|mail| String::from_utf8_lossy(&mail.data).contains("X-Jobbell-Event: fresh"))
        .collect();
    assert_eq!(events, [true]);
}

#[tokio::test]
async fn manual_retry_does_not_extend_the_life_of_a_code() {
    let peer = SmtpPeer::builder()
        .always(At::Greeting, Act::reply_and_close("421 4.3.2 down"))
        .start()
        .await;
    let app = TestApp::start(&TestConfig::new(&peer)).await;
    let queue = app.jobbell.queue();
    submit(&app, &code("again")).await;
    let waiting = app.reached("again", State::Queued, 1).await;
    let too_late = app.clock.now().after(Duration::from_mins(11));
    let refused = queue
        .retry(
            waiting.id,
            too_late.after(Duration::from_hours(48)),
            too_late,
        )
        .await;
    assert!(
        matches!(refused, Err(OperatorError::Expired)),
        "still queued, but expired: {refused:?}"
    );
    app.clock.step(Duration::from_mins(9));
    let (now, two_days) = (app.clock.now(), Duration::from_hours(48));
    assert_eq!(
        queue
            .retry(waiting.id, now.after(two_days), now)
            .await
            .unwrap()
            .state,
        State::Queued
    );
    app.reached("again", State::Queued, 2).await;
    app.clock.step(Duration::from_mins(2));
    assert_eq!(
        app.reached("again", State::Dead, 2).await.reason.as_deref(),
        Some("expired")
    );

    submit(&app, &code("back")).await;
    let waiting = app.reached("back", State::Queued, 1).await;
    let now = app.clock.now();
    queue.cancel(waiting.id, now).await.unwrap();
    let refused = queue.retry(waiting.id, now.after(two_days), now).await;
    assert!(
        matches!(refused, Err(OperatorError::PayloadRemoved)),
        "{refused:?}"
    );
}

#[tokio::test]
async fn retry_of_an_expired_message_is_refused() {
    let peer = SmtpPeer::builder()
        .always(At::Greeting, Act::reply_and_close("421 4.3.2 down"))
        .start()
        .await;
    let mut daemon = TestConfig::new(&peer).start().await;
    let mut message = code("brief");
    message["expires_in"] = json!("1s");
    assert_eq!(
        body(daemon.post("/v1/messages").json(&message)).await.0,
        202
    );
    let dead = daemon.reached("brief", "dead").await;
    let (status, problem) = body(daemon.post(&format!(
        "/v1/deliveries/{}/retry",
        dead[0]["id"].as_str().unwrap()
    )))
    .await;
    assert_eq!((status, dead[0]["reason"].as_str()), (409, Some("expired")));
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("the message has expired"),
        "{problem}"
    );
    assert!(
        !daemon.log().contains("483921"),
        "the log contains the code"
    );
    daemon.stop().await;
}

#[tokio::test]
async fn burst_of_job_mails_does_not_delay_a_code() {
    let gate = Gate::new();
    let peer = SmtpPeer::builder()
        .always(At::Dot, Act::Usual.held(&gate))
        .start()
        .await;
    let mut daemon = TestConfig::new(&peer).start().await;
    let job = |number: usize| {
        format!(
            "{{\"id\":\"job-{number}\",\"status\":\"succeeded\",\"to\":\"user@example.org\"}}\n"
        )
    };
    for thousand in 0..5 {
        let lines: String = (thousand * 1_000..(thousand + 1) * 1_000)
            .map(job)
            .collect();
        assert_eq!(
            body(
                daemon
                    .post("/v1/events")
                    .header("content-type", "application/x-ndjson")
                    .body(lines)
            )
            .await
            .0,
            202
        );
    }
    // Mails are in progress, each holding its connection until the gate opens.
    gate.reached().await;
    assert_eq!(
        body(daemon.post("/v1/messages").json(&code("code")))
            .await
            .0,
        202
    );
    let is_code = |mail: &crate::support::smtp_peer::Mail| {
        String::from_utf8_lossy(&mail.data).contains("X-Jobbell-Event: code")
    };
    let mut taken = 0;
    while !peer.mails().iter().any(is_code) {
        taken += 1;
        gate.open();
        peer.until("the next mail", |seen| seen.mails.len() >= taken)
            .await;
    }
    assert!(taken <= 20, "{taken} mails were sent before the code");
    let stats = daemon.stats().await;
    assert_eq!(stats["accepted"], 5_001);
    daemon.kill().await;
}

#[tokio::test]
async fn documented_message_request_is_accepted() {
    let peer = SmtpPeer::start().await;
    let mut daemon = TestConfig::new(&peer).start().await;
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/events.md")).unwrap();
    let example = page
        .split("/v1/messages \\\n")
        .nth(1)
        .unwrap()
        .split("-d '")
        .nth(1)
        .unwrap()
        .split('\'')
        .next()
        .unwrap();
    let (status, answer) = body(
        daemon
            .post("/v1/messages")
            .header("content-type", "application/json")
            .body(example.to_owned()),
    )
    .await;
    assert_eq!((status, &answer["warnings"]), (202, &json!([])));
    EventId::parse(answer["id"].as_str().unwrap()).unwrap();
    let mails = peer
        .until("the code", |seen| seen.mails.len() == 1)
        .await
        .mails;
    let message = mail_parser::MessageParser::default()
        .parse(&mails[0].data)
        .unwrap();
    assert_eq!(
        message.subject(),
        Some("483921 is your Studio verification code")
    );
    daemon.stop().await;
}
