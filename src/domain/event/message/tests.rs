use serde_json::{Value, json};

use super::super::Event;
use super::*;
use crate::domain::Timestamp;

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn message(extra: &Value) -> MessageRequest {
    let mut value = json!({"id": "m", "to": "a@example.com", "template": "verification_code", "params": {"code": "483921"}});
    for (name, given) in extra.as_object().unwrap() {
        value[name] = given.clone();
    }
    MessageRequest::parse(&value, NOW).unwrap().event
}

#[test]
fn stored_message_reads_back_equal() {
    let link = "https://app.example.com/x";
    for (template, params) in [
        (
            "verification_code",
            json!({"code": "1", "purpose": "p", "app": "a", "user": "u"}),
        ),
        ("password_reset", json!({"code": "1", "url": link})),
        ("verify_link", json!({"url": link})),
        ("system_notice", json!({"title": "t", "message": "m\nn"})),
        (
            "plain",
            json!({"subject": "s", "text": "t", "html": "<p>h</p>"}),
        ),
    ] {
        let event = Event::from(message(
            &json!({"template": template, "params": params, "expires_in": "1h30m", "locale": "en"}),
        ));
        let stored = serde_json::to_value(&event).unwrap();
        assert_eq!(
            (
                &stored["type"],
                &stored["template"],
                &stored["params"],
                &stored["expires_in"]
            ),
            (&json!("message"), &json!(template), &params, &json!("90m"))
        );
        assert_eq!(serde_json::from_value::<Event>(stored).unwrap(), event);
    }
}

#[test]
fn message_stored_by_this_version_stays_readable() {
    let stored = r#"{"type":"message","id":"m","to":["a@example.com"],"expires_in":"10m","template":"verification_code","params":{"code":"483921","app":"Studio"}}"#;
    let event = Event::from(message(
        &json!({"expires_in": 600, "params": {"code": "483921", "app": "Studio"}}),
    ));
    assert_eq!(serde_json::to_string(&event).unwrap(), stored);
    assert_eq!(serde_json::from_str::<Event>(stored).unwrap(), event);
}

#[test]
fn codes_and_links_have_a_default_ttl_that_producers_override() {
    let ttl = |extra: Value| message(&extra).ttl().map(|ttl| ttl.as_secs());
    assert_eq!(ttl(json!({})), Some(1_800));
    assert_eq!(ttl(json!({"expires_in": "10m"})), Some(600));
    let link = "https://app.example.com/x";
    assert_eq!(
        ttl(json!({"template": "password_reset", "params": {"url": link}})),
        Some(86_400)
    );
    assert_eq!(
        ttl(json!({"template": "password_reset", "params": {"url": link, "code": "1"}})),
        Some(1_800)
    );
    assert_eq!(
        ttl(json!({"template": "verify_link", "params": {"url": link}})),
        Some(86_400)
    );
    assert_eq!(
        ttl(json!({"template": "plain", "params": {"subject": "s", "text": "t"}})),
        None
    );
    assert_eq!(
        ttl(
            json!({"template": "plain", "params": {"subject": "s", "text": "t"}, "expires_in": "30d"})
        ),
        Some(2_592_000)
    );
}

#[test]
fn secrets_are_absent_from_debug_output_and_records() {
    let reset = message(
        &json!({"template": "password_reset", "params": {"url": "https://app.example.com/reset?token=t0k3n", "code": "483921"}}),
    );
    for shown in [
        format!("{reset:?}"),
        serde_json::to_string(&Event::from(reset.clone()).masked()).unwrap(),
    ] {
        assert!(
            !shown.contains("483921") && !shown.contains("t0k3n"),
            "{shown}"
        );
    }
    let masked = |url: &str| Link::parse(url).unwrap().masked().as_str().to_owned();
    assert_eq!(
        [masked("https://x.org"), masked("http://x.org:81/a/b?c#d")],
        ["https://x.org/***", "http://x.org:81/***"]
    );
}
