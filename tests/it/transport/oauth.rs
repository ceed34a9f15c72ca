//! Access tokens: one request at a time, renewed before they expire, and advice for every refusal.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jobbell::clock::Clock;
use jobbell::config::Config;
use jobbell::daemon::token_home;
use jobbell::domain::{FailureKind, Locale, Stage, Timestamp};
use jobbell::queue::Queue;
use jobbell::secret::Secret;
use jobbell::transport::explain::Table;
use jobbell::transport::oauth::{
    Challenge, Grant, Problem, Settings, TIMEOUT, TokenError, TokenSource, TokenStore,
    xoauth2_initial,
};
use serde_json::{Value, json};

use crate::http::peer::{Answer, HttpPeer, PATIENCE};
use crate::support::postgres::Database;
use crate::support::test_config::TestConfig;

fn settings(peer: &HttpPeer) -> Settings {
    Settings {
        token_url: peer.url("/token"),
        client_id: "client".to_owned(),
        client_secret: Some(Secret::new("canary-client-secret")),
        refresh_token: Some(Secret::new("canary-refresh-token")),
        scope: Some("https://mail.example/".to_owned()),
        grant: Grant::RefreshToken,
        tls_ca_file: None,
        timeout: TIMEOUT,
    }
}

fn clock() -> Clock {
    Clock::manual("2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap())
}

fn source(peer: &HttpPeer) -> TokenSource {
    TokenSource::new(settings(peer), None, clock()).unwrap()
}

/// Returns `token-0`, `token-1`, …, each for an hour.
fn grant(number: usize) -> Answer {
    Answer::json(
        200,
        &json!({ "access_token": format!("token-{number}"), "expires_in": 3600, "token_type": "Bearer" }),
    )
}

async fn refused(answer: Answer) -> TokenError {
    let peer = HttpPeer::start(move |_, _| answer.clone()).await;
    let error = source(&peer).token().await.unwrap_err();
    let shown = format!(
        "{error} {error:?} {:?}",
        error
            .clone()
            .into_failure(&Table::new(), "primary", Locale::ZhCn)
    );
    assert!(!shown.contains("canary"), "{shown}");
    error
}

fn oauth_error(status: u16, error: &str, description: &str) -> Answer {
    Answer::json(
        status,
        &json!({ "error": error, "error_description": description }),
    )
}

#[tokio::test]
async fn token_is_cached_until_five_minutes_before_its_expiry() {
    let peer = HttpPeer::start(|number, _| grant(number)).await;
    let clock = clock();
    let source = TokenSource::new(settings(&peer), None, clock.clone()).unwrap();
    for _ in 0..3 {
        assert_eq!(source.token().await.unwrap().expose(), "token-0");
    }
    let request = peer.requests().remove(0);
    assert_eq!(
        request.headers["content-type"],
        "application/x-www-form-urlencoded"
    );
    let mut form = request.form();
    form.sort();
    let expected = [
        ("client_id", "client"),
        ("client_secret", "canary-client-secret"),
        ("grant_type", "refresh_token"),
        ("refresh_token", "canary-refresh-token"),
        ("scope", "https://mail.example/"),
    ];
    assert_eq!(
        form,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );

    clock.step(Duration::from_secs(3600 - 301));
    assert_eq!(source.token().await.unwrap().expose(), "token-0");
    clock.step(Duration::from_secs(1));
    assert_eq!(source.token().await.unwrap().expose(), "token-1");
    assert_eq!(peer.requests().len(), 2);
}

#[tokio::test]
async fn short_lived_token_is_cached_for_half_its_lifetime() {
    let peer = HttpPeer::start(|number, _| {
        Answer::json(
            200,
            &json!({ "access_token": format!("token-{number}"), "expires_in": "60" }),
        )
    })
    .await;
    let clock = clock();
    let source = TokenSource::new(settings(&peer), None, clock.clone()).unwrap();
    source.token().await.unwrap();
    clock.step(Duration::from_secs(29));
    assert_eq!(source.token().await.unwrap().expose(), "token-0");
    clock.step(Duration::from_secs(1));
    assert_eq!(source.token().await.unwrap().expose(), "token-1");
}

#[tokio::test]
async fn client_credentials_grant_sends_the_client_secret() {
    let peer = HttpPeer::start(|number, _| grant(number)).await;
    let application = Settings {
        grant: Grant::ClientCredentials,
        refresh_token: None,
        ..settings(&peer)
    };
    let source = TokenSource::new(application.clone(), None, clock()).unwrap();
    source.token().await.unwrap();
    let request = peer.requests().remove(0);
    assert_eq!(
        request.field("grant_type").as_deref(),
        Some("client_credentials")
    );
    assert_eq!(request.field("refresh_token"), None);

    let nameless = Settings {
        token_url: "https://login.microsoftonline.com/common/oauth2/v2.0/token".to_owned(),
        ..application.clone()
    };
    for wrong in [
        Settings {
            client_secret: None,
            ..application
        },
        nameless,
    ] {
        assert_eq!(
            TokenSource::new(wrong, None, clock()).unwrap_err().problem,
            Problem::Settings
        );
    }
}

/// Starts `number` tasks that need a token; returns when all of them wait for the one request.
async fn crowd(
    source: &TokenSource,
    peer: &HttpPeer,
    number: usize,
) -> tokio::task::JoinSet<Result<Secret, TokenError>> {
    let entered = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..number {
        let (source, entered) = (source.clone(), Arc::clone(&entered));
        tasks.spawn(async move {
            entered.fetch_add(1, Ordering::SeqCst);
            source.token().await
        });
    }
    peer.arrived(1).await;
    let all = async {
        while entered.load(Ordering::SeqCst) < number {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.unwrap();
    tasks
}

#[tokio::test]
async fn hundred_waiting_tasks_share_one_request() {
    let peer = HttpPeer::start(|number, _| grant(number).held()).await;
    let source = source(&peer);
    let tasks = crowd(&source, &peer, 100).await;
    peer.release();
    for result in tasks.join_all().await {
        assert_eq!(result.unwrap().expose(), "token-0");
    }
    assert_eq!(peer.requests().len(), 1);
}

#[tokio::test]
async fn hundred_waiting_tasks_share_one_failure_and_the_next_one_retries() {
    let peer = HttpPeer::start(|number, _| {
        if number == 0 {
            Answer::text(503, "text/plain", "").held()
        } else {
            grant(number)
        }
    })
    .await;
    let source = source(&peer);
    let tasks = crowd(&source, &peer, 100).await;
    peer.release();
    for result in tasks.join_all().await {
        assert_eq!(
            result.unwrap_err().problem,
            Problem::Busy { retry_after: None }
        );
    }
    assert_eq!(peer.requests().len(), 1);
    assert_eq!(source.token().await.unwrap().expose(), "token-1");
}

#[tokio::test]
async fn request_of_a_cancelled_task_still_stores_its_token() {
    let peer = HttpPeer::start(|number, _| grant(number).held()).await;
    let source = source(&peer);
    let caller = tokio::spawn({
        let source = source.clone();
        async move { source.token().await }
    });
    peer.arrived(1).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    peer.release();
    assert_eq!(source.token().await.unwrap().expose(), "token-0");
    assert_eq!(peer.requests().len(), 1);
}

#[tokio::test]
async fn rejected_token_is_replaced_once_for_all_tasks() {
    let peer = HttpPeer::start(|number, _| grant(number)).await;
    let source = source(&peer);
    let first = source.token().await.unwrap();
    source.invalidate(&first);
    let second = source.token().await.unwrap();
    assert_eq!(second.expose(), "token-1");
    source.invalidate(&first);
    assert_eq!(source.token().await.unwrap(), second);
    assert_eq!(peer.requests().len(), 2);
}

#[tokio::test]
async fn token_that_cannot_be_renewed_is_used_until_it_expires() {
    let peer = HttpPeer::start(|number, _| {
        if number == 0 {
            grant(0)
        } else {
            Answer::text(500, "text/plain", "oops")
        }
    })
    .await;
    let clock = clock();
    let source = TokenSource::new(settings(&peer), None, clock.clone()).unwrap();
    source.token().await.unwrap();
    clock.step(Duration::from_mins(55));
    assert_eq!(source.token().await.unwrap().expose(), "token-0");
    assert_eq!(source.token().await.unwrap().expose(), "token-0");
    assert_eq!(peer.requests().len(), 2, "not asked again at once");
    clock.step(Duration::from_secs(30));
    assert_eq!(source.token().await.unwrap().expose(), "token-0");
    assert_eq!(peer.requests().len(), 3);
    clock.step(Duration::from_secs(270));
    assert_eq!(
        source.token().await.unwrap_err().problem,
        Problem::Busy { retry_after: None }
    );
}

/// Replaces each refresh token by the next one in a chain; rejects used ones with `invalid_grant`.
async fn rotating() -> HttpPeer {
    HttpPeer::start(|number, request| {
        let expected = if number == 0 { "canary-refresh-token".to_owned() } else { format!("rotated-{number}") };
        if request.field("refresh_token") == Some(expected) {
            let next = format!("rotated-{}", number + 1);
            Answer::json(200, &json!({ "access_token": format!("token-{number}"), "expires_in": 3600, "refresh_token": next }))
        } else {
            oauth_error(400, "invalid_grant", "used before")
        }
    })
    .await
}

#[tokio::test]
async fn rotated_refresh_token_survives_a_restart() {
    let peer = rotating().await;
    let directory = tempfile::tempdir().unwrap();
    let store = TokenStore::new(directory.path(), "primary");
    for number in 0..3 {
        let source = TokenSource::new(settings(&peer), Some(store.clone()), clock()).unwrap();
        assert_eq!(
            source.token().await.unwrap().expose(),
            format!("token-{number}")
        );
    }
    let last = store
        .load(settings(&peer).refresh_token.as_ref())
        .await
        .unwrap();
    assert_eq!(last, Some(Secret::new("rotated-3")));
}

/// Nodes with one queue in PostgreSQL share a refresh token. The token server takes each only once, so
/// two nodes that used the same one would lose the permission.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_take_turns_with_a_shared_refresh_token() {
    let Some(database) = Database::create().await else {
        return;
    };
    let peer = rotating().await;
    let (mut nodes, mut configs) = (Vec::new(), Vec::new());
    for number in 0..3 {
        let mut test = TestConfig::bare();
        let (state, url) = (test.state(), database.url());
        test.write(&format!(
            "[queue]\nstate_dir = {state:?}\nurl = \"{url}\"\nnode_name = \"node{number}\"\n[smtp]\nenable = false\n"
        ));
        let config = test.load();
        let queue = Queue::open(&config.queue, &Clock::adjusted())
            .await
            .unwrap();
        nodes.push((queue, config));
        configs.push(test);
    }
    let token = async |(queue, config): &(Queue, Config)| {
        let home = token_home(config, queue);
        let store = TokenStore::at(&home, "primary");
        let source = TokenSource::new(settings(&peer), Some(store), clock()).unwrap();
        source.token().await.unwrap()
    };
    for round in 0..3 {
        let tokens = tokio::join!(token(&nodes[0]), token(&nodes[1]), token(&nodes[2]));
        let mut tokens = [tokens.0, tokens.1, tokens.2].map(|token| token.expose().to_owned());
        tokens.sort();
        let expected: Vec<_> = (0..3)
            .map(|node| format!("token-{}", round * 3 + node))
            .collect();
        assert_eq!(tokens, *expected);
    }
    let stored = database
        .sql("SELECT encode(sealed, 'escape') FROM jobbell.oauth_tokens")
        .await;
    assert!(
        stored.len() == 1 && !stored[0].contains("rotated"),
        "encrypted"
    );
    for (queue, _) in &nodes {
        queue.close().await;
    }
}

#[tokio::test]
async fn newly_configured_refresh_token_replaces_the_stored_one() {
    let peer = HttpPeer::start(|number, _| grant(number)).await;
    let directory = tempfile::tempdir().unwrap();
    let store = TokenStore::new(directory.path(), "primary");
    store
        .save(
            settings(&peer).refresh_token.as_ref(),
            &Secret::new("rotated"),
            Timestamp::from_millis(0),
        )
        .await
        .unwrap();
    for (configured, sent) in [
        ("canary-refresh-token", "rotated"),
        ("brand-new", "brand-new"),
    ] {
        let settings = Settings {
            refresh_token: Some(Secret::new(configured)),
            ..settings(&peer)
        };
        TokenSource::new(settings, Some(store.clone()), clock())
            .unwrap()
            .token()
            .await
            .unwrap();
        assert_eq!(
            peer.requests()
                .last()
                .unwrap()
                .field("refresh_token")
                .as_deref(),
            Some(sent)
        );
    }
}

#[tokio::test]
async fn unstored_refresh_token_is_kept_in_memory_and_stored_later() {
    let peer = rotating().await;
    let directory = tempfile::tempdir().unwrap();
    let state_dir = directory.path().join("later");
    std::fs::write(&state_dir, "no directory").unwrap();
    let store = TokenStore::new(&state_dir, "primary");
    let clock = clock();
    let source = TokenSource::new(settings(&peer), Some(store.clone()), clock.clone()).unwrap();
    source.token().await.unwrap();
    clock.step(Duration::from_hours(1));
    std::fs::remove_file(&state_dir).unwrap();
    assert_eq!(source.token().await.unwrap().expose(), "token-1");
    let stored = store
        .load(settings(&peer).refresh_token.as_ref())
        .await
        .unwrap();
    assert_eq!(stored, Some(Secret::new("rotated-2")));
}

#[tokio::test]
async fn missing_refresh_token_requires_consent_until_one_is_stored() {
    let peer = HttpPeer::start(|number, _| grant(number)).await;
    let directory = tempfile::tempdir().unwrap();
    let store = TokenStore::new(directory.path(), "primary");
    let settings = Settings {
        refresh_token: None,
        ..settings(&peer)
    };
    let source = TokenSource::new(settings, Some(store.clone()), clock()).unwrap();
    assert_eq!(source.token().await.unwrap_err().problem, Problem::Consent);
    assert!(peer.requests().is_empty());
    store
        .save(None, &Secret::new("consented"), Timestamp::from_millis(0))
        .await
        .unwrap();
    assert_eq!(source.token().await.unwrap().expose(), "token-0");
    assert_eq!(
        peer.requests()
            .last()
            .unwrap()
            .field("refresh_token")
            .as_deref(),
        Some("consented")
    );
}

#[tokio::test]
async fn refusal_names_what_the_operator_must_do() {
    let expired = "AADSTS7000222: The provided client secret keys for app 'x' are expired.";
    for (status, error, description, problem) in [
        (
            400,
            "invalid_grant",
            "Token has been expired or revoked.",
            Problem::Consent,
        ),
        (400, "interaction_required", "AADSTS50076", Problem::Consent),
        (401, "invalid_client", expired, Problem::SecretExpired),
        (
            401,
            "invalid_client",
            "AADSTS7000215: Invalid client secret provided.",
            Problem::Client,
        ),
        (400, "invalid_scope", "", Problem::Scope),
        (
            400,
            "unauthorized_client",
            "AADSTS700016",
            Problem::Settings,
        ),
    ] {
        let found = refused(oauth_error(status, error, description)).await;
        assert_eq!(
            (found.problem, found.kind()),
            (problem, FailureKind::Misconfigured),
            "{error}"
        );
        assert!(
            found.detail.contains(error) && found.detail.contains(description),
            "{}",
            found.detail
        );
        assert_eq!(found.reply.unwrap().code, status);
    }
}

#[tokio::test]
async fn token_server_failure_fails_over_and_honours_retry_after() {
    let unavailable = |seconds: Option<u64>| FailureKind::Unavailable {
        retry_after: seconds.map(Duration::from_secs),
        server_wide: true,
    };
    let busy = refused(
        Answer::text(429, "text/html", "<html>slow down</html>").header("retry-after", "90"),
    )
    .await;
    assert_eq!(busy.kind(), unavailable(Some(90)));
    assert_eq!(
        refused(Answer::text(502, "text/html", "<html>bad gateway</html>"))
            .await
            .kind(),
        unavailable(None)
    );
    assert_eq!(
        refused(oauth_error(400, "temporarily_unavailable", ""))
            .await
            .kind(),
        unavailable(None)
    );

    let silent = HttpPeer::start(|_, _| Answer::silence()).await;
    let impatient = Settings {
        timeout: Duration::from_millis(200),
        ..settings(&silent)
    };
    let error = TokenSource::new(impatient, None, clock())
        .unwrap()
        .token()
        .await
        .unwrap_err();
    assert_eq!(
        (error.problem, error.kind()),
        (Problem::Unreachable, unavailable(None))
    );
    assert!(error.detail.contains("in time"), "{}", error.detail);

    let port = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let gone = Settings {
        token_url: format!("http://{port}/token"),
        ..settings(&silent)
    };
    let error = TokenSource::new(gone, None, clock())
        .unwrap()
        .token()
        .await
        .unwrap_err();
    assert_eq!(error.problem, Problem::Unreachable);
    assert!(
        error.detail.starts_with("cannot connect to 127.0.0.1"),
        "{}",
        error.detail
    );
}

#[tokio::test]
async fn web_page_instead_of_a_token_is_explained_in_both_languages() {
    let error = refused(Answer::text(
        200,
        "text/html; charset=utf-8",
        "<!DOCTYPE html><title>Sign in to the network</title>",
    ))
    .await;
    assert_eq!(error.problem, Problem::NotJson);
    assert!(
        error.detail.contains("web page (status 200)"),
        "{}",
        error.detail
    );
    let failure = error
        .clone()
        .into_failure(&Table::new(), "primary", Locale::ZhCn);
    assert_eq!(
        (failure.stage, failure.kind),
        (Stage::Auth, FailureKind::Misconfigured)
    );
    assert!(failure.explanation.unwrap().cause.contains("网页"));
    assert!(
        error
            .explain(&Table::new(), "primary", Locale::En)
            .unwrap()
            .advice
            .contains("oauth_token_url")
    );
}

#[tokio::test]
async fn response_without_a_valid_token_is_rejected() {
    let bytes = "x".repeat(70 * 1024);
    let huge = json!({ "access_token": "t", "padding": bytes });
    for answer in [
        Answer::json(200, &huge),
        Answer::json(200, &json!({})),
        Answer::json(200, &json!([1])),
        Answer::text(200, "application/json", "{\"access_token\": \"canary"),
        Answer::text(302, "text/plain", "").header("location", "https://elsewhere.example/"),
    ] {
        assert_eq!(
            refused(answer.clone()).await.problem,
            Problem::NotJson,
            "{answer:.60?}"
        );
    }
    for token in [
        json!({ "access_token": "a b" }),
        json!({ "access_token": "a\r\nb" }),
        json!({ "access_token": "t", "token_type": "mac" }),
    ] {
        assert_eq!(
            refused(Answer::json(200, &token)).await.problem,
            Problem::Settings,
            "{token}"
        );
    }
}

#[tokio::test]
async fn secrets_echoed_by_the_token_server_are_masked() {
    let error = refused(oauth_error(
        400,
        "invalid_request",
        "bad: canary-refresh-token / canary-client-secret\u{1b}[31m",
    ))
    .await;
    assert_eq!(
        error.detail,
        "127.0.0.1 refused to give a token: invalid_request (bad: *** / *** [31m)"
    );
}

#[tokio::test]
async fn token_server_with_an_unknown_root_needs_tls_ca_file() {
    let (address, root) = tls_peer().await;
    let peer = HttpPeer::start(|number, _| grant(number)).await;
    let stranger = Settings {
        token_url: format!("https://localhost:{}/token", address.port()),
        ..settings(&peer)
    };
    let error = TokenSource::new(stranger.clone(), None, clock())
        .unwrap()
        .token()
        .await
        .unwrap_err();
    assert_eq!(
        (error.problem, error.kind()),
        (Problem::Certificate, FailureKind::Misconfigured),
        "{error}"
    );
    assert!(
        error
            .explain(&Table::new(), "primary", Locale::En)
            .unwrap()
            .advice
            .contains("tls_ca_file")
    );

    let trusted = Settings {
        tls_ca_file: Some(root.path().to_owned()),
        ..stranger
    };
    assert_eq!(
        TokenSource::new(trusted, None, clock())
            .unwrap()
            .token()
            .await
            .unwrap()
            .expose(),
        "by-tls"
    );
}

/// A token server with TLS and a self-signed certificate, which is in the file.
async fn tls_peer() -> (std::net::SocketAddr, tempfile::NamedTempFile) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let root = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(root.path(), made.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(vec![made.cert.der().clone()], key)
    .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut request = Vec::new();
            while !String::from_utf8_lossy(&request).contains("grant_type") {
                stream.read_buf(&mut request).await.unwrap();
            }
            let body = r#"{"access_token":"by-tls"}"#;
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    (address, root)
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/mail-auth.json")).unwrap()
}

#[test]
fn sasl_responses_match_the_published_vectors() {
    for vector in vectors()["xoauth2"].as_array().unwrap() {
        let text = |name: &str| vector[name].as_str().unwrap();
        assert_eq!(
            xoauth2_initial(text("user"), &Secret::new(text("token"))),
            text("initial_response")
        );
    }
    let challenge = vectors()["xoauth2_error_challenge"]["base64"]
        .as_str()
        .unwrap()
        .to_owned();
    let challenge = Challenge::decode(&challenge).unwrap();
    let expected = Challenge {
        status: "401".to_owned(),
        schemes: "bearer mac".to_owned(),
        scope: "https://mail.google.com/".to_owned(),
    };
    assert_eq!(challenge, expected);
}
