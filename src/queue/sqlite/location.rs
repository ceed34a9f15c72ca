//! Where the database stands, who may open it, and what remembers that it was there.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt as _, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::watch::identity;
use crate::queue::{OpenError, Settings, space};

/// The lock of the state directory.
const LOCK: &str = "jobbell.lock";

/// Where a database stands.
#[derive(Debug, Clone)]
pub(super) enum Location {
    /// A file.
    File(PathBuf),
    /// A file that is only to be read.
    Read(PathBuf),
    /// The memory of this process, under a name of its own.
    Memory(String),
}

/// How long the daemon waits for somebody who has opened the store for a moment, as `jobbell queue
/// retry` does.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// The same for the command line.
pub(super) const SHORT_PATIENCE: Duration = Duration::from_millis(500);
/// How often the lock is tried meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// A database that is ours alone for as long as this value lives.
///
/// The lock is on the database file itself (`flock`), so it holds by whatever name and from
/// whichever directory that file is opened. SQLite's own locks are of another kind (`fcntl`) and do
/// not meet it. The state directory has a lock as well, for the other files in it.
pub(super) struct StateDir {
    /// The database file.
    pub(super) path: PathBuf,
    /// Whether a queue was kept there before.
    pub(super) marked: bool,
    mark: PathBuf,
    locks: Vec<File>,
}

impl StateDir {
    /// Makes the state directory if it is missing (mode 0700, for it holds addresses), and locks it
    /// and the database.
    pub(super) fn new(
        settings: &Settings,
        create: bool,
        patience: Duration,
    ) -> Result<Self, OpenError> {
        let (path, mark) = (settings.path.clone(), mark(settings));
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
        // Somebody else may have had it until now.
        let marked = mark.exists();
        is_filled(&path, &mark)?;
        Ok(Self {
            path,
            marked,
            mark,
            locks,
        })
    }

    /// What says that the database lost its content although the file is there.
    pub(super) fn lost(&self) -> OpenError {
        OpenError::Lost {
            path: self.path.clone(),
            found: "empty",
            mark: self.mark.clone(),
        }
    }

    /// Remembers, fsynced, that a queue is kept here.
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

    /// Gives up everything but the locks, which hold until they are dropped.
    pub(super) fn into_locks(self) -> Vec<File> {
        self.locks
    }
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
        io::Error::new(ErrorKind::StorageFull, space::NO_INODES)
    } else {
        source
    };
    OpenError::NotWritable {
        path: path.to_owned(),
        source,
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

/// Makes sure that there is a queue, without making anything.
pub(super) fn look_for(settings: &Settings) -> Result<(), OpenError> {
    let (path, mark) = (&settings.path, mark(settings));
    let is_there = (path.exists() || mark.exists()) && is_filled(path, &mark)?;
    if is_there {
        Ok(())
    } else {
        Err(OpenError::NoQueue { path: path.clone() })
    }
}

/// Whether a daemon has this state directory at the moment. Holds nothing up: the question takes no
/// time.
pub(super) fn is_held(settings: &Settings) -> bool {
    let file = OpenOptions::new()
        .write(true)
        .open(settings.state_dir.join(LOCK));
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// The file that remembers that a queue was kept.
fn mark(settings: &Settings) -> PathBuf {
    beside(settings, "-mark")
}

/// A file in the state directory that is named after the database.
pub(super) fn beside(settings: &Settings, suffix: &str) -> PathBuf {
    with_suffix(
        &settings
            .state_dir
            .join(settings.path.file_name().unwrap_or_default()),
        suffix,
    )
}

/// Whether the database has content; refuses to begin anew where a queue was.
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

fn lock(path: PathBuf, until: Instant) -> Result<File, OpenError> {
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

/// Locks the file that stands under this name, and says so when it has other names as well.
fn lock_database(path: &Path, until: Instant) -> Result<File, OpenError> {
    loop {
        let file = File::open(path).map_err(|error| not_writable(path, error))?;
        if !wait_for(&file, path, until)? {
            // Never closed: should this process have the database open already, closing any other
            // handle of it would take SQLite's locks away.
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
/// name, would begin without what is in it, and mix the two when it is opened by the other name
/// again.
fn log_of_another_name(path: &Path, file: (u64, u64)) -> Option<PathBuf> {
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

/// Tries the lock until it is ours; `false` when somebody still has it then.
fn wait_for(file: &File, path: &Path, until: Instant) -> Result<bool, OpenError> {
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(LOOK),
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(not_writable(path, error)),
        }
    }
}
