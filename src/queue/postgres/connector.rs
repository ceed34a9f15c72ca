//! Makes connections, and knows whether the database can be reached.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_postgres::{Config, Notification};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connection::Connection;
use super::open_error::OpenError;
use super::query_error::QueryError;
use super::session;
use super::url::ConnectionUrl;
use crate::queue::{PostgresSettings, StoreError};
use crate::tls;

/// How long it may take to connect, over all hosts of the URL.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The first and the longest pause between two attempts to connect.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// The way to the database, shared by all connections of a node.
pub(super) struct Connector {
    config: Config,
    password_file: Option<std::path::PathBuf>,
    tls: MakeRustlsConnect,
    state: Mutex<State>,
    /// Increased by every outage: connections of an earlier generation are dropped.
    generation: AtomicU64,
    /// Notified by every outage.
    began: Notify,
}

#[derive(Debug, Default)]
struct State {
    outage: Option<Outage>,
}

#[derive(Debug, Clone)]
struct Outage {
    reason: String,
    pause: Duration,
    next_try: Instant,
}

impl Connector {
    /// Prepares the way; connects to nothing.
    pub(super) fn new(url: &str, settings: &PostgresSettings) -> Result<Self, OpenError> {
        let url = ConnectionUrl::parse(url)?;
        let tls = tls::client_config(settings.tls_ca_file.as_deref())?;
        let mut config = url.config();
        if config.get_password().is_none()
            && let Some(password) = &settings.password
        {
            config.password(password.expose());
        }
        Ok(Self {
            config,
            password_file: settings.password_file.clone(),
            tls: MakeRustlsConnect::new(tls),
            state: Mutex::default(),
            generation: AtomicU64::new(0),
            began: Notify::new(),
        })
    }

    /// Connects, unless an outage was seen a moment ago.
    pub(super) async fn connect(&self) -> Result<Connection, ConnectError> {
        self.admit()?;
        match self.connect_now(None).await {
            Ok(connection) => {
                self.succeeded();
                Ok(connection)
            }
            Err(error) => {
                if error.is_outage() {
                    self.failed(&error);
                }
                Err(ConnectError::Query(error))
            }
        }
    }

    /// Connects whatever happened before.
    pub(super) async fn connect_now(
        &self,
        notifications: Option<mpsc::Sender<Notification>>,
    ) -> Result<Connection, QueryError> {
        let config = self.with_password().await;
        let connect = async {
            let (client, link) = config.connect(self.tls.clone()).await?;
            let connection = Connection::new(client, link, notifications);
            session::prepare(&connection, self.config.get_ports()).await?;
            Ok(connection)
        };
        tokio::time::timeout(CONNECT_TIMEOUT, connect)
            .await
            .map_err(|_| QueryError::TimedOut)?
    }

    /// Reads the password file each time, so that a changed password needs no restart.
    async fn with_password(&self) -> Config {
        let mut config = self.config.clone();
        if config.get_password().is_none()
            && let Some(path) = &self.password_file
        {
            match tokio::fs::read_to_string(path).await {
                Ok(text) => drop(config.password(without_line_end(&text))),
                Err(error) => {
                    tracing::warn!(
                        "cannot read queue.password_file {}: {error}",
                        path.display()
                    );
                }
            }
        }
        config
    }

    fn admit(&self) -> Result<(), ConnectError> {
        match &self.state().outage {
            Some(outage) if Instant::now() < outage.next_try => {
                Err(ConnectError::Pausing(outage.reason.clone()))
            }
            _ => Ok(()),
        }
    }

    /// The database can be used.
    pub(super) fn succeeded(&self) {
        if self.state().outage.take().is_some() {
            tracing::info!("the database can be reached again");
        }
    }

    /// Records an outage, which drops every connection.
    pub(super) fn failed(&self, error: &dyn std::fmt::Display) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        let mut state = self.state();
        let pause = match &state.outage {
            Some(outage) => (outage.pause * 2).min(PAUSE.1),
            None => {
                tracing::error!(%error, "the database cannot be used; events are refused until it can");
                PAUSE.0
            }
        };
        // Jitter, so that nodes do not come back all at once.
        let jitter = pause.mul_f64(fastrand::f64() / 2.0);
        state.outage = Some(Outage {
            reason: error.to_string(),
            pause,
            next_try: Instant::now() + pause + jitter,
        });
        drop(state);
        self.began.notify_one();
    }

    /// How long to wait before the next attempt to connect.
    pub(super) fn pause(&self) -> Duration {
        let state = self.state();
        let next_try = state.outage.as_ref().map(|outage| outage.next_try);
        next_try.map_or(Duration::ZERO, |at| {
            at.saturating_duration_since(Instant::now())
        })
    }

    /// Completes when an outage was recorded that no caller has seen.
    pub(super) async fn outage_began(&self) {
        self.began.notified().await;
    }

    /// The ports of the URL.
    pub(super) fn ports(&self) -> &[u16] {
        self.config.get_ports()
    }

    /// Why the database cannot be reached, if so.
    pub(super) fn outage(&self) -> Option<String> {
        let state = self.state();
        state.outage.as_ref().map(|outage| outage.reason.clone())
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The password in the text of a file, which may begin with a byte order mark.
fn without_line_end(text: &str) -> &str {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    text.trim_end_matches(['\r', '\n'])
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// The next attempt is made after a pause.
    #[error("{0}")]
    Pausing(String),
    /// Connecting failed.
    #[error(transparent)]
    Query(#[from] QueryError),
}

impl From<ConnectError> for StoreError {
    fn from(error: ConnectError) -> Self {
        Self::unavailable(error)
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
