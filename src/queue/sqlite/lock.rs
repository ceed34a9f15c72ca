//! Locks on the state directory and on the database file.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::OpenError;
use super::path::{Identity, identity, not_writable, parent, with_suffix};

/// The pause between two attempts to lock.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

pub(super) fn lock(path: PathBuf, until: Instant) -> Result<File, OpenError> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| not_writable(&path, error))?;
    if wait_for(&file, &path, until)? {
        Ok(file)
    } else {
        Err(OpenError::Locked { path })
    }
}

/// Locks the database file, and warns if it has other names.
pub(super) fn lock_database(path: &Path, until: Instant) -> Result<File, OpenError> {
    loop {
        let file = File::open(path).map_err(|error| not_writable(path, error))?;
        if !wait_for(&file, path, until)? {
            // Never closed: if this process has the database open already, closing another
            // descriptor would release SQLite's locks.
            std::mem::forget(file);
            return Err(OpenError::Locked {
                path: path.to_owned(),
            });
        }
        let found = file.metadata().map_err(|error| not_writable(path, error))?;
        if identity(path).is_ok_and(|named| named == (found.dev(), found.ino())) {
            if found.nlink() > 1 {
                if let Some(log) = log_of_another_name(path, (found.dev(), found.ino())) {
                    return Err(OpenError::OtherLog {
                        path: path.to_owned(),
                        log,
                    });
                }
                tracing::warn!(
                    "the database {} has {} names (hard links); its log is found by one of them only, so use the same name always",
                    path.display(),
                    found.nlink()
                );
            }
            return Ok(file);
        }
    }
}

/// The log beside another name of the file in the same directory. `SQLite` does not find it by this
/// name: it would start without its commits and corrupt the database when it is opened by the other
/// name again.
fn log_of_another_name(path: &Path, file: Identity) -> Option<PathBuf> {
    // The log is beside the file that a symbolic link leads to.
    let own = fs::canonicalize(path).ok()?;
    let names = fs::read_dir(parent(&own)).ok()?.flatten();
    names
        .map(|entry| entry.path())
        .filter(|name| {
            *name != own
                && name.symlink_metadata().is_ok_and(|found| found.is_file())
                && identity(name).is_ok_and(|found| found == file)
        })
        .map(|name| with_suffix(&name, "-wal"))
        .find(|log| fs::metadata(log).is_ok_and(|found| found.len() > 0))
}

/// Tries to lock until `until`; returns `false` if another process still has the lock.
fn wait_for(file: &File, path: &Path, until: Instant) -> Result<bool, OpenError> {
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::sleep(LOCK_PAUSE);
            }
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(not_writable(path, error)),
        }
    }
}
