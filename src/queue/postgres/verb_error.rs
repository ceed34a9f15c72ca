//! Why a verb failed, and what follows from it.

use super::query_error::QueryError;
use crate::queue::StoreError;

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum VerbError {
    /// There is no connection.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The statement failed.
    #[error(transparent)]
    Query(#[from] QueryError),
}

impl VerbError {
    /// Whether the same statement may succeed at once.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Query(error) if error.is_conflict())
    }

    /// Whether the statement may have been committed all the same.
    pub(super) fn may_be_committed(&self) -> bool {
        matches!(self, Self::Query(error) if error.may_be_committed())
    }
}

impl From<VerbError> for StoreError {
    fn from(error: VerbError) -> Self {
        match error {
            VerbError::Store(error) => error,
            VerbError::Query(error) => error.into(),
        }
    }
}

impl From<tokio_postgres::Error> for VerbError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Query(error.into())
    }
}

impl From<QueryError> for StoreError {
    fn from(error: QueryError) -> Self {
        if error.is_outage() {
            Self::unavailable(error)
        } else {
            Self::failed("run a statement", error)
        }
    }
}
