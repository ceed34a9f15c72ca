//! Why a file system takes nothing more.

use std::path::Path;

use rustix::fs::statvfs;

/// Whether the file system of `path` has room for bytes but none for another file.
///
/// Both are the same error (`ENOSPC`), and whoever looks at the free bytes alone does not find the
/// cause.
pub(super) fn has_no_inodes(path: &Path) -> bool {
    let at = if path.exists() {
        path
    } else {
        path.parent().unwrap_or(path)
    };
    // A file system without a fixed number of files says that it has none at all.
    statvfs(at).is_ok_and(|found| found.f_files > 0 && found.f_favail == 0 && found.f_bavail > 0)
}

/// What is said then.
pub(super) const NO_INODES: &str = "the file system has free bytes but no free inodes: remove files from it, or make it with more inodes";
