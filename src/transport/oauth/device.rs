//! The device-code flow (RFC 8628): the operator enters a code in any browser while we poll the
//! token server.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::endpoint::{Answer, Endpoint, Form, client_form};
use super::{Problem, TIMEOUT, TokenError};
use crate::clock::Clock;
use crate::domain::Timestamp;
use crate::secret::Secret;
use crate::transport::http;

/// The default polling interval, also added to it at each `slow_down` (RFC 8628 §3.5).
const INTERVAL: Duration = Duration::from_secs(5);
/// The longest polling interval.
const MAX_INTERVAL: Duration = Duration::from_mins(1);
/// Assumed lifetime of a code, in seconds, if the response contains none.
const DEFAULT_LIFETIME: u64 = 900;
/// Maximum lifetime of a code, in seconds.
const MAX_LIFETIME: u64 = 3_600;

/// Settings of a device-code flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceSettings {
    /// The device authorization endpoint; see [`device_url`].
    pub device_url: String,
    /// The token endpoint (`oauth_token_url`).
    pub token_url: String,
    /// Id of the registered application.
    pub client_id: String,
    /// Secret of the application. Google requires it; Microsoft's public clients have none.
    pub client_secret: Option<Secret>,
    /// The scope to request. Microsoft issues a refresh token only with `offline_access` in it.
    pub scope: Option<String>,
    /// PEM file of an additional root certificate.
    pub tls_ca_file: Option<PathBuf>,
}

/// The instructions for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The code to enter.
    pub user_code: String,
    /// The page to enter it on.
    pub verification_uri: String,
    /// The same page with the code in its URL, if the provider offers it.
    pub verification_uri_complete: Option<String>,
    /// When the code expires.
    pub expires_at: Timestamp,
}

impl Prompt {
    /// Reads the device code and the prompt from the response (RFC 8628 §3.2).
    fn read(answer: &Answer, now: Timestamp) -> Option<(Secret, Self)> {
        let text = |name: &str| {
            let text = answer.json.get(name).and_then(Value::as_str);
            text.filter(|text| !text.is_empty())
        };
        // Google calls the fields `verification_url` instead.
        let line = |names: &[&str]| {
            let text = names.iter().find_map(|name| text(name));
            text.map(|text| http::plain(text, 500))
        };
        let lifetime = answer.seconds("expires_in").unwrap_or(DEFAULT_LIFETIME);
        let prompt = Self {
            user_code: line(&["user_code"])?,
            verification_uri: line(&["verification_uri", "verification_url"])?,
            verification_uri_complete: line(&[
                "verification_uri_complete",
                "verification_url_complete",
            ]),
            expires_at: now.after(Duration::from_secs(lifetime.min(MAX_LIFETIME))),
        };
        Some((Secret::new(text("device_code")?), prompt))
    }
}

/// The tokens after the operator has consented.
#[derive(Debug, Clone)]
pub struct Consent {
    /// The refresh token, to be stored by [`super::TokenStore::save`].
    pub refresh_token: Secret,
    /// An access token, to test the login with.
    pub access_token: Secret,
}

/// The state of a flow.
#[derive(Debug)]
pub enum Progress {
    /// The operator has not decided yet. Poll again after this pause.
    Pending(Duration),
    /// The operator has consented.
    Granted(Consent),
}

/// A device-code flow in progress.
#[derive(Debug)]
pub struct DeviceFlow {
    settings: DeviceSettings,
    token: Endpoint,
    clock: Clock,
    device_code: Secret,
    prompt: Prompt,
    pause: Duration,
}

impl DeviceFlow {
    /// Requests a code. Takes at most [`TIMEOUT`].
    ///
    /// # Errors
    /// If the settings are wrong, or the provider refuses or cannot be reached.
    pub async fn start(settings: DeviceSettings, clock: Clock) -> Result<Self, TokenError> {
        let client = http::client(TIMEOUT, settings.tls_ca_file.as_deref())
            .map_err(|error| TokenError::new(Problem::Settings, error.to_string()))?;
        let endpoint = |url: &str, key| Endpoint::new(client.clone(), url, clock.clone(), key);
        let token = endpoint(&settings.token_url, "oauth_token_url")?;
        let device = endpoint(&settings.device_url, "the device authorization URL")?;
        let mut form: Form<'_> = vec![("client_id", &settings.client_id)];
        form.extend(settings.scope.as_deref().map(|scope| ("scope", scope)));
        let answer = device.post(&form).await?;
        let Some((device_code, prompt)) = Prompt::read(&answer, clock.wall()) else {
            return Err(answer.refusal());
        };
        let pause = answer
            .seconds("interval")
            .map_or(INTERVAL, Duration::from_secs)
            .clamp(Duration::from_secs(1), MAX_INTERVAL);
        Ok(Self {
            settings,
            token,
            clock,
            device_code,
            prompt,
            pause,
        })
    }

    /// The instructions for the operator.
    pub fn prompt(&self) -> &Prompt {
        &self.prompt
    }

    /// Asks once whether the operator has consented. If the server is busy or cannot be reached,
    /// the answer is `Pending` with a longer pause.
    ///
    /// # Errors
    /// When the operator has refused, the code has run out, or the provider refuses; the flow is
    /// over then.
    pub async fn poll(&mut self) -> Result<Progress, TokenError> {
        if self.clock.wall() >= self.prompt.expires_at {
            return Err(TokenError::new(
                Problem::CodeExpired,
                "the code was not entered in time",
            ));
        }
        let settings = &self.settings;
        let grant = "urn:ietf:params:oauth:grant-type:device_code";
        let mut form = client_form(&settings.client_id, settings.client_secret.as_ref());
        form.extend([
            ("grant_type", grant),
            ("device_code", self.device_code.expose()),
        ]);
        let answer = match self.token.post(&form).await {
            Ok(answer) => answer,
            Err(error) if error.problem == Problem::Unreachable => {
                return Ok(self.later(self.pause));
            }
            Err(error) => return Err(error),
        };
        match answer.error() {
            Some("authorization_pending") => return Ok(Progress::Pending(self.pause)),
            Some("slow_down") => return Ok(self.later(INTERVAL)),
            _ => {}
        }
        let granted = match answer.granted() {
            Ok(granted) => granted,
            Err(error) if matches!(error.problem, Problem::Busy { .. }) => {
                return Ok(self.later(self.pause));
            }
            Err(error) => return Err(error),
        };
        let Some(refresh_token) = granted.refresh else {
            let detail = format!(
                "{} issued no refresh token; Microsoft issues one only with offline_access in oauth_scope",
                self.token.host()
            );
            return Err(TokenError::new(Problem::Scope, detail));
        };
        Ok(Progress::Granted(Consent {
            refresh_token,
            access_token: granted.access,
        }))
    }

    /// Polls at the interval that the provider requests, until the operator has decided or the code
    /// has expired.
    ///
    /// # Errors
    /// As [`DeviceFlow::poll`].
    pub async fn wait(&mut self) -> Result<Consent, TokenError> {
        loop {
            tokio::time::sleep(self.pause).await;
            if let Progress::Granted(consent) = self.poll().await? {
                return Ok(consent);
            }
        }
    }

    fn later(&mut self, more: Duration) -> Progress {
        self.pause = (self.pause + more).min(MAX_INTERVAL);
        Progress::Pending(self.pause)
    }
}

/// The device authorization endpoint that belongs to a token endpoint of Google or Microsoft.
///
/// Google's accepts only a short list of scopes, which did not include the one for mail at the time
/// of writing
/// (<https://developers.google.com/identity/protocols/oauth2/limited-input-device#allowedscopes>).
/// The explanation of that refusal names Google's flow for desktop programs.
pub fn device_url(token_url: &str) -> Option<String> {
    let url = url::Url::parse(token_url).ok()?;
    match url.host_str()? {
        "oauth2.googleapis.com" | "accounts.google.com" => {
            Some("https://oauth2.googleapis.com/device/code".to_owned())
        }
        host if host.starts_with("login.microsoftonline.")
            || host == "login.partner.microsoftonline.cn" =>
        {
            let path = url.path().strip_suffix("/token")?;
            Some(format!("https://{host}{path}/devicecode"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_url_follows_from_the_token_url() {
        for (token, device) in [
            (
                "https://oauth2.googleapis.com/token",
                Some("https://oauth2.googleapis.com/device/code"),
            ),
            (
                "https://login.microsoftonline.com/consumers/oauth2/v2.0/token",
                Some("https://login.microsoftonline.com/consumers/oauth2/v2.0/devicecode"),
            ),
            (
                "https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token",
                Some("https://login.microsoftonline.com/contoso.example/oauth2/v2.0/devicecode"),
            ),
            ("https://tokens.example.com/token", None),
        ] {
            assert_eq!(device_url(token).as_deref(), device);
        }
    }
}
