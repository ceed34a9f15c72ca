//! Why a queue was not moved.

use crate::queue::StoreError;
use crate::queue::postgres::MovingError;
use crate::queue::sqlite;

/// Why a queue was not moved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MoveError {
    /// Both are the same kind of store.
    #[error(
        "a queue is moved from SQLite to PostgreSQL or back; to copy a file, use `jobbell queue backup`, and pg_dump for a database"
    )]
    SameKind,
    /// The queue in a file cannot be opened: a daemon uses it, for example.
    #[error(transparent)]
    File(#[from] sqlite::OpenError),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] MovingError),
    /// A statement on the file failed.
    #[error(transparent)]
    Statement(#[from] StoreError),
    /// The target has other deliveries.
    #[error("the target has deliveries that the source does not have; give an empty one")]
    OtherDeliveries,
    /// Both sides differ after the copy.
    #[error("the copy differs from the source: {0}; it is not used. Please report this")]
    Different(String),
}

impl From<rusqlite::Error> for MoveError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Statement(StoreError::failed("move the queue", error))
    }
}

impl MoveError {
    /// Whether the configuration or the database server must be changed first.
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Database(MovingError::Open(error)) if error.is_configuration())
    }
}
