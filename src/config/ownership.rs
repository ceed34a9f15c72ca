//! Checks that a file in the working directory was written by this user or root.
//!
//! Otherwise, another user who can write or replace the file would choose which files the program
//! reads and where it sends their content (CWE-426).

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::process::{getegid, geteuid};

use super::message::{Message, message};

/// Maximum number of symbolic links to follow.
const MAX_LINKS: usize = 8;
/// Mode bits: group and others may write; only owners may move and remove entries.
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Why a path is not used.
#[derive(Debug)]
pub(super) enum Fault {
    /// The file does not exist.
    Missing,
    /// Another user could control the file. The message follows the file's name.
    Untrusted(Message),
}

/// Checks a file, every symbolic link on the way to it, and the directories that contain them.
pub(super) fn check_path(path: &Path) -> Result<(), Fault> {
    let mut path = std::path::absolute(path).map_err(|error| fault(&error))?;
    for _ in 0..MAX_LINKS {
        let directory = path.parent().unwrap_or(Path::new("/"));
        let meta = std::fs::symlink_metadata(&path).map_err(|error| fault(&error))?;
        let directory = directory.canonicalize().map_err(|error| fault(&error))?;
        if !meta.is_symlink() {
            check_file(&meta).map_err(Fault::Untrusted)?;
            return check_directories(&directory);
        }
        check_owner(&meta).map_err(|why| {
            Fault::Untrusted(why.after("is a symbolic link and ", "是符号链接，"))
        })?;
        check_directories(&directory)?;
        path = directory.join(std::fs::read_link(&path).map_err(|error| fault(&error))?);
    }
    Err(Fault::Untrusted(
        ["has too many symbolic links", "经过的符号链接过多"].into(),
    ))
}

/// Checks the file itself, by the metadata of its open handle.
pub(super) fn check_file(meta: &Metadata) -> Result<(), Message> {
    check_owner(meta)?;
    if meta.mode() & OTHERS_WRITE != 0 {
        return Err(["can be written by all users", "所有用户都可写入"].into());
    }
    if group_writes(meta) {
        return Err(message!(
            "can be written by the group {0}, which is not your own",
            "组 {0}（不是您的组）可写入",
            meta.gid()
        ));
    }
    if meta.is_file() {
        Ok(())
    } else {
        Err(["is not a regular file", "不是普通文件"].into())
    }
}

/// Checks every directory up to the root, because users who can rename entries of one can replace the
/// file. In a sticky directory, such as /tmp, only the owner of an entry can.
fn check_directories(directory: &Path) -> Result<(), Fault> {
    for directory in directory.ancestors() {
        let meta = std::fs::metadata(directory).map_err(|error| fault(&error))?;
        let shown = directory.display();
        let untrusted = |why: Message| {
            let (en, zh) = (
                format!("is in {shown}, which "),
                format!("所在目录 {shown} "),
            );
            Err(Fault::Untrusted(why.after(&en, &zh)))
        };
        if let Err(why) = check_owner(&meta) {
            return untrusted(why);
        }
        if meta.mode() & STICKY != 0 {
            continue;
        }
        if meta.mode() & OTHERS_WRITE != 0 {
            return untrusted(["all users can write to", "所有用户都可写入"].into());
        }
        if group_writes(&meta) {
            return untrusted(message!(
                "the group {0} can write to",
                "组 {0} 可写入",
                meta.gid()
            ));
        }
    }
    Ok(())
}

fn check_owner(meta: &Metadata) -> Result<(), Message> {
    if [0, geteuid().as_raw()].contains(&meta.uid()) {
        Ok(())
    } else {
        Err(message!(
            "belongs to the user {0}, neither to you nor to root",
            "属于用户 {0}，既不是您也不是 root",
            meta.uid()
        ))
    }
}

/// Whether other members of a group may write. The user's own primary group is trusted (with umask
/// 002, all of the user's files are group-writable), as is root's.
fn group_writes(meta: &Metadata) -> bool {
    meta.mode() & GROUP_WRITES != 0 && ![0, getegid().as_raw()].contains(&meta.gid())
}

fn fault(error: &std::io::Error) -> Fault {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Fault::Missing,
        kind => Fault::Untrusted(message!("cannot be checked: {kind}", "无法检查：{kind}")),
    }
}

/// Whether all users may write to a file, or add entries to a directory.
pub(super) fn others_may_write(meta: &Metadata) -> bool {
    meta.mode() & OTHERS_WRITE != 0
}

/// The nearest existing directory, from this one upwards.
pub(super) fn existing(directory: &Path) -> Option<(PathBuf, Metadata)> {
    directory.ancestors().find_map(|directory| {
        let directory = if directory.as_os_str().is_empty() {
            Path::new(".")
        } else {
            directory
        };
        std::fs::metadata(directory)
            .ok()
            .map(|meta| (directory.to_owned(), meta))
    })
}
