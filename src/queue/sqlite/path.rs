//! Paths of the files beside the database.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{OpenError, space};
use crate::queue::Settings;
use crate::queue::error::NoInodes;

/// The database file of a queue in SQLite.
pub(super) fn database(settings: &Settings) -> &Path {
    settings.location.file().unwrap_or(Path::new(""))
}

/// A file's device and inode.
pub(super) type Identity = (u64, u64);

pub(super) fn identity(path: &Path) -> io::Result<Identity> {
    fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

pub(super) fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

pub(super) fn not_writable(path: &Path, source: io::Error) -> OpenError {
    let source = if space::has_no_inodes(path) {
        io::Error::new(ErrorKind::StorageFull, NoInodes)
    } else {
        source
    };
    OpenError::NotWritable {
        path: path.to_owned(),
        source,
    }
}
