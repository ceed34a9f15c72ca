//! `jobbell oauth NAME`: the device-code flow against a scripted provider.

use std::time::Duration;

use jobbell::clock::Clock;
use jobbell::domain::Timestamp;
use jobbell::secret::Secret;
use jobbell::transport::explain::Table;
use jobbell::transport::oauth::{
    Consent, DeviceFlow, DeviceSettings, Problem, Progress, TokenError,
};
use serde_json::{Value, json};

use crate::http::peer::{Answer, HttpPeer};

const START: &str = "2026-01-01T00:00:00Z";

/// Answers the first request with `begin` and the following ones with `polls`, repeating the last one.
async fn provider(begin: Value, polls: Vec<Answer>) -> HttpPeer {
    HttpPeer::start(move |number, request| match request.path.as_str() {
        "/device" => Answer::json(200, &begin),
        _ => polls.get(number - 1).or(polls.last()).unwrap().clone(),
    })
    .await
}

fn begin() -> Value {
    json!({ "device_code": "canary-device-code", "user_code": "ABCD-EFGH", "verification_url": "https://example.com/device", "expires_in": 600, "interval": 3 })
}

fn error(status: u16, code: &str) -> Answer {
    Answer::json(
        status,
        &json!({ "error": code, "error_description": "echo canary-device-code" }),
    )
}

async fn start(peer: &HttpPeer, clock: Clock) -> Result<DeviceFlow, TokenError> {
    let settings = DeviceSettings {
        device_url: peer.url("/device"),
        token_url: peer.url("/token"),
        client_id: "client".to_owned(),
        client_secret: Some(Secret::new("canary-client-secret")),
        scope: Some("mail offline_access".to_owned()),
        tls_ca_file: None,
    };
    DeviceFlow::start(settings, clock).await
}

fn clock() -> Clock {
    Clock::manual(START.parse::<Timestamp>().unwrap())
}

fn pause(progress: &Progress) -> u64 {
    match progress {
        Progress::Pending(pause) => pause.as_secs(),
        Progress::Granted(_) => panic!("granted too soon"),
    }
}

#[tokio::test]
async fn device_code_is_shown_and_polled_at_the_requested_interval() {
    let grant = json!({ "access_token": "token", "refresh_token": "refresh", "expires_in": 3600 });
    let polls = vec![
        error(400, "authorization_pending"),
        error(400, "slow_down"),
        Answer::text(503, "text/plain", ""),
        Answer::json(200, &grant),
    ];
    let peer = provider(begin(), polls).await;
    let mut flow = start(&peer, clock()).await.unwrap();
    assert_eq!(flow.prompt().user_code, "ABCD-EFGH");
    assert_eq!(flow.prompt().verification_uri, "https://example.com/device");
    assert_eq!(
        flow.prompt().expires_at,
        START
            .parse::<Timestamp>()
            .unwrap()
            .after(Duration::from_mins(10))
    );
    assert!(!format!("{flow:?}").contains("canary"), "{flow:?}");

    assert_eq!(pause(&flow.poll().await.unwrap()), 3);
    assert_eq!(
        pause(&flow.poll().await.unwrap()),
        8,
        "slow_down adds five seconds"
    );
    assert_eq!(
        pause(&flow.poll().await.unwrap()),
        16,
        "a failing server is polled half as often"
    );
    let Progress::Granted(Consent {
        refresh_token,
        access_token,
    }) = flow.poll().await.unwrap()
    else {
        panic!("not granted")
    };
    assert_eq!(
        (refresh_token.expose(), access_token.expose()),
        ("refresh", "token")
    );

    let requests = peer.requests();
    assert_eq!(
        requests[0].field("scope").as_deref(),
        Some("mail offline_access")
    );
    assert_eq!(requests[0].field("client_secret"), None);
    assert_eq!(
        requests[1].field("device_code").as_deref(),
        Some("canary-device-code")
    );
    assert_eq!(
        requests[1].field("grant_type").as_deref(),
        Some("urn:ietf:params:oauth:grant-type:device_code")
    );
    assert_eq!(
        requests[1].field("client_secret").as_deref(),
        Some("canary-client-secret")
    );
}

#[tokio::test]
async fn refusal_ends_the_device_flow_with_its_reason() {
    for (answer, problem) in [
        (error(400, "expired_token"), Problem::CodeExpired),
        (error(403, "access_denied"), Problem::Declined),
        (error(400, "authorization_declined"), Problem::Declined),
        (
            Answer::json(200, &json!({ "access_token": "token" })),
            Problem::Scope,
        ),
        (Answer::text(200, "text/html", "<html>"), Problem::NotJson),
    ] {
        let peer = provider(begin(), vec![answer]).await;
        let refusal = start(&peer, clock())
            .await
            .unwrap()
            .poll()
            .await
            .unwrap_err();
        assert_eq!(refusal.problem, problem);
        assert!(!format!("{refusal:?}").contains("canary"), "{refusal:?}");
    }
}

#[tokio::test]
async fn expired_device_code_is_not_polled() {
    let peer = provider(begin(), vec![error(400, "authorization_pending")]).await;
    let clock = clock();
    let mut flow = start(&peer, clock.clone()).await.unwrap();
    clock.step(Duration::from_mins(10));
    assert_eq!(flow.poll().await.unwrap_err().problem, Problem::CodeExpired);
    assert_eq!(peer.requests().len(), 1);
}

#[tokio::test]
async fn scope_not_granted_to_devices_is_explained_at_the_start() {
    let peer = HttpPeer::start(|_, _| error(400, "invalid_scope")).await;
    let refusal = start(&peer, clock()).await.unwrap_err();
    assert_eq!(refusal.problem, Problem::Scope);
    assert!(
        refusal
            .explain(&Table::new(), "gmail", jobbell::domain::Locale::En)
            .unwrap()
            .advice
            .contains("desktop programs")
    );
}
