//! Whether a file that was found in the working directory may be believed: only what this user or
//! root has written.
//!
//! Whoever can write the file, or put another in its place, would otherwise choose which files we
//! read and where we send them (CWE-426).

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::process::{getegid, geteuid};

/// The most symbolic links that are followed.
const MAX_LINKS: usize = 8;
/// Mode bits: group and others may write; entries may be moved and removed by their owner only.
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Why a path is not used.
#[derive(Debug)]
pub(super) enum Fault {
    /// There is nothing.
    Missing,
    /// Somebody else has a hand in it; the words follow "it".
    Untrusted(String),
}

/// Follows the path link by link: each link, each file behind it and each folder above must be out
/// of the reach of other users.
pub(super) fn check_path(path: &Path) -> Result<(), Fault> {
    let mut path = std::path::absolute(path).map_err(|error| fault(&error))?;
    for _ in 0..MAX_LINKS {
        let folder = path.parent().unwrap_or(Path::new("/"));
        let meta = std::fs::symlink_metadata(&path).map_err(|error| fault(&error))?;
        let folder = folder.canonicalize().map_err(|error| fault(&error))?;
        if !meta.is_symlink() {
            check_file(&meta).map_err(Fault::Untrusted)?;
            return check_folders(&folder);
        }
        check_owner(&meta, "is a symbolic link that belongs").map_err(Fault::Untrusted)?;
        check_folders(&folder)?;
        path = folder.join(std::fs::read_link(&path).map_err(|error| fault(&error))?);
    }
    Err(Fault::Untrusted(
        "is a chain of too many symbolic links".to_owned(),
    ))
}

/// The file itself, by its open handle.
pub(super) fn check_file(meta: &Metadata) -> Result<(), String> {
    check_owner(meta, "belongs")?;
    if meta.mode() & OTHERS_WRITE != 0 {
        return Err("can be written by every user of this machine".to_owned());
    }
    if group_writes(meta) {
        return Err(format!(
            "can be written by the group {}, which is not your own",
            meta.gid()
        ));
    }
    if meta.is_file() {
        Ok(())
    } else {
        Err("is not a regular file".to_owned())
    }
}

/// Every folder up to the root: whoever may rename entries of one can put another file in the place
/// of ours. In a sticky folder, as /tmp, only the owner of an entry can.
fn check_folders(folder: &Path) -> Result<(), Fault> {
    for folder in folder.ancestors() {
        let meta = std::fs::metadata(folder).map_err(|error| fault(&error))?;
        let why = |why: &str| {
            Err(Fault::Untrusted(format!(
                "lies in {}, which {why}",
                folder.display()
            )))
        };
        if check_owner(&meta, "").is_err() {
            return why(&format!(
                "belongs to the user {}, neither to you nor to root",
                meta.uid()
            ));
        }
        if meta.mode() & STICKY != 0 {
            continue;
        }
        if meta.mode() & OTHERS_WRITE != 0 {
            return why("every user of this machine can write to");
        }
        if group_writes(&meta) {
            return why(&format!("the group {} can write to", meta.gid()));
        }
    }
    Ok(())
}

fn check_owner(meta: &Metadata, what: &str) -> Result<(), String> {
    let mine = [0, geteuid().as_raw()].contains(&meta.uid());
    if mine {
        Ok(())
    } else {
        Err(format!(
            "{what} to the user {}, neither to you nor to root",
            meta.uid()
        ))
    }
}

/// Group-writable counts as shared, except for the user's own primary group (with umask 002 that is
/// how everybody's files look) and root's.
fn group_writes(meta: &Metadata) -> bool {
    meta.mode() & GROUP_WRITES != 0 && ![0, getegid().as_raw()].contains(&meta.gid())
}

fn fault(error: &std::io::Error) -> Fault {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Fault::Missing,
        kind => Fault::Untrusted(format!("cannot be checked ({kind})")),
    }
}

/// Whether every user of this machine may write there; of a sticky folder, whether they may add
/// entries.
pub(super) fn others_may_write(meta: &Metadata) -> bool {
    meta.mode() & OTHERS_WRITE != 0
}

/// The nearest folder that exists, from this one upwards.
pub(super) fn existing(folder: &Path) -> Option<(PathBuf, Metadata)> {
    folder.ancestors().find_map(|folder| {
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        std::fs::metadata(folder)
            .ok()
            .map(|meta| (folder.to_owned(), meta))
    })
}
