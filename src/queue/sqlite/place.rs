//! Where the database stands, who may open it, and what remembers that it was there.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::queue::{OpenError, Settings};

/// Where a database stands.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// A file.
    File(PathBuf),
    /// The memory of this process, under a name of its own.
    Memory(String),
}

/// A directory that is ours alone for as long as this value lives.
pub(super) struct Claimed {
    /// The database file.
    pub(super) path: PathBuf,
    /// Whether a queue was kept there before.
    pub(super) marked: bool,
    mark: PathBuf,
    locks: Vec<File>,
}

impl Claimed {
    /// Makes the state directory if it is missing (mode 0700, for it holds addresses), and locks it.
    pub(super) fn new(settings: &Settings, create: bool) -> Result<Self, OpenError> {
        let path = settings.path.clone();
        let mark = with_suffix(&settings.state_dir.join(path.file_name().unwrap_or_default()), "-mark");
        if !create && !path.exists() && !mark.exists() {
            return Err(OpenError::NoQueue { path });
        }
        ensure_directory(&settings.state_dir)?;
        let mut locks = vec![lock(settings.state_dir.join("jobbell.lock"))?];
        let home = parent(&path);
        if home != settings.state_dir {
            ensure_directory(home)?;
            // Two state directories may name the same database.
            locks.push(lock(with_suffix(&path, ".lock"))?);
        }
        let marked = mark.exists();
        let claimed = Self { path, marked, mark, locks };
        claimed.check_file(create)?;
        Ok(claimed)
    }

    /// Refuses to begin anew where a queue was, and makes the file, readable for us alone, where none was.
    fn check_file(&self, create: bool) -> Result<(), OpenError> {
        let found = match fs::metadata(&self.path) {
            Ok(file) if file.is_dir() => return Err(not_writable(&self.path, io::Error::from(ErrorKind::IsADirectory))),
            Ok(file) if file.len() > 0 => return Ok(()),
            Ok(_) => "empty",
            Err(error) if error.kind() == ErrorKind::NotFound => "missing",
            Err(error) => return Err(not_writable(&self.path, error)),
        };
        let wal = with_suffix(&self.path, "-wal");
        let mark = if self.marked { Some(self.mark.clone()) } else { fs::metadata(&wal).is_ok_and(|file| file.len() > 0).then_some(wal) };
        if let Some(mark) = mark {
            return Err(OpenError::Lost { path: self.path.clone(), found, mark });
        }
        if !create {
            return Err(OpenError::NoQueue { path: self.path.clone() });
        }
        let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&self.path);
        made.map(drop).map_err(|error| not_writable(&self.path, error))
    }

    /// What says that the database lost its content although the file is there.
    pub(super) fn lost(&self) -> OpenError {
        OpenError::Lost { path: self.path.clone(), found: "empty", mark: self.mark.clone() }
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
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

fn not_writable(path: &Path, source: io::Error) -> OpenError {
    OpenError::NotWritable { path: path.to_owned(), source }
}

fn ensure_directory(path: &Path) -> Result<(), OpenError> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => return Err(OpenError::NotADirectory { path: path.to_owned() }),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(not_writable(path, error)),
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(OpenError::MissingParent { path: path.to_owned() }),
        Err(error) => Err(not_writable(path, error)),
    }
}

fn lock(path: PathBuf) -> Result<File, OpenError> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(|error| not_writable(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path }),
        Err(TryLockError::Error(error)) => Err(not_writable(&path, error)),
    }
}
