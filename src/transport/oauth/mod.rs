//! Access tokens for `auth = "xoauth2"`: obtained, cached, renewed in time; and the device-code
//! flow.
//!
//! ```text
//! session ── token() ──▶ TokenSource ── one request at a time ──▶ token server
//!    │                      │  ▲
//!    │ 334 / 535            │  └─ TokenStore: a refresh token that replaces the configured one
//!    └── invalidate(token) ─┘
//! ```

mod device;
mod endpoint;
mod error;
mod file;
mod sasl;
mod source;
mod store;
mod store_error;
mod token;

use std::path::PathBuf;
use std::time::Duration;

use crate::secret::Secret;

pub use device::{Consent, DeviceFlow, DeviceSettings, Progress, Prompt, device_url};
pub use error::{Problem, TokenError};
pub use sasl::{Challenge, xoauth2_initial};
pub use source::TokenSource;
pub use store::{SharedTokens, TokenFuture, TokenHome, TokenStore};
pub use store_error::StoreError;

/// Time limit of one call to a token server.
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// The grant by which access tokens are obtained (RFC 6749).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// With the refresh token of a user who has consented (§6).
    RefreshToken,
    /// With the client's own secret, without a user (§4.4).
    ClientCredentials,
}

/// The `oauth_*` settings of a mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The token endpoint (`oauth_token_url`): https, or http on a loopback address.
    pub token_url: String,
    /// Id of the registered application (`oauth_client_id`).
    pub client_id: String,
    /// Secret of the application, if it has one (`oauth_client_secret`,
    /// `oauth_client_secret_file`).
    pub client_secret: Option<Secret>,
    /// The user's refresh token (`oauth_refresh_token`, `oauth_refresh_token_file`). Not needed if
    /// `jobbell oauth NAME` has stored one.
    pub refresh_token: Option<Secret>,
    /// The scope to request (`oauth_scope`).
    pub scope: Option<String>,
    /// The grant.
    pub grant: Grant,
    /// PEM file of an additional root certificate for the token server.
    pub tls_ca_file: Option<PathBuf>,
    /// Time limit of one call, usually [`TIMEOUT`].
    pub timeout: Duration,
}

impl Settings {
    /// Checks that the settings are consistent, without calling the token server.
    ///
    /// # Errors
    /// [`Problem::Settings`], naming the wrong key.
    pub fn check(&self) -> Result<(), TokenError> {
        let wrong = |detail: String| Err(TokenError::new(Problem::Settings, detail));
        if self.client_id.is_empty() {
            return wrong("oauth_client_id is missing".to_owned());
        }
        if self.grant == Grant::ClientCredentials {
            if self.client_secret.is_none() {
                return wrong("oauth_client_secret is missing: it authenticates the application where there is no user (client credentials)".to_owned());
            }
            if let Some(tenant) = ["common", "consumers", "organizations"]
                .iter()
                .find(|tenant| self.token_url.contains(&format!("/{tenant}/")))
            {
                return wrong(format!(
                    "oauth_token_url needs the id of your own tenant instead of {tenant:?} to get tokens without a user"
                ));
            }
        }
        Ok(())
    }
}
