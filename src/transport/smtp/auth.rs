//! Logging in (RFC 4954): PLAIN first, LOGIN second, never CRAM-MD5, never twice with the same password.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Credentials;
use super::ehlo::Mechanisms;
use super::session::{Session, misconfigured};
use crate::domain::{Failure, Stage};
use crate::secret::Secret;

/// A way to log in. `XOAUTH2` has its place here once a token can be configured.
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
pub(super) async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(session: &mut Session<S>, credentials: &Credentials) -> Result<(), Failure> {
    // Some servers repeat what they did not understand.
    let password = credentials.password.expose();
    session.hidden = vec![credentials.password.clone(), encoded(password), encoded(&format!("\0{}\0{password}", credentials.username))];
    let result = try_in_turn(session, credentials).await;
    session.hidden.clear();
    result
}

async fn try_in_turn<S: AsyncRead + AsyncWrite + Unpin>(session: &mut Session<S>, credentials: &Credentials) -> Result<(), Failure> {
    let offered = session.can.auth;
    let mut code = match Mechanism::choose(offered) {
        Some(Mechanism::Plain) => plain(session, credentials).await,
        Some(Mechanism::Login) => login(session, credentials).await,
        None if offered.any => Err(misconfigured(Stage::Auth, "the server offers no login by password that we know (PLAIN, LOGIN); the password was not sent")),
        None => Err(misconfigured(
            Stage::Auth,
            "the server offers no login, but a user name is configured; the password was not sent. Another port, or no username, may be right",
        )),
    }?;
    if code == 504 && offered.plain && offered.login {
        code = login(session, credentials).await?;
    }
    if code == 235 { Ok(()) } else { Err(session.refusal(Stage::Auth, code, "the server refused the login")) }
}

/// `AUTH PLAIN` with the response at once (RFC 4616); after the 334 for a server that does not take it so.
async fn plain<S: AsyncRead + AsyncWrite + Unpin>(session: &mut Session<S>, credentials: &Credentials) -> Result<u16, Failure> {
    let response = encoded(&format!("\0{}\0{}", credentials.username, credentials.password.expose()));
    let at_once = Secret::new(format!("AUTH PLAIN {}", response.expose()));
    let code = session.exchange(Stage::Auth, at_once.expose(), Some("AUTH PLAIN ***")).await?;
    let code = if matches!(code, 501 | 503 | 504) { session.exchange(Stage::Auth, "AUTH PLAIN", None).await? } else { code };
    if code == 334 { session.exchange(Stage::Auth, response.expose(), Some("***")).await } else { Ok(code) }
}

/// `AUTH LOGIN`: the name to the first 334, the password to the second, whatever their words.
async fn login<S: AsyncRead + AsyncWrite + Unpin>(session: &mut Session<S>, credentials: &Credentials) -> Result<u16, Failure> {
    let mut code = session.exchange(Stage::Auth, "AUTH LOGIN", None).await?;
    for answer in [credentials.username.as_str(), credentials.password.expose()] {
        if code != 334 {
            break;
        }
        code = session.exchange(Stage::Auth, encoded(answer).expose(), Some("***")).await?;
    }
    Ok(code)
}

fn encoded(text: &str) -> Secret {
    Secret::new(STANDARD.encode(text))
}
