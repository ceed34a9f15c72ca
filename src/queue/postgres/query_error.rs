//! Why a statement failed, and what follows from it.

use std::time::Duration;

use tokio_postgres::error::SqlState;

/// How long a statement may take. With the wait for a connection, a verb takes at most 10 s.
pub(super) const VERB_TIMEOUT: Duration = Duration::from_secs(8);

/// Why a statement failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum QueryError {
    /// The database refused the statement, or the connection was lost.
    #[error("{}", describe(.0))]
    Database(#[from] tokio_postgres::Error),
    /// There was no answer in time. The connection is dropped and the statement is never cancelled:
    /// a cancel could end the wait for a synchronous standby, and the commit would look done.
    #[error("the database has not answered within {} s", VERB_TIMEOUT.as_secs())]
    TimedOut,
    /// There is no connection, since an outage was seen a moment ago.
    #[error("{0}")]
    NoConnection(String),
    /// The commit is not on the synchronous standby, because somebody ended the wait for it.
    #[error("the commit was not confirmed by the synchronous standby")]
    NotReplicated,
}

/// The message of the server instead of the crate's "db error".
fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(server) => format!("{} ({})", server.message(), server.code().code()),
        None => {
            let source = std::error::Error::source(error).map(ToString::to_string);
            source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
        }
    }
}

impl QueryError {
    /// The code of the server's answer (PostgreSQL manual, appendix A).
    fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Database(error) => error.code(),
            Self::TimedOut | Self::NoConnection(_) | Self::NotReplicated => None,
        }
    }

    /// Whether the database, and not the statement, is to blame: every connection is dropped, and
    /// after a pause new ones are made, possibly to another server.
    ///
    /// Classes 08 (connection), 53 (resources), 57P0x (shutdown, crash, starting), 58 (system) and
    /// 25006 (a demoted primary is read-only).
    pub(super) fn is_outage(&self) -> bool {
        match self {
            Self::TimedOut | Self::NoConnection(_) => true,
            Self::NotReplicated => false,
            Self::Database(error) => error.code().is_none_or(|code| {
                *code == SqlState::READ_ONLY_SQL_TRANSACTION
                    || ["08", "53", "57P", "58", "XX"]
                        .iter()
                        .any(|class| code.code().starts_with(class))
            }),
        }
    }

    /// Whether the statement may have been committed all the same. An error that the server answers
    /// to a statement means that it was rolled back, except while the server shuts down.
    pub(super) fn may_be_committed(&self) -> bool {
        match self {
            Self::TimedOut | Self::NotReplicated => true,
            Self::NoConnection(_) => false,
            Self::Database(error) => error.code().is_none_or(|code| {
                ["08", "57P"]
                    .iter()
                    .any(|class| code.code().starts_with(class))
            }),
        }
    }

    /// Whether the same statement may succeed at once: a deadlock, a serialization failure, or a
    /// unique key that another node has taken since the statement began.
    pub(super) fn is_conflict(&self) -> bool {
        self.code().is_some_and(|code| {
            [
                SqlState::T_R_DEADLOCK_DETECTED,
                SqlState::T_R_SERIALIZATION_FAILURE,
                SqlState::UNIQUE_VIOLATION,
            ]
            .contains(code)
        })
    }

    /// Whether another session holds what the statement needs.
    pub(super) fn is_lock_timeout(&self) -> bool {
        self.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
    }

    /// Whether another node does the same work; raised by our own statements.
    pub(super) fn is_by_another(&self) -> bool {
        self.code().is_some_and(|code| code.code() == "JB001")
    }

    /// Whether only a person can mend it: password, database, rights (classes 28, 3D, 42501).
    pub(super) fn is_permanent(&self) -> bool {
        self.code().is_some_and(|code| {
            *code == SqlState::INSUFFICIENT_PRIVILEGE
                || ["28", "3D"]
                    .iter()
                    .any(|class| code.code().starts_with(class))
        })
    }
}
