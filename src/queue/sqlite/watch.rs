//! Detects that the files of an open database were removed or replaced.
//!
//! SQLite continues to write to a file that has lost its name, and those writes would be lost.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::connect::Database;
use super::path::{Identity, identity, with_suffix};
use crate::queue::StoreError;

/// The database file or its WAL was moved or replaced while the queue was open.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "{path} was {found} while the store was open; put it back, or restart the daemon when the right file is in its place"
)]
struct Displaced {
    path: PathBuf,
    /// `removed`, `replaced by another file` or `put out of reach`.
    found: &'static str,
}

/// The identity of a file when the database was opened; `None` for a database in memory.
#[derive(Debug, Default)]
pub(super) struct Watch(Option<(PathBuf, Identity)>);

impl Watch {
    /// The database at `path`.
    pub(super) fn over(path: &Path) -> io::Result<Self> {
        Ok(Self(Some((path.to_owned(), identity(path)?))))
    }

    /// The WAL of an open database. It is recreated when a connection opens after the last one has
    /// closed.
    pub(super) fn over_wal(database: &Database) -> Self {
        let Database::File(path) = database else {
            return Self::default();
        };
        // SQLite puts the WAL beside the target of a symbolic link.
        let log = fs::canonicalize(path).map(|path| with_suffix(&path, "-wal"));
        log.and_then(|log| Self::over(&log)).unwrap_or_default()
    }

    /// Fails while the file is not in its place. Costs one `stat`.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let Some((path, known)) = &self.0 else {
            return Ok(());
        };
        let found = match identity(path) {
            Ok(found) if found == *known => return Ok(()),
            Ok(_) => "replaced by another file",
            Err(error) if error.kind() == io::ErrorKind::NotFound => "removed",
            Err(_) => "put out of reach",
        };
        Err(StoreError::Displaced(Arc::new(Displaced {
            path: path.clone(),
            found,
        })))
    }
}
