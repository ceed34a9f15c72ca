//! Storage of the refresh token that replaces the configured one.

use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::file::{TokenFile, origin};
use super::store_error::StoreError;
use crate::domain::Timestamp;
use crate::secret::Secret;

/// The pause before a renewal is asked for again that another node is doing.
const PAUSE: Duration = Duration::from_millis(200);

/// What an operation on shared tokens returns.
pub type TokenFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Refresh tokens that nodes share. `origin` is a digest of the configured token from which the stored
/// one was derived; empty if none was configured.
pub trait SharedTokens: fmt::Debug + Send + Sync {
    /// The token of a mail server, if it has this origin.
    fn load<'a>(&'a self, server: &'a str, origin: &'a str) -> TokenFuture<'a, Option<Secret>>;

    /// Stores the token of a mail server. It is durable when this returns.
    fn save<'a>(
        &'a self,
        server: &'a str,
        origin: &'a str,
        token: &'a Secret,
    ) -> TokenFuture<'a, ()>;

    /// Reserves the next renewal for this node, for a time. `false` if another node has it.
    fn reserve<'a>(&'a self, server: &'a str, time: Duration) -> TokenFuture<'a, bool>;

    /// Ends a reservation.
    fn release<'a>(&'a self, server: &'a str) -> TokenFuture<'a, ()>;
}

/// Where the tokens of all mail servers are stored.
#[derive(Debug, Clone)]
pub enum TokenHome {
    /// In files in `queue.state_dir`.
    Directory(PathBuf),
    /// In the database of the queue.
    Shared(Arc<dyn SharedTokens>),
}

/// The stored token of one mail server.
///
/// It is used only while the configured token is the one that it was derived from, so that a new token
/// in the configuration takes effect.
#[derive(Debug, Clone)]
pub struct TokenStore {
    server: String,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    File(TokenFile),
    Shared(Arc<dyn SharedTokens>),
}

impl TokenStore {
    /// The file of a mail server in `state_dir`: mode 0600, replaced atomically and fsynced.
    pub fn new(state_dir: &Path, server: &str) -> Self {
        Self {
            server: server.to_owned(),
            place: Place::File(TokenFile::new(state_dir, server)),
        }
    }

    /// The token of a mail server at home.
    pub fn at(home: &TokenHome, server: &str) -> Self {
        match home {
            TokenHome::Directory(state_dir) => Self::new(state_dir, server),
            TokenHome::Shared(shared) => Self {
                server: server.to_owned(),
                place: Place::Shared(Arc::clone(shared)),
            },
        }
    }

    /// The file; `None` if it is in the database.
    pub fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::File(file) => Some(file.path()),
            Place::Shared(_) => None,
        }
    }

    /// The stored token, if there is one that was derived from `configured`.
    ///
    /// # Errors
    /// If the file or the database cannot be read, or the file is not a stored token.
    pub async fn load(&self, configured: Option<&Secret>) -> Result<Option<Secret>, StoreError> {
        match &self.place {
            Place::File(file) => file.load(configured).await,
            Place::Shared(shared) => shared.load(&self.server, &origin(configured)).await,
        }
    }

    /// Stores a token that was derived from `configured`. It is durable when this returns.
    ///
    /// # Errors
    /// If it cannot be written. The earlier one is then unchanged.
    pub async fn save(
        &self,
        configured: Option<&Secret>,
        token: &Secret,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        match &self.place {
            Place::File(file) => file.save(configured, token, now).await,
            Place::Shared(shared) => shared.save(&self.server, &origin(configured), token).await,
        }
    }

    /// Whether nodes share it: without the database, nobody knows which token is the newest.
    pub(super) const fn is_shared(&self) -> bool {
        matches!(self.place, Place::Shared(_))
    }

    /// Waits until no other node renews its token with the refresh token, at most for `limit`: a token
    /// server may take the second use of a refresh token for theft.
    pub(super) async fn reserve(&self, limit: Duration) -> Result<(), StoreError> {
        let Place::Shared(shared) = &self.place else {
            return Ok(());
        };
        let reserved = async {
            while !shared.reserve(&self.server, limit).await? {
                tokio::time::sleep(PAUSE).await;
            }
            Ok(())
        };
        // The other node's reservation is over by then.
        tokio::time::timeout(limit * 2, reserved)
            .await
            .unwrap_or(Ok(()))
    }

    /// Lets other nodes renew their tokens. If this fails, they wait for the end of the reservation.
    pub(super) async fn release(&self) {
        if let Place::Shared(shared) = &self.place
            && let Err(error) = shared.release(&self.server).await
        {
            tracing::debug!("other nodes wait to renew their tokens: {error}");
        }
    }
}
