//! Copies a queue to a new file, with or without a running daemon.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::backup::{self, Backup, StepResult};

use super::check::{self, Progress};
use super::path::{parent, with_suffix};
use super::{BackupError, CheckReport};
use crate::queue::Settings;

/// Pages copied by one step.
const PAGES: std::ffi::c_int = 1024;

/// Copies a consistent snapshot of an existing queue to the new file `to`, with or without a running
/// daemon. The copy is checked and on disk before it gets its name. Blocks on the disk.
///
/// The copy holds a read transaction, so writers continue and do not restart it; the WAL grows by
/// their writes.
///
/// # Errors
/// See [`BackupError`]; no copy is left behind.
pub fn backup(settings: &Settings, to: &Path) -> Result<CheckReport, BackupError> {
    backup_showing(settings, to, &mut |_, _| {})
}

/// The same, and says now and then how much of all has been done: pages copied, then events checked.
///
/// # Errors
/// As [`backup`].
pub fn backup_showing(
    settings: &Settings,
    to: &Path,
    progress: &mut Progress<'_>,
) -> Result<CheckReport, BackupError> {
    if to.symlink_metadata().is_ok() {
        return Err(BackupError::Exists {
            path: to.to_owned(),
        });
    }
    let source = check::open_read_only(&check::find(settings)?)?;
    let partial = Partial::new(to)?;
    let refused = |source: rusqlite::Error| BackupError::Copy {
        path: to.to_owned(),
        source: source.into(),
    };
    copy(&source, &partial.0, progress).map_err(refused)?;
    let check = check::check_file(&partial.0, settings, progress)?;
    if let Some(problem) = check.problems.first() {
        return Err(BackupError::Damaged {
            problem: problem.clone(),
        });
    }
    partial.publish(to).map_err(|source| {
        if source.kind() == ErrorKind::AlreadyExists {
            BackupError::Exists {
                path: to.to_owned(),
            }
        } else {
            cannot_write(to, source)
        }
    })?;
    Ok(CheckReport {
        path: to.to_owned(),
        ..check
    })
}

fn cannot_write(path: &Path, source: io::Error) -> BackupError {
    BackupError::NotWritable {
        path: path.to_owned(),
        source,
    }
}

fn copy(source: &Connection, to: &Path, progress: &mut Progress<'_>) -> rusqlite::Result<()> {
    let mut target = Connection::open(to)?;
    // No journal: the file is removed if this fails, and synced as a whole at the end.
    target.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")?;
    source.execute_batch("BEGIN")?;
    source.query_row("SELECT count(*) FROM counts", [], |row| {
        row.get::<_, i64>(0)
    })?;
    {
        let backup = Backup::new(source, &mut target)?;
        while backup.step(PAGES)? != StepResult::Done {
            let backup::Progress {
                remaining,
                pagecount,
            } = backup.progress();
            let pages = |number| u64::try_from(number).unwrap_or_default();
            progress(pages(pagecount - remaining), pages(pagecount));
        }
    }
    source.execute_batch("COMMIT")?;
    drop(target);
    // A single file without a WAL.
    let target = Connection::open(to)?;
    target.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))
}

/// The copy under its temporary name, removed on drop.
struct Partial(PathBuf);

impl Partial {
    fn new(to: &Path) -> Result<Self, BackupError> {
        let path = with_suffix(to, &format!(".partial-{}", std::process::id()));
        // Readable only by its owner: it contains addresses.
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        made.map(|_| Self(path))
            .map_err(|source| cannot_write(to, source))
    }

    /// Renames the copy, unless the destination exists.
    fn publish(&self, to: &Path) -> io::Result<()> {
        File::open(&self.0)?.sync_all()?;
        match fs::hard_link(&self.0, to) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists && !to.exists() => {
                fs::rename(&self.0, to)?;
            }
            linked => linked?,
        }
        File::open(parent(to))?.sync_all()
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After a rename there is no file; other errors leave it behind.
        drop(fs::remove_file(&self.0));
    }
}
