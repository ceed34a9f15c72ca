//! Opens a queue.

#[cfg(feature = "postgres")]
use std::sync::Arc;

use tokio::task::JoinError;

#[cfg(feature = "postgres")]
use super::limits;
#[cfg(feature = "postgres")]
use super::postgres;
use super::sqlite::{self, Store};
#[cfg(feature = "postgres")]
use super::{Backend, Location, PostgresSettings};
use super::{Queue, Settings};
use crate::clock::Clock;

/// Why the queue cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The SQLite database cannot be opened.
    #[error(transparent)]
    Sqlite(#[from] sqlite::OpenError),
    /// The PostgreSQL database cannot be used.
    #[cfg(feature = "postgres")]
    #[error(transparent)]
    Postgres(#[from] postgres::OpenError),
    /// The task that was opening the queue panicked or was cancelled.
    #[error("cannot open the queue: {0}")]
    Interrupted(#[from] JoinError),
}

impl OpenError {
    /// Whether the configuration or the database server must be changed first: to try again is of no
    /// use.
    pub fn is_configuration(&self) -> bool {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(error) => error.is_configuration(),
            Self::Sqlite(_) | Self::Interrupted(_) => false,
        }
    }
}

impl Queue {
    /// Opens the queue for the daemon, creates directory and database if they never existed, and
    /// recovers all leases: their holder is dead, since this process has the lock. A server may
    /// have accepted such a mail, so it is due after [`Settings::recovery_delay`], and its attempt
    /// is recorded as uncertain.
    ///
    /// `clock` continues the store time of the database; it must not serve another queue.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(settings: &Settings, clock: &Clock) -> Result<Self, OpenError> {
        #[cfg(feature = "postgres")]
        if let Location::Postgres(postgres) = &settings.location {
            let pace = postgres::Pace::default();
            let store = postgres::Store::open(settings, postgres, clock, pace).await?;
            let limits = limits::SharedLimits::new(&store);
            return Ok(Self(Arc::new(Backend::Postgres(store, limits))));
        }
        let clock = clock.clone();
        blocking(settings, move |settings| sqlite::open(settings, &clock)).await
    }

    /// Opens an existing queue for a single command, to change it. Recovers no leases. A queue in
    /// SQLite is locked, so no daemon may run, and is not created. In PostgreSQL, nodes may work on it,
    /// and its tables are created.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open_existing(settings: &Settings) -> Result<Self, OpenError> {
        #[cfg(feature = "postgres")]
        if let Location::Postgres(postgres) = &settings.location {
            return Self::open_for_command(settings, postgres, true).await;
        }
        blocking(settings, sqlite::open_existing).await
    }

    /// Opens an existing queue read-only, with or without a running daemon. Writing verbs fail with
    /// [`StoreError::Closed`].
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open_to_read(settings: &Settings) -> Result<Self, OpenError> {
        #[cfg(feature = "postgres")]
        if let Location::Postgres(postgres) = &settings.location {
            return Self::open_for_command(settings, postgres, false).await;
        }
        blocking(settings, sqlite::open_to_read).await
    }

    #[cfg(feature = "postgres")]
    async fn open_for_command(
        settings: &Settings,
        postgres: &PostgresSettings,
        changes: bool,
    ) -> Result<Self, OpenError> {
        let store = postgres::Store::open_for_command(settings, postgres, changes).await?;
        let limits = limits::SharedLimits::new(&store);
        Ok(Self(Arc::new(Backend::Postgres(store, limits))))
    }

    /// A queue in memory, with the same code and SQL. It is dropped with its last clone.
    ///
    /// # Errors
    /// When memory or a thread cannot be allocated.
    pub fn in_memory(max_pending: u64, clock: &Clock) -> Result<Self, OpenError> {
        Ok(Self::of(Store::in_memory(max_pending, clock)?))
    }
}

/// Opens a queue on a thread that may block.
async fn blocking(
    settings: &Settings,
    open: impl FnOnce(&Settings) -> Result<Queue, sqlite::OpenError> + Send + 'static,
) -> Result<Queue, OpenError> {
    let settings = settings.clone();
    Ok(tokio::task::spawn_blocking(move || open(&settings)).await??)
}
