//! Diagnosis of a full file system.

use std::path::Path;

use rustix::fs::statvfs;

/// Whether the file system of `path` has free bytes but no free inodes.
///
/// Both cause the same error (`ENOSPC`), and the free bytes alone do not show the cause.
pub(super) fn has_no_inodes(path: &Path) -> bool {
    let at = if path.exists() {
        path
    } else {
        path.parent().unwrap_or(path)
    };
    // A file system without a fixed number of inodes reports zero.
    statvfs(at).is_ok_and(|found| found.f_files > 0 && found.f_favail == 0 && found.f_bavail > 0)
}
