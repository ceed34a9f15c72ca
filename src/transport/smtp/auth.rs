//! Logging in (RFC 4954): by password PLAIN first, LOGIN second, never CRAM-MD5, never twice with
//! the same password; by token XOAUTH2.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Credentials;
use super::access::Access;
use super::ehlo::Mechanisms;
use super::session::{Session, SessionConfig};
use crate::domain::{Failure, Reply, Stage};
use crate::secret::Secret;
use crate::transport::explain::LocalError;
use crate::transport::oauth::{Challenge, TokenSource, xoauth2_initial};

/// A way to log in by password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mechanism {
    Plain,
    Login,
}

impl Mechanism {
    /// The first of ours that the server offers.
    const fn choose(offered: Mechanisms) -> Option<Self> {
        match offered {
            Mechanisms { plain: true, .. } => Some(Self::Plain),
            Mechanisms { login: true, .. } => Some(Self::Login),
            _ => None,
        }
    }
}

/// Logs in, or says why not.
pub(super) async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(
    session: &mut Session<S>,
    access: &Access,
    config: &SessionConfig<'_>,
) -> Result<(), Failure> {
    // Some servers repeat what they did not understand.
    let result = match access {
        Access::Password(credentials) => {
            let password = credentials.password.expose();
            session.hidden = vec![
                credentials.password.clone(),
                encoded(password),
                encoded(&format!("\0{}\0{password}", credentials.username)),
            ];
            try_in_turn(session, credentials).await
        }
        Access::Token { username, source } => with_token(session, username, source, config).await,
    };
    session.hidden.clear();
    result
}

/// `AUTH XOAUTH2` with the token at once. A token that is not taken is forgotten, so that the next
/// login gets a new one.
async fn with_token<S: AsyncRead + AsyncWrite + Unpin>(
    session: &mut Session<S>,
    username: &str,
    source: &TokenSource,
    config: &SessionConfig<'_>,
) -> Result<(), Failure> {
    if !session.can.auth.xoauth2 {
        return Err(session.classifier.local_failure(
            Stage::Auth,
            not_offered(session.can.auth),
            "the server offers no login by token (XOAUTH2); no token was sent",
        ));
    }
    let settings = config.settings;
    let token = source
        .token()
        .await
        .map_err(|error| error.into_failure(&settings.name, settings.locale))?;
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
        || "the server does not take the token".to_owned(),
        |challenge| challenge.to_string(),
    );
    match session.exchange(Stage::Auth, "", None).await {
        Ok(235) => Ok(()),
        Ok(code) => Err(session.refusal(Stage::Auth, code, &why)),
        // The reason has been given; that the server then hung up adds nothing.
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

async fn try_in_turn<S: AsyncRead + AsyncWrite + Unpin>(
    session: &mut Session<S>,
    credentials: &Credentials,
) -> Result<(), Failure> {
    let offered = session.can.auth;
    let mut code = match Mechanism::choose(offered) {
        Some(Mechanism::Plain) => plain(session, credentials).await,
        Some(Mechanism::Login) => login(session, credentials).await,
        None if offered.any => Err(session.classifier.local_failure(
            Stage::Auth,
            not_offered(offered),
            "the server offers no login by password that we know (PLAIN, LOGIN); the password was not sent",
        )),
        None => Err(session.classifier.local_failure(
            Stage::Auth,
            not_offered(offered),
            "the server offers no login, but a user name is configured; the password was not sent. Another port, or no username, may be right",
        )),
    }?;
    if code == 504 && offered.plain && offered.login {
        code = login(session, credentials).await?;
    }
    if code == 235 {
        Ok(())
    } else {
        Err(session.refusal(Stage::Auth, code, "the server refused the login"))
    }
}

/// `AUTH PLAIN` with the response at once (RFC 4616); after the 334 for a server that does not take
/// it so.
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

/// `AUTH LOGIN`: the name to the first 334, the password to the second, whatever their words.
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
