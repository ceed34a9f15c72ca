//! A code or secret link goes to exactly one recipient, and a line break in an address list adds no
//! other.

use serde_json::{Value, json};

use crate::http::test_server::{TestServer, answer, pointers};
use crate::support::test_config::TestConfig;

const LINK: &str = "https://app.example.com/x?token=1";

async fn post(server: &TestServer, template: &str, params: &Value, to: &Value) -> (u16, Value) {
    answer(
        server
            .post("/v1/messages")
            .json(&json!({"to": to, "template": template, "params": params})),
    )
    .await
}

#[tokio::test]
async fn secret_messages_require_exactly_one_recipient() {
    let server = TestServer::open();
    for (template, params) in [
        ("verification_code", json!({"code": "483921"})),
        ("password_reset", json!({"url": LINK})),
        ("verify_link", json!({"url": LINK})),
    ] {
        for to in [
            json!("v@x.org,t@evil.org"),
            json!("v@x.org; t@evil.org"),
            json!("v@x.org、t@evil.org"),
            json!("v@x.org, v@x.org"),
            json!("v@x.org, bad"),
            json!("t@evil.org, <v@x.org>"),
            json!("t@evil.org; Victim <v@x.org>"),
            json!("Doe, Jane <v@x.org>"),
            json!(["t@evil.org，<v@x.org>"]),
            json!("v@x.org,"),
            json!("Team: v@x.org;"),
            json!("v@x.org t@evil.org"),
            json!("<v@x.org> <t@evil.org>"),
            json!("v@x.org (t@evil.org), t@evil.org"),
            json!(["v@x.org", "t@evil.org"]),
            json!(["v@x.org,t@evil.org"]),
            json!(["v@x.org", "v@x.org"]),
            json!("v@x.org\nt@evil.org"),
            json!("v@x.org\r\nBcc: t@evil.org"),
            json!("v@x.org\n"),
            json!("v@x.org\u{2028}t@evil.org"),
            json!({"to": "v@x.org"}),
        ] {
            let (status, problem) = post(&server, template, &params, &to).await;
            assert_eq!(
                (status, pointers(&problem)),
                (422, vec!["#/to"]),
                "{template} {to}: {problem}"
            );
        }
        for to in [
            json!("v@x.org"),
            json!(["v@x.org"]),
            json!("\"Doe, Jane\" <v@x.org>"),
            json!("t@evil.org <v@x.org>"),
            json!(" v@x.org "),
        ] {
            assert_eq!(
                post(&server, template, &params, &to).await.0,
                202,
                "{template} {to}"
            );
        }
    }
    assert_eq!(server.accepted().await, 3 * 5);
    let several = post(
        &server,
        "plain",
        &json!({"subject": "s", "text": "t"}),
        &json!("a@x.org, b@x.org"),
    )
    .await;
    assert_eq!((several.0, server.accepted().await), (202, 3 * 5 + 2));
}

#[tokio::test]
async fn line_break_in_an_address_list_is_refused() {
    let server = TestServer::open();
    for to in [
        "a@x.org\nb@x.org",
        "a@x.org,\r\n b@x.org",
        "a@x.org\u{b}",
        "a@x.org\u{85}b@x.org",
        "\"a\nb\" <a@x.org>",
        "a@x.org (\n)",
    ] {
        for to in [json!(to), json!(["ok@x.org", to])] {
            let (status, problem) = server
                .event(&json!({"status": "succeeded", "to": to}))
                .await;
            assert_eq!((status, pointers(&problem)), (422, vec!["#/to"]), "{to}");
            let (status, problem) =
                post(&server, "plain", &json!({"subject": "s", "text": "t"}), &to).await;
            assert_eq!((status, pointers(&problem)), (422, vec!["#/to"]), "{to}");
        }
    }
    assert_eq!(server.accepted().await, 0);
}

#[tokio::test]
async fn line_break_in_a_configured_address_list_is_an_error() {
    for (key, value, hook) in [
        ("smtp.to", "\"a@x.org\\nb@x.org\"", false),
        ("smtp.to", "[\"a@x.org\", \"b@x.org\\nc@x.org\"]", false),
        ("smtp.reply_to", "\"r@x.org\\r\\nBcc: t@evil.org\"", false),
        ("smtp.from", "\"r@x.org\\r\\nBcc: t@evil.org\"", false),
        ("hooks.generic.to", "\"a@x.org\\nb@x.org\"", true),
    ] {
        let mut config = TestConfig::for_port(1);
        if hook {
            config.set("hooks.generic.unverified", "true");
        }
        let checked = config.set(key, value).run(&["check"]).await;
        assert_eq!(checked.code, Some(78), "{key}: {checked:#?}");
        assert!(checked.err.contains("line ends"), "{checked:#?}");
    }
}
