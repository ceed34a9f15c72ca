//! Why this node does not work.

use super::open_error::OpenError;
use super::query_error::QueryError;
use crate::queue::sqlite;

/// Why a node cannot register or beat.
#[derive(Debug)]
pub(super) enum Failure {
    /// A statement failed.
    Query(QueryError),
    /// The database is not usable.
    Open(OpenError),
    /// Another node has the name.
    NameTaken(String),
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        Self::Query(error)
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Query(error.into())
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

impl From<sqlite::OpenError> for Failure {
    fn from(error: sqlite::OpenError) -> Self {
        Self::Open(error.into())
    }
}
