//! Address lists as mail clients write them, addresses in any script, and lists with one malformed
//! entry.

use serde_json::{Value, json};

use crate::http::test_server::{NEW_YEAR, TestServer, answer, pointers};
use crate::support::smtp_peer::SmtpPeer;
use crate::support::test_config::TestConfig;

/// The recipients and warnings of an event.
async fn recipients(server: &TestServer, path: &str, event: &Value) -> (Vec<String>, Vec<String>) {
    let (status, taken) = answer(server.post(path).json(event)).await;
    assert_eq!(status, 202, "{event}: {taken}");
    let (_, record) =
        answer(server.get(&format!("/v1/events/{}", taken["id"].as_str().unwrap()))).await;
    let texts = |list: &Value, key: Option<&str>| {
        let text = |item: &Value| {
            key.map_or(item, |key| &item[key])
                .as_str()
                .unwrap()
                .to_owned()
        };
        list.as_array()
            .unwrap()
            .iter()
            .map(text)
            .collect::<Vec<_>>()
    };
    (
        texts(&record["deliveries"], Some("to")),
        texts(&taken["warnings"], None),
    )
}

/// RFC 5322 section 3.4: quoted names, comments and groups; splitting at commas breaks quoted names
/// (bbottema/simple-java-mail#100).
#[tokio::test]
async fn address_lists_follow_rfc_5322() {
    let server = TestServer::open();
    for (to, wanted) in [
        (
            json!("\"Doe, Jane\" <jane@example.com>"),
            vec!["jane@example.com"],
        ),
        (
            json!(["\"Doe, Jane\" <jane@example.com>", "b@example.com"]),
            vec!["jane@example.com", "b@example.com"],
        ),
        (
            json!("Doe (Sales, EU) <d@example.com>; b@example.com (Bob, Jr)"),
            vec!["d@example.com", "b@example.com"],
        ),
        (
            json!("Team: a@example.com, \"B; C\" <b@example.com>;, c@example.com"),
            vec!["a@example.com", "b@example.com", "c@example.com"],
        ),
        (
            json!("\"张，三\" <z@example.com>，李四 <l@example.com>；w@example.com"),
            vec!["z@example.com", "l@example.com", "w@example.com"],
        ),
        (
            json!(["a@example.com, b@example.com", "A@example.com"]),
            vec!["a@example.com", "b@example.com"],
        ),
    ] {
        assert_eq!(
            recipients(&server, "/v1/events", &json!({"status": "done", "to": to})).await,
            (wanted.iter().map(ToString::to_string).collect(), vec![]),
            "{to}"
        );
    }
}

/// jordan-wright/email#107, frappe/frappe#24407: one bad address in a `map.to` field suppressed the
/// whole mail.
#[tokio::test]
async fn malformed_address_is_a_warning_if_others_are_valid() {
    let server = crate::hooks::server(
        "[hooks.generic]\nunverified = true\nmap.to = \"/to\"\n",
        NEW_YEAR,
    );
    for (path, extra) in [
        ("/v1/events", json!({})),
        ("/v1/hooks/generic", json!({"id": "7"})),
    ] {
        let mut event = json!({"status": "succeeded", "to": ["ok@example.com", "bad", null, "x@@y", "b@example.com"]});
        event
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        let (to, warnings) = recipients(&server, path, &event).await;
        assert_eq!(
            (to, warnings.len()),
            (
                vec!["ok@example.com".to_owned(), "b@example.com".to_owned()],
                3
            ),
            "{path}: {warnings:?}"
        );
        assert!(
            warnings
                .iter()
                .all(|warning| warning.contains("left out") && !warning.contains("x@@y")),
            "{warnings:?}"
        );
        event["to"] = json!(["bad", "worse@"]);
        event["id"] = json!("8");
        let (status, problem) = answer(server.post(path).json(&event)).await;
        assert_eq!(
            (status, pointers(&problem)),
            (422, vec!["#/to/0", "#/to/1"]),
            "{path}"
        );
    }
    let (to, warnings) =
        recipients(&server, "/v1/messages", &json!({"to": "ok@example.com, bad", "template": "plain", "params": {"subject": "s", "text": "t"}})).await;
    assert_eq!((to, warnings.len()), (vec!["ok@example.com".to_owned()], 1));
}

/// RFC 6531 section 3.3 allows every non-ASCII character; test addresses of the Universal
/// Acceptance Steering Group (UASG004).
#[tokio::test]
async fn addresses_with_combining_marks_are_normalized() {
    let server = TestServer::open();
    for (to, wanted) in [
        ("संपर्क@डाटामेल.भारत", "संपर्क@xn--c2bd4bq1db8d.xn--h2brj9c"),
        ("Jose\u{301}@example.com", "Jos\u{e9}@example.com"),
        ("ผู้ใช้@example.com", "ผู้ใช้@example.com"),
        (
            "測試@普遍適用測試.我愛你",
            "測試@xn--dlq28e8xhmwdi0hi0f.xn--6qq986b3xl",
        ),
    ] {
        let (to, warnings) = recipients(
            &server,
            "/v1/events",
            &json!({"status": "succeeded", "to": to}),
        )
        .await;
        assert_eq!(warnings, Vec::<String>::new());
        if wanted.contains("xn--dlq") {
            assert!(to[0].starts_with("測試@xn--"), "{to:?}");
        } else {
            assert_eq!(to, [wanted]);
        }
    }
}

/// Names that were unescaped twice or not at all; Reply-To with several addresses (RFC 5322 section
/// 3.6.2).
#[tokio::test]
async fn configured_display_names_are_unescaped_once() {
    let peer = SmtpPeer::builder().start().await;
    let mut config = TestConfig::new(&peer);
    config
        .set(
            "smtp.from",
            "'\"Al \\\"Boss\\\" B\" <bell@jobbell.example>'",
        )
        .set(
            "smtp.reply_to",
            "[\"\\\"Desk, Front\\\" <a@example.com>\", \"b@example.com\", \"bad\"]",
        );
    config.set(
        "smtp.to",
        "[\"\\\"Doe, Jane\\\" <jane@example.com>\", \"c@example.com\"]",
    );
    let checked = config.run(&["check"]).await;
    assert_eq!(checked.code, Some(0), "{checked:#?}");
    assert!(
        checked.err.contains("smtp.reply_to") && checked.err.contains("entry 3"),
        "{checked:#?}"
    );
    let mut daemon = config.start().await;
    let id = daemon
        .accept(&json!({"status": "succeeded", "title": "t"}))
        .await;
    daemon
        .deliveries(&id, "sent", |all| {
            all.len() == 2 && all.iter().all(|delivery| delivery["state"] == "sent")
        })
        .await;
    daemon.stop().await;
    let mail = peer.mails().into_iter().next().unwrap();
    let text = String::from_utf8_lossy(&mail.data).replace("\r\n ", " ");
    assert!(
        text.contains("From: \"Al \\\"Boss\\\" B\" <bell@jobbell.example>\r\n"),
        "{text}"
    );
    assert!(
        text.contains("Reply-To: \"Desk, Front\" <a@example.com>, b@example.com\r\n"),
        "{text}"
    );
}
