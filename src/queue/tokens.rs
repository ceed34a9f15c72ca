//! Refresh tokens of mail servers, which all nodes of a queue share.

use std::time::Duration;

use super::postgres::Store;
use super::{Backend, Queue, StoreError};
use crate::secret::Secret;

/// The refresh tokens that a token server has replaced, by the name of the mail server. Encrypted with
/// the key of the queue.
#[derive(Debug, Clone)]
pub struct RefreshTokens(Queue);

impl Queue {
    /// The shared refresh tokens. `None` if one machine has the queue: its tokens are in files.
    pub fn refresh_tokens(&self) -> Option<RefreshTokens> {
        match &*self.0 {
            Backend::Sqlite(_) => None,
            Backend::Postgres(..) => Some(RefreshTokens(self.clone())),
        }
    }
}

impl RefreshTokens {
    fn store(&self) -> Result<&Store, StoreError> {
        match &*self.0.0 {
            Backend::Postgres(store, _) => Ok(store),
            Backend::Sqlite(_) => Err(StoreError::Closed),
        }
    }

    /// The token of a mail server, if it was derived from the configured one with this digest.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn load(&self, server: &str, origin: &str) -> Result<Option<Secret>, StoreError> {
        self.store()?.load_token(server, origin).await
    }

    /// Stores the token of a mail server.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn save(&self, server: &str, origin: &str, token: &Secret) -> Result<(), StoreError> {
        self.store()?.save_token(server, origin, token).await
    }

    /// Reserves the next use of a mail server's token for the caller, for a time. `false` if another
    /// has reserved it.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub async fn reserve(&self, server: &str, time: Duration) -> Result<bool, StoreError> {
        self.store()?.reserve_token(server, time).await
    }

    /// Ends a reservation.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub async fn release(&self, server: &str) -> Result<(), StoreError> {
        self.store()?.release_token(server).await
    }
}
