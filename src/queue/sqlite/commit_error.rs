//! Why a transaction failed: because of a request, or because of the disk.

use rusqlite::ErrorCode;

use super::connect::Database;
use super::space;
use crate::queue::StoreError;
use crate::queue::error::NoInodes;

/// Why a transaction failed.
pub(super) struct CommitError {
    pub(super) error: StoreError,
    /// Whether one request caused it, so that the others may succeed alone.
    pub(super) is_request_fault: bool,
}

impl CommitError {
    pub(super) const fn disk(error: StoreError) -> Self {
        Self {
            error,
            is_request_fault: false,
        }
    }

    pub(super) fn of(error: rusqlite::Error, database: &Database) -> Self {
        let is_request_fault = is_request_fault(&error);
        let is_space = matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DiskFull | ErrorCode::CannotOpen | ErrorCode::SystemIoFailure)
        );
        let error = match database {
            Database::File(path) if is_space && space::has_no_inodes(path) => {
                StoreError::failed("write", NoInodes)
            }
            _ => StoreError::failed("write", error),
        };
        Self {
            error,
            is_request_fault,
        }
    }
}

/// Whether the error is a request's fault, not the disk's.
fn is_request_fault(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(code) => matches!(
            code,
            ErrorCode::ConstraintViolation
                | ErrorCode::TooBig
                | ErrorCode::TypeMismatch
                | ErrorCode::ParameterOutOfRange
        ),
        None => true,
    }
}

/// Whether the handle cannot be trusted after this error. It can if the disk was full or another
/// process held the lock too long: SQLite has rolled back cleanly then.
pub(super) fn leaves_doubt(error: &rusqlite::Error) -> bool {
    !is_request_fault(error)
        && !matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
        )
}
