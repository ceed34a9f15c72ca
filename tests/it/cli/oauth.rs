//! `jobbell oauth NAME`: shows the code to enter, and stores the token for the daemon.

use serde_json::json;

use crate::http::peer::{Answer, HttpPeer};
use crate::support::postgres::Database;
use crate::support::test_config::TestConfig;

const CANARIES: [&str; 3] = [
    "canary-refresh",
    "canary-client-secret",
    "canary-device-code",
];

/// A provider that issues a code, answers "pending" once, then `end`.
async fn provider(end: Answer) -> HttpPeer {
    let begin = json!({
        "device_code": "canary-device-code", "user_code": "ABCD-EFGH", "verification_uri": "https://example.com/device", "expires_in": 600, "interval": 1
    });
    HttpPeer::start(
        move |number, request| match (request.path.as_str(), number) {
            ("/device", _) => Answer::json(200, &begin),
            (_, 1) => Answer::json(400, &json!({ "error": "authorization_pending" })),
            _ => end.clone(),
        },
    )
    .await
}

fn config(provider: &HttpPeer) -> TestConfig {
    let mut config = TestConfig::for_port(25);
    for (key, value) in [
        ("smtp.name", "primary"),
        ("smtp.username", "me@example.com"),
        ("smtp.auth", "xoauth2"),
        ("smtp.oauth_token_url", &provider.url("/token")),
        ("smtp.oauth_client_id", "client"),
        ("smtp.oauth_client_secret", "canary-client-secret"),
        ("email.locale", "en"),
    ] {
        config.text(key, value);
    }
    config
}

#[tokio::test]
async fn login_prints_the_code_and_stores_the_tokens() {
    let granted =
        json!({ "access_token": "token", "refresh_token": "canary-refresh", "expires_in": 3600 });
    let provider = provider(Answer::json(200, &granted)).await;
    let mut config = config(&provider);
    let device = provider.url("/device");
    let walked = config
        .run(&["oauth", "primary", "--device-url", &device])
        .await;
    assert_eq!(
        (walked.code, walked.err.as_str()),
        (Some(0), ""),
        "{walked:#?}"
    );
    for line in [
        "https://example.com/device",
        "ABCD-EFGH",
        "Waiting for your approval",
        "jobbell test-email --server \"primary\"",
    ] {
        assert!(walked.out.contains(line), "{line}: {}", walked.out);
    }
    assert!(
        CANARIES.iter().all(|canary| !walked.all().contains(canary)),
        "{walked:#?}"
    );
    let files: Vec<_> = std::fs::read_dir(config.state())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let stored = std::fs::read_to_string(&files[0]).unwrap();
    assert_eq!(files.len(), 1);
    assert!(stored.contains("canary-refresh"));
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(&files[0]).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let asked = provider.requests();
    assert_eq!(
        (asked.len(), asked[1].field("device_code").as_deref()),
        (3, Some("canary-device-code"))
    );
    config.env("LANG", "zh_CN.UTF-8");
    assert!(
        config
            .run(&["oauth", "--device-url", &device])
            .await
            .out
            .contains("在任意设备的浏览器中打开")
    );
}

#[tokio::test]
async fn oauth_refusal_names_cause_and_remedy_in_both_languages() {
    for (error, en, zh) in [
        ("access_denied", "refused at the browser", "被拒绝"),
        (
            "invalid_client",
            "oauth_client_secret",
            "oauth_client_secret",
        ),
    ] {
        let provider = provider(Answer::json(401, &json!({ "error": error }))).await;
        let mut config = config(&provider);
        let device = provider.url("/device");
        let refused = config
            .run(&["oauth", "primary", "--device-url", &device])
            .await;
        assert_eq!(refused.code, Some(1), "{refused:#?}");
        assert!(
            refused.err.contains("What to do: ") && refused.err.contains(en),
            "{}",
            refused.err
        );
        let refused = config
            .env("LANG", "zh_CN.UTF-8")
            .run(&["oauth", "primary", "--device-url", &device])
            .await;
        assert!(
            refused.err.contains("处理办法：") && refused.err.contains(zh),
            "{}",
            refused.err
        );
        assert!(!config.state().join("oauth").exists());
    }
}

#[tokio::test]
async fn refusal_of_the_mail_scope_by_google_is_explained() {
    let refusal = json!({ "error": "invalid_scope", "error_description": "Invalid device flow scope: https://mail.google.com/" });
    let provider = HttpPeer::start(move |_, _| Answer::json(400, &refusal)).await;
    let refused = config(&provider)
        .run(&["oauth", "primary", "--device-url", &provider.url("/device")])
        .await;
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.err.contains("Invalid device flow scope")
            && refused.err.contains("desktop programs")
            && refused.err.contains("oauth_refresh_token"),
        "{}",
        refused.err
    );
}

#[tokio::test]
async fn server_without_oauth_or_unknown_server_is_reported() {
    let provider = HttpPeer::start(|_, _| Answer::json(200, &json!({}))).await;
    let mut config = config(&provider);
    let unknown = config.run(&["oauth", "other"]).await;
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.err.contains("\"primary\""), "{}", unknown.err);
    let nowhere = config.run(&["oauth", "primary"]).await;
    assert_eq!(nowhere.code, Some(2));
    assert!(nowhere.err.contains("--device-url"), "{}", nowhere.err);
    for key in [
        "auth",
        "oauth_token_url",
        "oauth_client_id",
        "oauth_client_secret",
    ] {
        config.unset(&format!("smtp.{key}"));
    }
    let password = config.run(&["oauth", "primary"]).await;
    assert_eq!(password.code, Some(78));
    assert!(
        password.err.contains("auth = \"xoauth2\""),
        "{}",
        password.err
    );
    assert!(provider.requests().is_empty());
}

#[tokio::test]
async fn token_is_stored_for_all_nodes_of_a_shared_queue() {
    let Some(database) = Database::create().await else {
        return;
    };
    let granted =
        json!({ "access_token": "token", "refresh_token": "canary-refresh", "expires_in": 3600 });
    let provider = provider(Answer::json(200, &granted)).await;
    let mut config = config(&provider);
    config.text("queue.url", &database.url());
    let device = provider.url("/device");
    let walked = config
        .run(&["oauth", "primary", "--device-url", &device])
        .await;
    assert_eq!(walked.code, Some(0), "{walked:#?}");
    assert!(walked.out.contains("for all nodes"), "{walked:#?}");
    let stored = "SELECT encode(sealed, 'escape') NOT LIKE '%canary%' FROM jobbell.oauth_tokens";
    assert_eq!(database.sql(stored).await, ["t"]);
}
