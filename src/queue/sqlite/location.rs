//! The files of a queue: the database, its locks, and the marker file that records its existence.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::OpenError;
use super::lock::{lock, lock_database};
use super::path::{database, not_writable, parent, with_suffix};
use crate::queue::Settings;

/// The lock of the state directory.
const LOCK: &str = "jobbell.lock";

/// How long the daemon waits for a short command such as `jobbell queue retry`.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// The same for the command line.
pub(super) const SHORT_PATIENCE: Duration = Duration::from_millis(500);

/// The exclusive access to a database, for as long as this value lives.
///
/// The lock is on the database file itself (`flock`), so it holds for every name and directory
/// through which the file is opened. It does not interfere with the locks of SQLite (`fcntl`). The
/// state directory has a lock as well, for its other files.
pub(super) struct StateDir {
    /// The database file.
    pub(super) path: PathBuf,
    /// Whether the marker file was there.
    pub(super) marked: bool,
    mark: PathBuf,
    locks: Vec<File>,
}

impl StateDir {
    /// Creates the state directory if it is missing (mode 0700, since it contains addresses), and
    /// locks it and the database.
    pub(super) fn new(
        settings: &Settings,
        create: bool,
        patience: Duration,
    ) -> Result<Self, OpenError> {
        let (path, mark) = (database(settings).to_owned(), mark(settings));
        if !create {
            look_for(settings)?;
        }
        ensure_directory(&settings.state_dir)?;
        let until = Instant::now() + patience;
        let mut locks = vec![lock(settings.state_dir.join(LOCK), until)?];
        let home = parent(&path);
        if home != settings.state_dir {
            ensure_directory(home)?;
        }
        if !is_filled(&path, &mark)? {
            if !create {
                return Err(OpenError::NoQueue { path });
            }
            let made = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path);
            made.map(drop).map_err(|error| not_writable(&path, error))?;
        }
        locks.push(lock_database(&path, until)?);
        // Another process may have changed it until now.
        let marked = mark.exists();
        is_filled(&path, &mark)?;
        Ok(Self {
            path,
            marked,
            mark,
            locks,
        })
    }

    /// The error for a database that exists but lost its content.
    pub(super) fn lost(&self) -> OpenError {
        OpenError::Lost {
            path: self.path.clone(),
            found: "empty",
            mark: self.mark.clone(),
        }
    }

    /// Writes and fsyncs the marker file.
    pub(super) fn remember(&mut self) -> Result<(), OpenError> {
        if self.marked {
            return Ok(());
        }
        let directory = parent(&self.mark);
        let written = File::create(&self.mark)
            .and_then(|mut file| {
                writeln!(file, "A jobbell queue is kept in {}.", self.path.display())?;
                file.sync_all()
            })
            .and_then(|()| File::open(directory)?.sync_all())
            .and_then(|()| File::open(parent(&self.path))?.sync_all());
        written.map_err(|error| not_writable(&self.mark, error))?;
        self.marked = true;
        Ok(())
    }

    /// Returns the locks, which hold until they are dropped.
    pub(super) fn into_locks(self) -> Vec<File> {
        self.locks
    }
}

fn ensure_directory(path: &Path) -> Result<(), OpenError> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => {
            return Err(OpenError::NotADirectory {
                path: path.to_owned(),
            });
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(not_writable(path, error)),
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(OpenError::MissingParent {
            path: path.to_owned(),
        }),
        Err(error) => Err(not_writable(path, error)),
    }
}

/// Fails if there is no queue. Creates nothing.
pub(super) fn look_for(settings: &Settings) -> Result<(), OpenError> {
    let (path, mark) = (database(settings), mark(settings));
    let is_there = (path.exists() || mark.exists()) && is_filled(path, &mark)?;
    if is_there {
        Ok(())
    } else {
        Err(OpenError::NoQueue {
            path: path.to_owned(),
        })
    }
}

/// Locks the state directory for a queue in another database; creates it if it is missing.
///
/// # Errors
/// When another process has locked it, or it cannot be written.
#[cfg(feature = "postgres")]
pub(in crate::queue) fn lock_state_dir(settings: &Settings) -> Result<File, OpenError> {
    ensure_directory(&settings.state_dir)?;
    lock(settings.state_dir.join(LOCK), Instant::now() + PATIENCE)
}

/// Whether a daemon has locked this state directory. Does not wait.
pub(super) fn is_held(settings: &Settings) -> bool {
    let file = OpenOptions::new()
        .write(true)
        .open(settings.state_dir.join(LOCK));
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// The marker file.
fn mark(settings: &Settings) -> PathBuf {
    beside(settings, "-mark")
}

/// A file in the state directory that is named after the database.
pub(super) fn beside(settings: &Settings, suffix: &str) -> PathBuf {
    with_suffix(
        &settings
            .state_dir
            .join(database(settings).file_name().unwrap_or_default()),
        suffix,
    )
}

/// Whether the database has content. Fails if it lost its content.
fn is_filled(path: &Path, mark: &Path) -> Result<bool, OpenError> {
    let found = match fs::metadata(path) {
        Ok(file) if file.is_dir() => {
            return Err(not_writable(path, io::Error::from(ErrorKind::IsADirectory)));
        }
        Ok(file) if file.len() > 0 => return Ok(true),
        Ok(_) => "empty",
        Err(error) if error.kind() == ErrorKind::NotFound => "missing",
        Err(error) => return Err(not_writable(path, error)),
    };
    let wal = with_suffix(path, "-wal");
    let has_log = || fs::metadata(&wal).is_ok_and(|file| file.len() > 0);
    let witness = if mark.exists() {
        Some(mark.to_owned())
    } else {
        has_log().then(|| wal.clone())
    };
    witness.map_or(Ok(false), |mark| {
        Err(OpenError::Lost {
            path: path.to_owned(),
            found,
            mark,
        })
    })
}
