//! Notices that the files of an open database were removed, or replaced by others.
//!
//! SQLite goes on writing into a file that has lost its name, and nobody would ever find what is
//! written there.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::location::{Location, with_suffix};
use crate::queue::StoreError;

/// The device and the number of a file.
type Identity = (u64, u64);

/// A file as it was when the database was opened; none of a database in memory.
#[derive(Debug, Default)]
pub(super) struct Watch(Option<(PathBuf, Identity)>);

impl Watch {
    /// The database at `path`.
    pub(super) fn over(path: &Path) -> io::Result<Self> {
        Ok(Self(Some((path.to_owned(), identity(path)?))))
    }

    /// The log of an open database. A new one is made whenever the last connection has closed and
    /// another one opens.
    pub(super) fn over_log(place: &Location) -> Self {
        let Location::File(path) = place else {
            return Self::default();
        };
        // SQLite puts the log beside the file that a link leads to.
        let log = fs::canonicalize(path).map(|path| with_suffix(&path, "-wal"));
        log.and_then(|log| Self::over(&log)).unwrap_or_default()
    }

    /// Fails while it is not where it was. One look-up of a name.
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
        Err(StoreError::Displaced {
            path: path.clone(),
            found,
        })
    }
}

pub(super) fn identity(path: &Path) -> io::Result<Identity> {
    fs::metadata(path).map(|file| (file.dev(), file.ino()))
}
