//! Checks permissions first: a directory that this user cannot enter looks like an empty one.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::access_error::AccessError;

/// Fails with the owner's name if this user may not read the store.
pub(super) fn permitted(database: &Path) -> Result<(), AccessError> {
    let denied = std::fs::File::open(database)
        .is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
    if !denied {
        return Ok(());
    }
    let owner = database
        .ancestors()
        .find_map(|path| std::fs::metadata(path).ok())
        .map_or(0, |meta| meta.uid());
    Err(AccessError::Denied {
        path: database.display().to_string(),
        user: user(owner),
    })
}

/// The user's name, or `#` and the number, which sudo accepts.
fn user(uid: u32) -> String {
    let known = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = known.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid.to_string()).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("'#{uid}'"))
}
