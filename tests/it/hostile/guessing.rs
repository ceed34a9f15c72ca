//! An attacker tries one token after the other.

use super::attacker::{MASTER, append, config, event, metric, post};
use crate::support::daemon::Daemon;

/// Sends guesses concurrently and counts the responses: 401 or 404, and 429.
async fn guess(daemon: &Daemon, requests: Vec<reqwest::RequestBuilder>) -> (usize, usize) {
    let mut sent = tokio::task::JoinSet::new();
    for request in requests {
        sent.spawn(async move { request.send().await.unwrap() });
    }
    let (mut wrong, mut slowed) = (0, 0);
    while let Some(answer) = sent.join_next().await {
        let answer = answer.unwrap();
        match answer.status().as_u16() {
            401 | 404 => wrong += 1,
            429 => {
                assert!(answer.headers().contains_key("retry-after"));
                slowed += 1;
            }
            other => panic!("{other}"),
        }
        // The valid token works at any moment.
        assert_eq!(post(daemon, MASTER, &event()).await.0, 202);
    }
    (wrong, slowed)
}

#[tokio::test]
async fn token_guesses_are_throttled_but_valid_tokens_are_not() {
    let mut config = config();
    config.text("server.tokens", MASTER);
    let daemon = config.start().await;
    let guesses = (0..100)
        .map(|number| {
            daemon
                .get("/v1/stats")
                .bearer_auth(format!("guess-{number}"))
        })
        .collect();
    let (wrong, slowed) = guess(&daemon, guesses).await;
    assert!(
        wrong >= 10 && slowed >= 50,
        "{wrong} answered, {slowed} slowed down"
    );
    let counted = async |why: &str| {
        metric(
            &daemon,
            MASTER,
            &format!("jobbell_refused_total{{why=\"{why}\"}}"),
        )
        .await
        .unwrap()
        .parse::<usize>()
        .unwrap()
    };
    assert_eq!(
        (counted("wrong_token").await, counted("guessing").await),
        (wrong, slowed)
    );
    daemon
        .logged("the guesses", |line| {
            line["why"] == "wrong_token" && line["peer"] == "127.0.0.1"
        })
        .await;
}

#[tokio::test]
async fn hook_secret_guesses_are_throttled_and_reveal_no_names() {
    let mut config = config();
    config.text("server.tokens", MASTER);
    append(
        &mut config,
        "[hooks.gpu]\nkind = \"runpod\"\nsecret = \"0123456789abcdef\"\n",
    );
    let daemon = config.start().await;
    let path = |number: usize| {
        if number.is_multiple_of(2) {
            format!("/v1/hooks/gpu/{number}")
        } else {
            format!("/v1/hooks/none/{number}")
        }
    };
    let guesses = (0..100)
        .map(|number| daemon.post(&path(number)).json(&event()))
        .collect();
    let (wrong, slowed) = guess(&daemon, guesses).await;
    assert!(
        wrong >= 10 && slowed >= 50,
        "{wrong} answered, {slowed} slowed down"
    );
}

#[tokio::test]
async fn requests_without_a_token_do_not_count_as_guesses() {
    let mut config = config();
    config.text("server.tokens", MASTER);
    let daemon = config.start().await;
    for _ in 0..100 {
        assert_eq!(daemon.get("/v1/stats").send().await.unwrap().status(), 401);
    }
    assert_eq!(
        metric(&daemon, MASTER, "jobbell_refused_total{why=\"no_token\"}")
            .await
            .as_deref(),
        Some("100")
    );
}

#[tokio::test]
async fn hook_signature_guesses_are_throttled() {
    let mut config = config();
    config.text("server.tokens", MASTER);
    append(
        &mut config,
        "[hooks.signed]\nkind = \"generic\"\nverify = \"hmac-sha256\"\nsecret = \"0123456789abcdef\"\n",
    );
    let daemon = config.start().await;
    let guesses = (0..100)
        .map(|number| {
            daemon
                .post("/v1/hooks/signed")
                .header("x-signature", format!("{number:064x}"))
                .json(&event())
        })
        .collect();
    let (wrong, slowed) = guess(&daemon, guesses).await;
    assert!(
        wrong >= 10 && slowed >= 50,
        "{wrong} answered, {slowed} slowed down"
    );
}
