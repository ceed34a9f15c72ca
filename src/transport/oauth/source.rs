//! [`TokenSource`]: one access token for all sessions of a mail server, renewed by one request at a
//! time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::endpoint::{Endpoint, Form, Granted};
use super::{Grant, Problem, Settings, TokenError, TokenStore};
use crate::clock::Clock;
use crate::domain::Timestamp;
use crate::secret::Secret;
use crate::transport::http;

/// The shortest and the longest time before its end at which a token is renewed.
const MARGIN: (Duration, Duration) = (Duration::from_mins(1), Duration::from_mins(5));
/// How long a token that could not be renewed, but has not ended, is used before the next try.
const PAUSE: Duration = Duration::from_secs(30);

/// Gives the access token of one mail server. Clones share the token; any number of tasks may ask
/// at once.
#[derive(Debug, Clone)]
pub struct TokenSource {
    shared: Arc<Shared>,
    /// Held by the one task that talks to the token server.
    flight: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct Shared {
    settings: Settings,
    endpoint: Endpoint,
    store: Option<TokenStore>,
    clock: Clock,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    token: Option<Token>,
    /// Counts the requests that have ended, so that whoever waited for one knows that `failed` is
    /// its result.
    round: u64,
    failed: Option<TokenError>,
    /// A new refresh token that could not be stored yet.
    unsaved: Option<Secret>,
}

#[derive(Debug)]
struct Token {
    secret: Secret,
    renew_at: Timestamp,
    ends_at: Timestamp,
}

impl TokenSource {
    /// Prepares a source; the token server is asked when the first token is. `store` keeps refresh
    /// tokens that the server replaces.
    ///
    /// # Errors
    /// When the settings contradict each other, the address is not https, or `tls_ca_file` cannot
    /// be read: [`Problem::Settings`].
    pub fn new(
        settings: Settings,
        store: Option<TokenStore>,
        clock: Clock,
    ) -> Result<Self, TokenError> {
        settings.check()?;
        let client = http::client(settings.timeout, settings.tls_ca_file.as_deref())
            .map_err(|error| TokenError::new(Problem::Settings, error.to_string()))?;
        let endpoint = Endpoint::new(
            client,
            &settings.token_url,
            clock.clone(),
            "oauth_token_url",
        )?;
        let shared = Shared {
            settings,
            endpoint,
            store,
            clock,
            held: Mutex::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
            flight: Arc::default(),
        })
    }

    /// The access token, from memory until 60 to 300 s before its end (a tenth of its life), then a
    /// new one.
    ///
    /// One request at a time: whoever asks meanwhile waits for it and gets its result, good or bad.
    /// A request once begun goes on when its caller is dropped, so that a refresh token that the
    /// server has replaced is never lost. The wait is bounded by `timeout` and the writing of a
    /// small file.
    ///
    /// # Errors
    /// Why there is none; [`TokenError::kind`] says what it means for the mail server.
    pub async fn token(&self) -> Result<Secret, TokenError> {
        let round = match self.shared.look() {
            Ok(token) => return Ok(token),
            Err(round) => round,
        };
        let flight = Arc::clone(&self.flight).lock_owned().await;
        if let Some(result) = self.shared.result_since(round) {
            return result;
        }
        let shared = Arc::clone(&self.shared);
        let request = tokio::spawn(async move {
            let result = shared.renew().await;
            drop(flight);
            result
        });
        request.await.unwrap_or_else(|_| {
            Err(TokenError::new(
                Problem::Unreachable,
                "the request for a token was interrupted",
            ))
        })
    }

    /// Forgets `token` after a server has refused it (334 challenge, 535), so that the next one is
    /// new; call it once per login, then try once more.
    ///
    /// A token that has been replaced meanwhile is left alone.
    pub fn invalidate(&self, token: &Secret) {
        let mut held = self.shared.hold();
        if held
            .token
            .as_ref()
            .is_some_and(|kept| kept.secret == *token)
        {
            held.token = None;
        }
    }
}

impl Shared {
    fn hold(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token if it need not be renewed yet, else the number of the last request.
    fn look(&self) -> Result<Secret, u64> {
        let held = self.hold();
        match &held.token {
            Some(token) if self.clock.now() < token.renew_at => Ok(token.secret.clone()),
            _ => Err(held.round),
        }
    }

    /// The result of a request that ended after number `round`, if there is one to share.
    fn result_since(&self, round: u64) -> Option<Result<Secret, TokenError>> {
        let current = match self.look() {
            Ok(token) => return Some(Ok(token)),
            Err(current) => current,
        };
        self.hold()
            .failed
            .clone()
            .filter(|_| current != round)
            .map(Err)
    }

    async fn renew(&self) -> Result<Secret, TokenError> {
        let asked = self.ask().await;
        let now = self.clock.now();
        let mut held = self.hold();
        held.round += 1;
        held.failed = None;
        let error = match asked {
            Ok(granted) => {
                let token = Token::new(granted.access, granted.lifetime, now);
                let secret = token.secret.clone();
                held.token = Some(token);
                return Ok(secret);
            }
            Err(error) => error,
        };
        let transient = matches!(error.problem, Problem::Busy { .. } | Problem::Unreachable);
        match &mut held.token {
            Some(token) if transient && now < token.ends_at => {
                token.renew_at = now.after(PAUSE).min(token.ends_at);
                Ok(token.secret.clone())
            }
            _ => {
                held.token = None;
                held.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    async fn ask(&self) -> Result<Granted, TokenError> {
        let settings = &self.settings;
        let refresh = match settings.grant {
            Grant::RefreshToken => Some(self.refresh_token().await?),
            Grant::ClientCredentials => None,
        };
        let mut form: Form<'_> = vec![("client_id", &settings.client_id)];
        match &refresh {
            Some(token) => form.extend([
                ("grant_type", "refresh_token"),
                ("refresh_token", token.expose()),
            ]),
            None => form.push(("grant_type", "client_credentials")),
        }
        form.extend(
            settings
                .client_secret
                .as_ref()
                .map(|secret| ("client_secret", secret.expose())),
        );
        form.extend(
            settings
                .scope
                .as_deref()
                .filter(|scope| !scope.is_empty())
                .map(|scope| ("scope", scope)),
        );
        let granted = match self.endpoint.post(&form).await?.granted() {
            Ok(granted) => granted,
            Err(error) => {
                if error.problem == Problem::Consent {
                    self.hold().unsaved = None;
                }
                return Err(error);
            }
        };
        if let Some(new) = granted
            .refresh
            .as_ref()
            .filter(|new| refresh.as_ref() != Some(*new))
        {
            self.keep(new).await;
        }
        Ok(granted)
    }

    /// The newest refresh token: one that waits to be stored, the stored one, the configured one.
    /// The file is read each time, because `jobbell oauth` writes it beside a running daemon.
    async fn refresh_token(&self) -> Result<Secret, TokenError> {
        let unsaved = self.hold().unsaved.clone();
        if let Some(token) = unsaved {
            self.keep(&token).await;
            return Ok(token);
        }
        let configured = self.settings.refresh_token.as_ref();
        let stored = match &self.store {
            Some(store) => store.load(configured).await,
            None => Ok(None),
        };
        match (stored, configured) {
            (Ok(Some(stored)), _) => Ok(stored),
            (Ok(None), Some(configured)) => Ok(configured.clone()),
            (Ok(None), None) => Err(TokenError::new(
                Problem::Consent,
                "there is no refresh token: nobody has given permission to send yet",
            )),
            (Err(error), Some(configured)) => {
                tracing::warn!(%error, "cannot read the stored refresh token; the configured one is used");
                Ok(configured.clone())
            }
            (Err(error), None) => Err(TokenError::new(
                Problem::Storage,
                format!("cannot read the stored refresh token: {error}"),
            )),
        }
    }

    /// Stores a new refresh token; what cannot be stored is kept in memory and tried again at the
    /// next renewal.
    async fn keep(&self, token: &Secret) {
        let saved = match &self.store {
            Some(store) => store
                .save(
                    self.settings.refresh_token.as_ref(),
                    token,
                    self.clock.now(),
                )
                .await
                .map_err(|error| error.to_string()),
            None => Err("there is no state_dir to store it in".to_owned()),
        };
        if let Err(error) = &saved {
            tracing::warn!(%error, host = self.endpoint.host(), "the token server gave a new refresh token, which cannot be stored: a restart loses it");
        }
        self.hold().unsaved = saved.err().map(|_| token.clone());
    }
}

impl Token {
    fn new(secret: Secret, lifetime: Duration, now: Timestamp) -> Self {
        // A token that lives shorter than two minutes is used for half its life, rather than
        // renewed at every login.
        let margin = (lifetime / 10).clamp(MARGIN.0, MARGIN.1).min(lifetime / 2);
        Self {
            secret,
            renew_at: now.after(lifetime.saturating_sub(margin)),
            ends_at: now.after(lifetime),
        }
    }
}
