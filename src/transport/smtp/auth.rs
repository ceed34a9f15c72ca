//! Login (RFC 4954): with a password PLAIN, else LOGIN, never CRAM-MD5, and a refused password is
//! not tried again; with a token XOAUTH2.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Credentials;
use super::access::Access;
use super::ehlo::Mechanisms;
use super::session::Session;
use crate::domain::{Failure, Reply, Stage};
use crate::secret::Secret;
use crate::transport::explain::LocalError;
use crate::transport::oauth::{Challenge, TokenSource, xoauth2_initial};

/// Logs in.
pub(super) async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(
    session: &mut Session<S>,
    access: &Access,
) -> Result<(), Failure> {
    // Some servers repeat a command that they do not understand.
    let result = match access {
        Access::Password(credentials) => {
            let password = credentials.password.expose();
            session.hidden = vec![
                credentials.password.clone(),
                encoded(password),
                encoded(&format!("\0{}\0{password}", credentials.username)),
            ];
            with_password(session, credentials).await
        }
        Access::Token { username, source } => with_token(session, username, source).await,
    };
    session.hidden.clear();
    result
}

/// Sends `AUTH XOAUTH2` with the token. A refused token is discarded, so that the next login gets a
/// new one.
async fn with_token<S: AsyncRead + AsyncWrite + Unpin>(
    session: &mut Session<S>,
    username: &str,
    source: &TokenSource,
) -> Result<(), Failure> {
    if !session.capabilities.auth.xoauth2 {
        return Err(session.classifier.local_failure(
            Stage::Auth,
            not_offered(session.capabilities.auth),
            "the server does not offer login by token (XOAUTH2); no token was sent",
        ));
    }
    let token = source
        .token()
        .await
        .map_err(|error| session.classifier.token_failure(error))?;
    let response = Secret::new(xoauth2_initial(username, &token));
    session.hidden = vec![token.clone(), response.clone()];
    let at_once = Secret::new(format!("AUTH XOAUTH2 {}", response.expose()));
    let code = session
        .exchange(Stage::Auth, at_once.expose(), Some("AUTH XOAUTH2 ***"))
        .await?;
    if code == 235 {
        return Ok(());
    }
    source.invalidate(&token);
    if code != 334 {
        return Err(session.refusal(Stage::Auth, code, "the server refused the token"));
    }
    let challenge = session.reply(334);
    let why = Challenge::decode(&challenge.text).map_or_else(
        || "the server refuses the token".to_owned(),
        |challenge| challenge.to_string(),
    );
    match session.exchange(Stage::Auth, "", None).await {
        Ok(235) => Ok(()),
        Ok(code) => Err(session.refusal(Stage::Auth, code, &why)),
        // The server has given the reason already; the lost connection adds nothing.
        Err(_) => {
            let refused = session.classifier.refusal(
                Stage::Auth,
                Reply {
                    code: 535,
                    ..challenge.clone()
                },
                why,
            );
            Err(Failure {
                reply: Some(challenge),
                ..refused
            })
        }
    }
}

async fn with_password<S: AsyncRead + AsyncWrite + Unpin>(
    session: &mut Session<S>,
    credentials: &Credentials,
) -> Result<(), Failure> {
    let offered = session.capabilities.auth;
    let mut code = if offered.plain {
        plain(session, credentials).await?
    } else if offered.login {
        login(session, credentials).await?
    } else {
        let detail = if offered.any {
            "the server offers no login by password that is supported (PLAIN, LOGIN); the password was not sent"
        } else {
            "the server offers no login, but a user name is configured; the password was not sent. Try another port, or remove username"
        };
        return Err(session
            .classifier
            .local_failure(Stage::Auth, not_offered(offered), detail));
    };
    if code == 504 && offered.plain && offered.login {
        code = login(session, credentials).await?;
    }
    if code == 235 {
        Ok(())
    } else {
        Err(session.refusal(Stage::Auth, code, "the server refused the login"))
    }
}

/// Sends `AUTH PLAIN` with an initial response (RFC 4616), or if the server does not accept that,
/// sends the response after the 334.
async fn plain<S: AsyncRead + AsyncWrite + Unpin>(
    session: &mut Session<S>,
    credentials: &Credentials,
) -> Result<u16, Failure> {
    let response = encoded(&format!(
        "\0{}\0{}",
        credentials.username,
        credentials.password.expose()
    ));
    let at_once = Secret::new(format!("AUTH PLAIN {}", response.expose()));
    let code = session
        .exchange(Stage::Auth, at_once.expose(), Some("AUTH PLAIN ***"))
        .await?;
    let code = if matches!(code, 501 | 503 | 504) {
        session.exchange(Stage::Auth, "AUTH PLAIN", None).await?
    } else {
        code
    };
    if code == 334 {
        session
            .exchange(Stage::Auth, response.expose(), Some("***"))
            .await
    } else {
        Ok(code)
    }
}

/// Sends `AUTH LOGIN`: the user name after the first 334, the password after the second, whatever
/// their texts.
async fn login<S: AsyncRead + AsyncWrite + Unpin>(
    session: &mut Session<S>,
    credentials: &Credentials,
) -> Result<u16, Failure> {
    let mut code = session.exchange(Stage::Auth, "AUTH LOGIN", None).await?;
    for answer in [credentials.username.as_str(), credentials.password.expose()] {
        if code != 334 {
            break;
        }
        code = session
            .exchange(Stage::Auth, encoded(answer).expose(), Some("***"))
            .await?;
    }
    Ok(code)
}

fn not_offered(offered: Mechanisms) -> LocalError {
    if offered.any {
        LocalError::AuthMechanism
    } else {
        LocalError::AuthNotOffered
    }
}

fn encoded(text: &str) -> Secret {
    Secret::new(STANDARD.encode(text))
}
