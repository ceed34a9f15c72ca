//! The device-code flow (RFC 8628): the operator enters a code in a browser anywhere, we ask until
//! it is done.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::endpoint::{Endpoint, Form};
use super::{Problem, TIMEOUT, TokenError};
use crate::clock::Clock;
use crate::domain::Timestamp;
use crate::secret::Secret;
use crate::transport::http;

/// The pause between two questions when the server names none, and what `slow_down` adds to it (RFC
/// 8628 §3.5).
const PAUSE: Duration = Duration::from_secs(5);
/// The longest pause between two questions.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// How long a code is taken to last when the server does not say, and at most.
const LIFETIME: (u64, u64) = (900, 3_600);

/// What the flow needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceSettings {
    /// Where the flow begins; [`super::presets::device_url`] knows the large providers'.
    pub device_url: String,
    /// Where tokens are given out (`oauth_token_url`).
    pub token_url: String,
    /// The registered application.
    pub client_id: String,
    /// Its secret; Google wants it, Microsoft's public clients have none.
    pub client_secret: Option<Secret>,
    /// What the token is for; Microsoft gives a refresh token only with `offline_access` in it.
    pub scope: Option<String>,
    /// A further root certificate, PEM.
    pub tls_ca_file: Option<PathBuf>,
}

/// What the operator has to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The code to enter.
    pub user_code: String,
    /// The page to enter it at.
    pub verification_uri: String,
    /// The page with the code already in its address, where the provider has one.
    pub verification_uri_complete: Option<String>,
    /// The code is worth nothing after this moment.
    pub expires_at: Timestamp,
}

/// What the operator has agreed to.
#[derive(Debug, Clone)]
pub struct Consent {
    /// What `oauth_refresh_token` holds; [`super::TokenStore::save`] keeps it.
    pub refresh_token: Secret,
    /// An access token to try the login with at once.
    pub access_token: Secret,
}

/// How far the flow is.
#[derive(Debug)]
pub enum Progress {
    /// Not yet: ask again after this pause, not sooner.
    Pending(Duration),
    /// Done.
    Granted(Consent),
}

/// A device-code flow under way.
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
    /// Asks for a code. At most [`TIMEOUT`].
    ///
    /// # Errors
    /// When the settings are wrong, or the provider refuses or cannot be reached.
    pub async fn start(settings: DeviceSettings, clock: Clock) -> Result<Self, TokenError> {
        let client = http::client(TIMEOUT, settings.tls_ca_file.as_deref())
            .map_err(|error| TokenError::new(Problem::Settings, error.to_string()))?;
        let token = Endpoint::new(
            client.clone(),
            &settings.token_url,
            clock.clone(),
            "oauth_token_url",
        )?;
        let device = Endpoint::new(
            client,
            &settings.device_url,
            clock.clone(),
            "the device-code address",
        )?;
        let mut form: Form<'_> = vec![("client_id", &settings.client_id)];
        form.extend(settings.scope.as_deref().map(|scope| ("scope", scope)));
        let answer = device.post(&form).await?;
        // Google says verification_url where the standard says verification_uri.
        let text = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| answer.json.get(name).and_then(Value::as_str))
                .filter(|text| !text.is_empty())
        };
        let line = |names: &[&str]| text(names).map(|text| http::plain(text, 500));
        let codes = (
            text(&["device_code"]),
            line(&["user_code"]),
            line(&["verification_uri", "verification_url"]),
        );
        let (Some(device_code), Some(user_code), Some(verification_uri)) = codes else {
            return Err(answer.refusal());
        };
        let lifetime = answer
            .seconds("expires_in")
            .unwrap_or(LIFETIME.0)
            .min(LIFETIME.1);
        let prompt = Prompt {
            user_code,
            verification_uri,
            verification_uri_complete: line(&[
                "verification_uri_complete",
                "verification_url_complete",
            ]),
            expires_at: clock.now().after(Duration::from_secs(lifetime)),
        };
        let pause = answer
            .seconds("interval")
            .map_or(PAUSE, Duration::from_secs)
            .clamp(Duration::from_secs(1), LONGEST_PAUSE);
        let device_code = Secret::new(device_code);
        Ok(Self {
            settings,
            token,
            clock,
            device_code,
            prompt,
            pause,
        })
    }

    /// What the operator has to be told.
    pub fn prompt(&self) -> &Prompt {
        &self.prompt
    }

    /// The pause before the next question.
    pub fn pause(&self) -> Duration {
        self.pause
    }

    /// Asks once whether the operator has agreed. A server that cannot be reached or is busy counts
    /// as not yet, with a growing pause.
    ///
    /// # Errors
    /// When the operator has refused, the code has run out, or the provider refuses; the flow is
    /// over then.
    pub async fn poll(&mut self) -> Result<Progress, TokenError> {
        if self.clock.now() >= self.prompt.expires_at {
            return Err(TokenError::new(
                Problem::CodeExpired,
                "the code was not entered in time",
            ));
        }
        let settings = &self.settings;
        let grant = "urn:ietf:params:oauth:grant-type:device_code";
        let mut form: Form<'_> = vec![
            ("grant_type", grant),
            ("client_id", &settings.client_id),
            ("device_code", self.device_code.expose()),
        ];
        form.extend(
            settings
                .client_secret
                .as_ref()
                .map(|secret| ("client_secret", secret.expose())),
        );
        let answer = match self.token.post(&form).await {
            Ok(answer) => answer,
            Err(error) if error.problem == Problem::Unreachable => {
                return Ok(self.later(self.pause));
            }
            Err(error) => return Err(error),
        };
        match answer.error() {
            Some("authorization_pending") => return Ok(Progress::Pending(self.pause)),
            Some("slow_down") => return Ok(self.later(PAUSE)),
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
                "{} gave no refresh token; Microsoft does only with offline_access in oauth_scope",
                self.token.host()
            );
            return Err(TokenError::new(Problem::Scope, detail));
        };
        Ok(Progress::Granted(Consent {
            refresh_token,
            access_token: granted.access,
        }))
    }

    /// Asks, with the pauses that the provider wants, until the operator has decided or the code
    /// has run out.
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
        self.pause = (self.pause + more).min(LONGEST_PAUSE);
        Progress::Pending(self.pause)
    }
}
