//! Limited tokens in the wrong hands.

use serde_json::{Value, json};

use super::attacker::{MASTER, append, config, event, get, metric, post};
use crate::support::daemon::{Daemon, body};

const POSTER: &str = "poster-0123456789abcdef";
const READER: &str = "reader-0123456789abcdef";
const OPERATOR: &str = "operator-0123456789abcdef";
const SCRAPER: &str = "scraper-0123456789abcdef";

fn token(name: &str, value: &str, further: &str) -> String {
    format!("[[server.token]]\nname = \"{name}\"\nvalue = \"{value}\"\n{further}\n")
}

async fn daemon(tables: &[String]) -> Daemon {
    let mut config = config();
    config.text("server.tokens", MASTER);
    append(&mut config, &tables.concat());
    config.start().await
}

async fn one_of_each() -> Daemon {
    let each = [
        ("ci", POSTER, "post"),
        ("page", READER, "read"),
        ("desk", OPERATOR, "operate"),
        ("prom", SCRAPER, "metrics"),
    ];
    daemon(&each.map(|(name, value, may)| token(name, value, &format!("may = [\"{may}\"]")))).await
}

#[tokio::test]
async fn scope_grants_only_its_routes() {
    let daemon = one_of_each().await;
    let id = post(&daemon, MASTER, &event()).await.1["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let delivery = get(&daemon, MASTER, &format!("/v1/events/{id}")).await.1["deliveries"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let message = json!({"to": "a@example.org", "template": "plain", "params": {"subject": "s", "text": "t"}});
    let record = json!({"original_prompt": "猫", "image_url": "https://img.example.com/a.png"});
    let routes: [(&str, String, Option<&Value>, &str); 13] = [
        ("POST", "/v1/events".to_owned(), None, "post"),
        ("POST", "/v1/messages".to_owned(), Some(&message), "post"),
        (
            "POST",
            "/v1/hooks/huiying".to_owned(),
            Some(&record),
            "post",
        ),
        ("GET", format!("/v1/events/{id}"), None, "read"),
        ("GET", "/v1/deliveries".to_owned(), None, "read"),
        ("GET", format!("/v1/deliveries/{delivery}"), None, "read"),
        ("GET", "/v1/stats".to_owned(), None, "read"),
        ("GET", "/v1/hook-failures".to_owned(), None, "operate"),
        ("GET", "/v1/hook-failures/1".to_owned(), None, "operate"),
        (
            "POST",
            format!("/v1/deliveries/{delivery}/retry"),
            None,
            "operate",
        ),
        (
            "POST",
            format!("/v1/deliveries/{delivery}/cancel"),
            None,
            "operate",
        ),
        ("GET", "/metrics".to_owned(), None, "metrics"),
        ("GET", "/livez".to_owned(), None, ""),
    ];
    for (method, path, sent, scope) in routes {
        for (token, may) in [
            (POSTER, "post"),
            (READER, "read"),
            (OPERATOR, "operate"),
            (SCRAPER, "metrics"),
            (MASTER, scope),
        ] {
            let request = if method == "GET" {
                daemon.get(&path)
            } else {
                daemon.post(&path).json(sent.unwrap_or(&event()))
            };
            let response = request.bearer_auth(token).send().await.unwrap();
            let allowed = may == scope || scope.is_empty() || (scope == "read" && may == "operate");
            assert_eq!(
                response.status() != 403,
                allowed,
                "{method} {path} with {may}"
            );
            assert_ne!(response.status(), 401);
            if !allowed {
                assert!(
                    response.headers()["www-authenticate"]
                        .to_str()
                        .unwrap()
                        .contains("insufficient_scope")
                );
                let problem: Value = response.json().await.unwrap();
                assert!(
                    problem["detail"]
                        .as_str()
                        .unwrap()
                        .ends_with(&format!("scope {scope}")),
                    "{problem}"
                );
            }
        }
    }
}

#[tokio::test]
async fn read_scope_sees_masked_addresses_and_no_contents() {
    let daemon = one_of_each().await;
    let secret = "a very private prompt";
    let sent = json!({
        "status": "failed", "prompt": secret, "prompt_translated": secret, "negative_prompt": secret, "title": secret, "to": ["alice@example.org"],
        "error": {"code": "OOM", "message": secret}, "metadata": {"note": secret}, "image_url": "https://img.example.com/a-very-private-prompt.png"
    });
    let id = post(&daemon, POSTER, &sent).await.1["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let message = json!({"to": "alice@example.org", "template": "plain", "params": {"subject": secret, "text": secret}});
    let (status, posted) = body(
        daemon
            .post("/v1/messages")
            .bearer_auth(POSTER)
            .json(&message),
    )
    .await;
    assert_eq!(status, 202, "{posted}");
    let delivery = get(&daemon, MASTER, &format!("/v1/events/{id}")).await.1["deliveries"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let message = posted["id"].as_str().unwrap();
    for path in [
        format!("/v1/events/{id}"),
        format!("/v1/events/{message}"),
        "/v1/deliveries".to_owned(),
        format!("/v1/deliveries/{delivery}"),
    ] {
        let (status, short) = get(&daemon, READER, &path).await;
        let text = short.to_string();
        assert_eq!(status, 200, "{path}");
        assert!(
            !text.contains("private")
                && !text.contains("alice")
                && text.contains("a***@example.org"),
            "{path}: {text}"
        );
        let full = get(&daemon, OPERATOR, &path).await.1.to_string();
        assert!(full.contains("alice@example.org"), "{path}: {full}");
        assert_eq!(
            full,
            get(&daemon, MASTER, &path).await.1.to_string(),
            "{path}"
        );
    }
    let short = get(&daemon, READER, &format!("/v1/events/{id}")).await.1;
    assert_eq!(
        (&short["event"]["status"], &short["event"]["error"]),
        (&json!("failed"), &json!({"code": "OOM"}))
    );
}

#[tokio::test]
async fn token_name_appears_in_record_log_and_metrics() {
    let daemon = one_of_each().await;
    let id = post(&daemon, POSTER, &event()).await.1["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let record = get(&daemon, MASTER, &format!("/v1/events/{id}")).await.1;
    assert_eq!(
        (&record["source"], &record["token"]),
        (&json!("http"), &json!("ci"))
    );
    assert_eq!(
        metric(
            &daemon,
            SCRAPER,
            "jobbell_events_total{source=\"http:ci\",outcome=\"accepted\"}"
        )
        .await
        .as_deref(),
        Some("1")
    );
    let line = daemon
        .logged("the token", |line| line["token"] == "ci")
        .await;
    assert_eq!(line["event"], json!(id));
    let id = post(&daemon, MASTER, &event()).await.1["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let record = get(&daemon, MASTER, &format!("/v1/events/{id}")).await.1;
    assert_eq!(
        (&record["source"], record.get("token")),
        (&json!("http"), None)
    );
    assert_eq!(get(&daemon, POSTER, "/v1/stats").await.0, 403);
    daemon
        .logged("the refused token", |line| {
            line["why"] == "scope" && line["token"] == "ci"
        })
        .await;
    assert!(
        ![POSTER, READER, MASTER]
            .iter()
            .any(|secret| daemon.log().contains(secret)),
        "{}",
        daemon.log()
    );
}

#[tokio::test]
async fn token_is_limited_to_its_kinds_and_recipients() {
    let limits = "may = [\"post\"]\nkinds = [\"success\", \"plain\"]\nto = [\"*@example.org\", \"boss@example.com\"]";
    let daemon = daemon(&[token("ci", POSTER, limits)]).await;
    let places = |problem: &Value| -> Vec<String> {
        problem["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| error["pointer"].as_str().unwrap().to_owned())
            .collect()
    };
    for to in [
        json!("a@example.org"),
        json!("A@EXAMPLE.ORG, Boss@Example.com"),
        json!(null),
    ] {
        let (status, answer) =
            post(&daemon, POSTER, &json!({"status": "succeeded", "to": to})).await;
        assert_eq!(status, 202, "{to}: {answer}");
    }
    for to in [
        "t@evil.org",
        "a@example.org, t@evil.org",
        "a@example.org.evil.org",
        "other@example.com",
        "a@sub.example.org",
    ] {
        let (status, problem) =
            post(&daemon, POSTER, &json!({"status": "succeeded", "to": to})).await;
        assert_eq!(
            (status, places(&problem)),
            (403, vec!["#/to".to_owned()]),
            "{to}"
        );
        assert!(!problem.to_string().contains("other@"), "{problem}");
    }
    let (status, problem) = post(
        &daemon,
        POSTER,
        &json!({"status": "failed", "to": "t@evil.org"}),
    )
    .await;
    assert_eq!(
        (status, places(&problem)),
        (403, vec!["#/status".to_owned(), "#/to".to_owned()])
    );
    let lines = "{\"status\":\"succeeded\"}\n{\"status\":\"succeeded\",\"to\":\"t@evil.org\"}\n{\"status\":\"failed\"}\n";
    let request = daemon
        .post("/v1/events")
        .bearer_auth(POSTER)
        .header("content-type", "application/x-ndjson")
        .body(lines);
    let (status, problem) = body(request).await;
    assert_eq!(
        (status, places(&problem)),
        (403, vec!["#/1/to".to_owned(), "#/2/status".to_owned()])
    );
    let code = json!({"to": "a@example.org", "template": "verification_code", "params": {"code": "123456"}});
    let (status, problem) = body(daemon.post("/v1/messages").bearer_auth(POSTER).json(&code)).await;
    assert_eq!(
        (status, places(&problem)),
        (403, vec!["#/template".to_owned()])
    );
    let record = json!({"original_prompt": "猫", "image_url": "https://img.example.com/a.png", "to": "t@evil.org"});
    let (status, problem) = body(
        daemon
            .post("/v1/hooks/huiying")
            .bearer_auth(POSTER)
            .json(&record),
    )
    .await;
    assert_eq!((status, places(&problem)), (403, vec!["#/to".to_owned()]));
    assert_eq!(
        get(&daemon, MASTER, "/v1/stats").await.1["accepted"],
        json!(4),
        "refused events are not stored"
    );
}

#[tokio::test]
async fn rate_limit_counts_requests_and_events_per_token() {
    let daemon = daemon(&[
        token("ci", POSTER, "may = [\"post\"]\nrate = \"3/day\""),
        token("two", OPERATOR, "may = [\"post\"]"),
    ])
    .await;
    let lines = |number: usize| {
        let body = "{\"status\":\"succeeded\"}\n".repeat(number);
        daemon
            .post("/v1/events")
            .bearer_auth(POSTER)
            .header("content-type", "application/x-ndjson")
            .body(body)
    };
    assert_eq!(
        lines(4).send().await.unwrap().status(),
        429,
        "more than ever fit"
    );
    assert_eq!(lines(2).send().await.unwrap().status(), 202);
    let refused = lines(1).send().await.unwrap();
    assert_eq!(refused.status(), 429);
    let seconds: u64 = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=86_400).contains(&seconds), "{seconds}");
    for other in [OPERATOR, MASTER] {
        assert_eq!(post(&daemon, other, &event()).await.0, 202);
    }
    assert_eq!(
        metric(&daemon, MASTER, "jobbell_refused_total{why=\"rate\"}")
            .await
            .as_deref(),
        Some("2")
    );
}

#[tokio::test]
async fn tokens_are_read_from_files_digests_and_variables() {
    let mut config = config();
    std::fs::write(config.path().join("token"), format!("{READER}\n")).unwrap();
    // As documented.
    let shell = std::process::Command::new("/bin/sh")
        .args(["-c", &format!("printf %s {POSTER} | sha256sum")])
        .output()
        .unwrap();
    let hex = String::from_utf8(shell.stdout)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    append(
        &mut config,
        &format!("[[server.token]]\nname = \"hashed\"\nsha256 = \"{hex}\"\nmay = \"post\"\n"),
    );
    append(
        &mut config,
        "[[server.token]]\nname = \"filed\"\nvalue_file = \"token\"\nmay = [\"read\"]\n",
    );
    for (key, value) in [
        ("NAME", "set"),
        ("VALUE", OPERATOR),
        ("MAY", "post,operate"),
    ] {
        config.env(&format!("JOBBELL_SERVER__TOKEN__2__{key}"), value);
    }
    let daemon = config.start().await;
    assert_eq!(
        (
            post(&daemon, POSTER, &event()).await.0,
            post(&daemon, &hex, &event()).await.0
        ),
        (202, 401)
    );
    assert_eq!(
        (
            get(&daemon, READER, "/v1/stats").await.0,
            post(&daemon, READER, &event()).await.0
        ),
        (200, 403)
    );
    assert_eq!(
        (
            get(&daemon, OPERATOR, "/v1/stats").await.0,
            post(&daemon, OPERATOR, &event()).await.0
        ),
        (200, 202)
    );
    assert_eq!(daemon.get("/v1/stats").send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn payload_cannot_choose_recipients_unless_its_hook_allows() {
    let mut config = config();
    let hook = "[hooks.farm]\nkind = \"generic\"\nsecret = \"0123456789abcdef\"\nto = [\"me@example.org\", \"you@example.org\"]\n";
    append(
        &mut config,
        &format!("{hook}[hooks.farm.map]\nto = \"/to\"\n"),
    );
    let daemon = config.start().await;
    let pinned = vec!["me@example.org", "you@example.org"];
    let cases = [
        ("a", "t@evil.org", pinned.clone()),
        ("b", "t@evil.org, YOU@example.org", vec!["YOU@example.org"]),
        ("c", "me@example.org", vec!["me@example.org"]),
        ("d", "", pinned),
    ];
    for (id, to, expected) in cases {
        let request = daemon
            .post("/v1/hooks/farm")
            .bearer_auth("0123456789abcdef")
            .header("x-token", "0123456789abcdef");
        let (status, answer) =
            body(request.json(&json!({"id": id, "status": "done", "to": to}))).await;
        assert!(matches!(status, 200 | 202), "{status} {answer}");
        let record = daemon.event(answer["id"].as_str().unwrap()).await;
        let found: Vec<_> = record["deliveries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|delivery| delivery["to"].as_str().unwrap())
            .collect();
        assert_eq!(found, expected, "{to}");
        assert_eq!(
            answer["warnings"].to_string().contains("were removed"),
            to.contains("evil"),
            "{answer}"
        );
    }
}
