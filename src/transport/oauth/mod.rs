//! Access tokens for `auth = "xoauth2"`: got, kept, renewed in time, and asked for with a device
//! code.
//!
//! ```text
//! session ── token() ──▶ TokenSource ── one request at a time ──▶ token server
//!    │                      │  ▲
//!    │ 334 / 535            │  └─ TokenStore: a refresh token that took the configured one's place
//!    └── invalidate(token) ─┘
//! ```

mod device;
mod endpoint;
mod error;
pub mod presets;
mod sasl;
mod source;
mod store;

use std::path::PathBuf;
use std::time::Duration;

use crate::secret::Secret;

pub use device::{Consent, DeviceFlow, DeviceSettings, Progress, Prompt};
pub use error::{Problem, TokenError};
pub use sasl::{Challenge, xoauth2_initial};
pub use source::TokenSource;
pub use store::{StoreError, TokenStore};

/// The longest wait for a token server's answer.
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// How access tokens are got (RFC 6749).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// On behalf of a user who has consented once (§6).
    RefreshToken,
    /// As an application, with the client's own secret (§4.4).
    ClientCredentials,
}

/// The `oauth_*` keys of one mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where tokens are given out (`oauth_token_url`): https, or http on loopback.
    pub token_url: String,
    /// The registered application (`oauth_client_id`).
    pub client_id: String,
    /// Its secret (`oauth_client_secret`, `oauth_client_secret_file`), where it has one.
    pub client_secret: Option<Secret>,
    /// The user's consent (`oauth_refresh_token`, `oauth_refresh_token_file`); may be left out when
    /// `jobbell oauth NAME` has stored one.
    pub refresh_token: Option<Secret>,
    /// What the token is for (`oauth_scope`).
    pub scope: Option<String>,
    /// How tokens are got.
    pub grant: Grant,
    /// A further root certificate for the token server, PEM.
    pub tls_ca_file: Option<PathBuf>,
    /// The longest wait for the token server, usually [`TIMEOUT`].
    pub timeout: Duration,
}

impl Settings {
    /// Looks whether they can work together, as far as that shows without asking the token server.
    ///
    /// # Errors
    /// [`Problem::Settings`], with the key that is wrong.
    pub fn check(&self) -> Result<(), TokenError> {
        let wrong = |detail: String| Err(TokenError::new(Problem::Settings, detail));
        if self.client_id.is_empty() {
            return wrong("oauth_client_id is missing".to_owned());
        }
        if self.grant == Grant::ClientCredentials {
            if self.client_secret.is_none() {
                return wrong("oauth_client_secret is missing: without a user (client credentials) it is what proves who we are".to_owned());
            }
            if let Some(tenant) = ["common", "consumers", "organizations"]
                .iter()
                .find(|tenant| self.token_url.contains(&format!("/{tenant}/")))
            {
                return wrong(format!(
                    "oauth_token_url needs the id of your own tenant in place of {tenant:?} to get tokens without a user"
                ));
            }
        }
        Ok(())
    }
}
