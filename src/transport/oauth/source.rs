//! [`TokenSource`]: an access token shared by all sessions of a mail server, renewed by one request
//! at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::endpoint::{Endpoint, Granted, client_form};
use super::token::Token;
use super::{Grant, Problem, Settings, StoreError, TokenError, TokenStore};
use crate::clock::Clock;
use crate::secret::Secret;
use crate::transport::http;

/// The pause before the next renewal after a failed one, while the token is still valid.
const RETRY_PAUSE: Duration = Duration::from_secs(30);

/// The source of access tokens for one mail server. Clones share the token. May be used by any
/// number of tasks at once.
#[derive(Debug, Clone)]
pub struct TokenSource {
    shared: Arc<Shared>,
    /// Locked while a request to the token server is in flight.
    flight: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct Shared {
    settings: Settings,
    endpoint: Endpoint,
    store: Option<TokenStore>,
    clock: Clock,
    cached: Mutex<Cached>,
}

#[derive(Debug, Default)]
struct Cached {
    token: Option<Token>,
    /// Number of completed requests. A task that waited for one recognizes by it that `failed` is
    /// that request's result.
    round: u64,
    failed: Option<TokenError>,
    /// A new refresh token that has not been stored yet.
    unsaved: Option<Secret>,
}

impl TokenSource {
    /// Prepares a source. The first call to [`TokenSource::token`] contacts the token server.
    /// `store` keeps refresh tokens that the server rotates.
    ///
    /// # Errors
    /// [`Problem::Settings`] if the settings are inconsistent, the URL is not https, or
    /// `tls_ca_file` cannot be read.
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
            cached: Mutex::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
            flight: Arc::default(),
        })
    }

    /// The access token: the cached one until a tenth of its lifetime (60 to 300 s) before it
    /// expires, then a new one.
    ///
    /// There is one request at a time; concurrent callers wait for it and share its result. The
    /// request continues if its caller is dropped, so that a rotated refresh token is not lost. It
    /// takes at most `timeout`, and the time to write a small file.
    ///
    /// # Errors
    /// Why there is no token.
    pub async fn token(&self) -> Result<Secret, TokenError> {
        let round = match self.shared.cached_token() {
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

    /// Discards `token` after a mail server has refused it (334 challenge, 535), so that the next
    /// call requests a new one. Does nothing if it has already been replaced.
    pub fn invalidate(&self, token: &Secret) {
        let mut cached = self.shared.lock();
        if cached
            .token
            .as_ref()
            .is_some_and(|kept| kept.secret == *token)
        {
            cached.token = None;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Cached> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cached token, if it is not due for renewal; else the number of the last request.
    fn cached_token(&self) -> Result<Secret, u64> {
        let cached = self.lock();
        match &cached.token {
            Some(token) if self.clock.wall() < token.renew_at => Ok(token.secret.clone()),
            _ => Err(cached.round),
        }
    }

    /// The result of a request completed after number `round`, if there is one.
    fn result_since(&self, round: u64) -> Option<Result<Secret, TokenError>> {
        let current = match self.cached_token() {
            Ok(token) => return Some(Ok(token)),
            Err(current) => current,
        };
        self.lock()
            .failed
            .clone()
            .filter(|_| current != round)
            .map(Err)
    }

    async fn renew(&self) -> Result<Secret, TokenError> {
        let result = self.request().await;
        let now = self.clock.wall();
        let mut cached = self.lock();
        cached.round += 1;
        cached.failed = None;
        let error = match result {
            Ok(granted) => {
                let token = Token::new(granted.access, granted.lifetime, now);
                let secret = token.secret.clone();
                cached.token = Some(token);
                return Ok(secret);
            }
            Err(error) => error,
        };
        let transient = matches!(error.problem, Problem::Busy { .. } | Problem::Unreachable);
        match &mut cached.token {
            Some(token) if transient && now < token.expires_at => {
                token.renew_at = now.after(RETRY_PAUSE).min(token.expires_at);
                Ok(token.secret.clone())
            }
            _ => {
                cached.token = None;
                cached.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    async fn request(&self) -> Result<Granted, TokenError> {
        match (self.settings.grant, &self.store) {
            (Grant::RefreshToken, Some(store)) => {
                let limit = self.settings.timeout;
                store
                    .reserve(limit)
                    .await
                    .map_err(|error| unreadable(&error))?;
                let refresh = self.refresh_token().await;
                let granted = match refresh {
                    Ok(refresh) => self.granted(Some(refresh)).await,
                    Err(error) => Err(error),
                };
                store.release().await;
                granted
            }
            (Grant::RefreshToken, None) => self.granted(Some(self.refresh_token().await?)).await,
            (Grant::ClientCredentials, _) => self.granted(None).await,
        }
    }

    async fn granted(&self, refresh: Option<Secret>) -> Result<Granted, TokenError> {
        let settings = &self.settings;
        let mut form = client_form(&settings.client_id, settings.client_secret.as_ref());
        match &refresh {
            Some(token) => form.extend([
                ("grant_type", "refresh_token"),
                ("refresh_token", token.expose()),
            ]),
            None => form.push(("grant_type", "client_credentials")),
        }
        let scope = settings.scope.as_deref().filter(|scope| !scope.is_empty());
        form.extend(scope.map(|scope| ("scope", scope)));
        let granted = match self.endpoint.post(&form).await?.granted() {
            Ok(granted) => granted,
            Err(error) => {
                if error.problem == Problem::Consent {
                    self.lock().unsaved = None;
                }
                return Err(error);
            }
        };
        if let Some(new) = granted
            .refresh
            .as_ref()
            .filter(|new| refresh.as_ref() != Some(*new))
        {
            self.store(new).await;
        }
        Ok(granted)
    }

    /// The newest refresh token: one not stored yet, else the stored one, else the configured one.
    /// The file is read each time, because `jobbell oauth` may have written it.
    async fn refresh_token(&self) -> Result<Secret, TokenError> {
        let unsaved = self.lock().unsaved.clone();
        if let Some(token) = unsaved {
            self.store(&token).await;
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
                "there is no refresh token: permission to send has not been given yet",
            )),
            (Err(error), _) if self.store.as_ref().is_some_and(TokenStore::is_shared) => {
                Err(unreadable(&error))
            }
            (Err(error), Some(configured)) => {
                tracing::warn!(%error, "cannot read the stored refresh token; using the configured one");
                Ok(configured.clone())
            }
            (Err(error), None) => Err(TokenError::new(
                Problem::Storage,
                format!("cannot read the stored refresh token: {error}"),
            )),
        }
    }

    /// Stores a new refresh token. If that fails, it is kept in memory until the next renewal, which
    /// tries again.
    async fn store(&self, token: &Secret) {
        let saved = match &self.store {
            Some(store) => store
                .save(
                    self.settings.refresh_token.as_ref(),
                    token,
                    self.clock.wall(),
                )
                .await
                .map_err(|error| error.to_string()),
            None => Err("there is no state_dir to store it in".to_owned()),
        };
        if let Err(error) = &saved {
            tracing::warn!(%error, host = self.endpoint.host(), "cannot store the new refresh token; it will be lost at a restart");
        }
        self.lock().unsaved = saved.err().map(|_| token.clone());
    }
}

/// The database may answer again soon.
fn unreadable(error: &StoreError) -> TokenError {
    TokenError::new(
        Problem::Unreachable,
        format!("cannot read the stored refresh token: {error}"),
    )
}
