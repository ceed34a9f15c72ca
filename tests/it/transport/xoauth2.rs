//! Login with a token: fetched when needed, renewed once when rejected, never shown.

use std::sync::Arc;

use jobbell::domain::{FailureKind, Locale, Stage};
use jobbell::secret::Secret;
use jobbell::transport::Context;
use jobbell::transport::explain::{LocalError, Table};
use jobbell::transport::oauth::{self, Grant, TIMEOUT, xoauth2_initial};
use jobbell::transport::smtp::{Depth, Login, Settings, Smtp};
use serde_json::json;
use tokio::task::JoinSet;

use super::{common, context, email, numbered, settings};
use crate::http::peer::{Answer, HttpPeer};
use crate::support::smtp_peer::{Act, At, SmtpPeer};

const USER: &str = "me@example.com";

/// Returns `canary-0`, `canary-1`, …, each for an hour.
async fn tokens() -> HttpPeer {
    HttpPeer::start(|number, _| Answer::json(200, &json!({ "access_token": format!("canary-{number}"), "expires_in": 3600, "token_type": "Bearer" }))).await
}

fn by_token(peer: &SmtpPeer, tokens: &HttpPeer) -> Settings {
    let source = oauth::Settings {
        token_url: tokens.url("/token"),
        client_id: "client".to_owned(),
        client_secret: None,
        refresh_token: Some(Secret::new("configured")),
        scope: None,
        grant: Grant::RefreshToken,
        tls_ca_file: None,
        timeout: TIMEOUT,
    };
    Settings {
        login: Some(Login::Xoauth2 {
            username: USER.to_owned(),
            source,
        }),
        ..settings(peer.port())
    }
}

fn server(peer: &SmtpPeer, tokens: &HttpPeer) -> Smtp {
    super::smtp(by_token(peer, tokens))
}

#[tokio::test]
async fn token_is_sent_as_the_initial_response() {
    let (peer, tokens) = (
        SmtpPeer::builder().token(USER, "canary-0").start().await,
        tokens().await,
    );
    server(&peer, &tokens).send(&email()).await.unwrap();
    let seen = peer.seen();
    assert_eq!(
        seen.lines()[1],
        format!(
            "AUTH XOAUTH2 {}",
            xoauth2_initial(USER, &Secret::new("canary-0"))
        )
    );
    assert_eq!(
        (
            seen.mails[0].login.as_deref(),
            seen.connections,
            tokens.requests().len()
        ),
        (Some(USER), 1, 1)
    );
}

#[tokio::test]
async fn all_connections_share_a_token() {
    let (peer, tokens) = (
        SmtpPeer::builder().token(USER, "canary-0").start().await,
        tokens().await,
    );
    let server = Arc::new(super::pooled(3, by_token(&peer, &tokens)));
    let mut sends = JoinSet::new();
    for number in 1..4 {
        let server = Arc::clone(&server);
        sends.spawn(async move { server.send(&numbered(number)).await });
    }
    for result in sends.join_all().await {
        result.unwrap();
    }
    assert_eq!((peer.mails().len(), tokens.requests().len()), (3, 1));
}

#[tokio::test]
async fn rejected_token_is_renewed_once() {
    let refusals = [
        (At::Auth, Act::Usual),
        (
            At::Auth,
            Act::reply("535 5.7.3 Authentication unsuccessful"),
        ),
        (At::Auth, Act::reply_and_close("535 5.7.8 no")),
        (At::AuthAnswer, Act::Close),
    ];
    for (at, act) in refusals {
        let (peer, tokens) = (
            SmtpPeer::builder()
                .token(USER, "canary-1")
                .once(at, act.clone())
                .start()
                .await,
            tokens().await,
        );
        server(&peer, &tokens).send(&email()).await.unwrap();
        let seen = peer.seen();
        assert_eq!(
            (
                seen.mails.len(),
                seen.count("AUTH XOAUTH2 "),
                tokens.requests().len()
            ),
            (1, 2, 2),
            "{act:?}: {:#?}",
            seen.commands
        );
        let challenged = matches!(act, Act::Usual | Act::Close);
        assert_eq!(
            seen.lines().contains(&""),
            challenged,
            "a challenge is answered with an empty line"
        );
    }
}

#[tokio::test]
async fn second_rejection_is_reported_and_not_retried() {
    for (locale, word) in [
        (Locale::En, "trying passwords again does not help"),
        (Locale::ZhCn, "反复尝试密码无效"),
    ] {
        let (peer, tokens) = (
            SmtpPeer::builder().token(USER, "another").start().await,
            tokens().await,
        );
        peer.always(
            At::AuthAnswer,
            Some(Act::reply(
                "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
            )),
        );
        let settings = Settings {
            provider: Some("outlook"),
            ..by_token(&peer, &tokens)
        };
        let server = super::localized(locale, settings);
        let failure = server.send(&email()).await.unwrap_err();
        assert_eq!(
            (failure.stage, failure.kind),
            (Stage::Auth, FailureKind::Misconfigured)
        );
        assert!(
            failure
                .detail
                .contains("requires the scope https://mail.example/"),
            "{}",
            failure.detail
        );
        assert!(
            failure.explanation.as_ref().unwrap().advice.contains(word),
            "{failure:?}"
        );
        assert_eq!((peer.seen().count("AUTH"), tokens.requests().len()), (2, 2));
        let trace = server.trace(Depth::Login).await;
        let told = format!("{failure:?} {failure} {trace:?} {server:?}");
        assert!(
            !told.contains("canary")
                && !told.contains(&xoauth2_initial(USER, &Secret::new("canary-1"))),
            "{told}"
        );
    }
}

#[tokio::test]
async fn disconnect_after_the_challenge_rejects_the_token() {
    let (peer, tokens) = (
        SmtpPeer::builder()
            .token(USER, "another")
            .always(At::AuthAnswer, Act::Close)
            .start()
            .await,
        tokens().await,
    );
    let failure = server(&peer, &tokens).send(&email()).await.unwrap_err();
    assert_eq!(
        (failure.stage, failure.kind, failure.reply.unwrap().code),
        (Stage::Auth, FailureKind::Misconfigured, 334)
    );
}

#[tokio::test]
async fn server_without_xoauth2_consumes_no_token() {
    for (peer, trouble) in [
        (
            SmtpPeer::builder().login(USER, "p").start().await,
            LocalError::AuthMechanism,
        ),
        (SmtpPeer::start().await, LocalError::AuthNotOffered),
    ] {
        let tokens = tokens().await;
        let failure = server(&peer, &tokens).send(&email()).await.unwrap_err();
        assert_eq!(
            (failure.stage, failure.kind),
            (Stage::Auth, FailureKind::Misconfigured)
        );
        assert_eq!(
            failure.explanation,
            Table::new().explain_local(trouble).explanation(Locale::En)
        );
        assert_eq!((peer.seen().count("AUTH"), tokens.requests().len()), (0, 0));
    }
}

#[tokio::test]
async fn token_server_failure_is_explained_without_a_login() {
    let unavailable = FailureKind::Unavailable {
        retry_after: None,
        server_wide: true,
    };
    let answers = [
        (
            Answer::json(
                400,
                &json!({ "error": "invalid_grant", "error_description": "Token has been expired or revoked." }),
            ),
            FailureKind::Misconfigured,
            "jobbell oauth primary",
        ),
        (
            Answer::text(
                200,
                "text/html",
                "<html>Sign in to the hotel's network</html>",
            ),
            FailureKind::Misconfigured,
            "oauth_token_url",
        ),
        (Answer::json(503, &json!({})), unavailable, ""),
    ];
    for (answer, kind, advice) in answers {
        let tokens = HttpPeer::start(move |_, _| answer.clone()).await;
        for locale in [Locale::En, Locale::ZhCn] {
            let peer = SmtpPeer::builder().token(USER, "canary-0").start().await;
            let failure = super::localized(locale, by_token(&peer, &tokens))
                .send(&email())
                .await
                .unwrap_err();
            assert_eq!(
                (failure.stage, failure.kind),
                (Stage::Auth, kind),
                "{failure:?}"
            );
            assert!(failure.explanation.unwrap().advice.contains(advice));
            assert_eq!(peer.seen().count("AUTH"), 0);
        }
    }
}

#[tokio::test]
async fn rotated_refresh_token_is_used_after_a_restart() {
    let peer = SmtpPeer::builder().token(USER, "access").start().await;
    let tokens =
        HttpPeer::start(|number, _| Answer::json(200, &json!({ "access_token": "access", "expires_in": 3600, "refresh_token": format!("rotated-{number}") })))
            .await;
    let state = tempfile::tempdir().unwrap();
    let context = Context {
        tokens: Some(jobbell::transport::oauth::TokenHome::Directory(
            state.path().to_owned(),
        )),
        ..context()
    };
    for number in 1..3 {
        Smtp::new(common(), by_token(&peer, &tokens), &context)
            .unwrap()
            .send(&numbered(number))
            .await
            .unwrap();
    }
    let sent: Vec<_> = tokens
        .requests()
        .iter()
        .map(|request| request.field("refresh_token").unwrap())
        .collect();
    assert_eq!(sent, ["configured", "rotated-0"]);
}
