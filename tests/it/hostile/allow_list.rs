//! `email.allowed_recipients`: a domain rule never covers an address that its mail server may
//! forward elsewhere.

use serde_json::json;

use crate::http::test_server::{TestServer, answer};

/// The state of a delivery while `*@example.com` and one address are allowed.
async fn delivery_state(server: &TestServer, to: &str) -> String {
    let (status, taken) = server
        .event(&json!({"status": "succeeded", "to": to}))
        .await;
    if status != 202 {
        return status.to_string();
    }
    let (_, record) =
        answer(server.get(&format!("/v1/events/{}", taken["id"].as_str().unwrap()))).await;
    let delivery = &record["deliveries"][0];
    format!(
        "{} {}",
        delivery["state"].as_str().unwrap(),
        delivery["reason"].as_str().unwrap_or_default()
    )
    .trim()
    .to_owned()
}

fn guarded() -> TestServer {
    let server = TestServer::open();
    let mut routes = (**server.routes.load()).clone();
    routes.allowed = ["*@example.com", "*@Bücher.example", "odd%one@example.com"]
        .map(|rule| jobbell::routing::Allowed::parse(rule).unwrap())
        .to_vec();
    server.routes.store(std::sync::Arc::new(routes));
    server
}

/// Postfix forwards these by default (`allow_percent_hack`, `swap_bangpath`); Exim's default
/// configuration refuses the last two.
#[tokio::test]
async fn domain_rule_excludes_source_routed_addresses() {
    let server = guarded();
    for to in [
        "victim%evil.org@example.com",
        "evil.org!victim@example.com",
        "a!b!c@EXAMPLE.com",
        "x%y%z@bücher.example",
        "|sh@example.com",
        "/etc/x@example.com",
    ] {
        assert_eq!(
            delivery_state(&server, to).await,
            "suppressed not_allowed",
            "{to}"
        );
    }
    for to in [
        "\"victim@evil.org\"@example.com",
        "\"victim\"@example.com",
        "victim@evil.org@example.com",
        "@evil.org:victim@example.com",
        "<@evil.org,@b.org:victim@example.com>",
        "victim@[1.2.3.4]",
        "victim\u{FF05}evil.org@example.com",
        "victim\u{FF20}evil.org@example.com",
        "victim@example.com.",
        "victim@example.com\u{0}.evil.org",
    ] {
        assert_eq!(delivery_state(&server, to).await, "422", "{to}");
    }
}

#[tokio::test]
async fn domain_rule_covers_every_spelling_of_a_mailbox() {
    let server = guarded();
    for to in [
        "user@example.com",
        "User+tag@EXAMPLE.COM",
        "\"evil.org!x\" <user@example.com>",
        "user(evil.org)@example.com",
        "user@xn--bcher-kva.example",
        "user@BÜCHER.example",
        "odd%one@example.com",
    ] {
        assert_eq!(delivery_state(&server, to).await, "queued", "{to}");
    }
    for to in [
        "user@example.com.evil.org",
        "user@sub.example.com",
        "user@evil-example.com",
        "user@example.comm",
    ] {
        assert_eq!(
            delivery_state(&server, to).await,
            "suppressed not_allowed",
            "{to}"
        );
    }
}
