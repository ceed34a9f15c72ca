//! Why a queue in PostgreSQL cannot be moved.

use super::open_error::OpenError;
use super::pool::VerbError;

/// Why a queue in PostgreSQL cannot be moved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MovingError {
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Nodes work on it.
    #[error(
        "nodes work on the database: {0}; stop them first (a node that was killed counts for 30 s)"
    )]
    InUse(String),
    /// A statement failed.
    #[error(transparent)]
    Statement(#[from] crate::queue::StoreError),
    /// A row has an unexpected form.
    #[error("the database has a row that cannot be moved: {0}")]
    Row(#[from] serde_json::Error),
}

impl From<VerbError> for MovingError {
    fn from(error: VerbError) -> Self {
        Self::Statement(error.into())
    }
}

impl From<tokio_postgres::Error> for MovingError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Statement(VerbError::from(error).into())
    }
}
