//! Login data of a server: a password, or a source of access tokens.

use super::{Credentials, Login};
use crate::clock::Clock;
use crate::domain::{Failure, Stage};
use crate::transport::oauth::{TokenError, TokenSource, TokenStore};

/// Login data of a session.
#[derive(Debug, Clone)]
pub enum Access {
    /// A password.
    Password(Credentials),
    /// An access token, requested at each login.
    Token {
        /// The user name.
        username: String,
        /// The source of the token.
        source: TokenSource,
    },
}

impl Access {
    /// Prepares a login. `store` keeps refresh tokens that the token server rotates.
    ///
    /// # Errors
    /// If the settings of the token server are unusable.
    pub fn new(login: &Login, store: Option<TokenStore>, clock: Clock) -> Result<Self, TokenError> {
        Ok(match login {
            Login::Password(credentials) => Self::Password(credentials.clone()),
            Login::Xoauth2 { username, source } => Self::Token {
                username: username.clone(),
                source: TokenSource::new(source.clone(), store, clock)?,
            },
        })
    }

    /// Whether to retry a refused login: a token may have been revoked before it expired, and the
    /// next one will be new.
    pub(super) fn retries_after(&self, failure: &Failure) -> bool {
        let refused = failure.stage == Stage::Auth
            && failure
                .reply
                .as_ref()
                .is_some_and(|reply| matches!(reply.code, 334 | 535));
        matches!(self, Self::Token { .. }) && refused
    }
}
