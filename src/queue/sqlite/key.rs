//! The file with the key that codes and secret links are encrypted by.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::location::{beside, not_writable, parent, with_suffix};
use crate::queue::vault::{KEY_LEN, Vault};
use crate::queue::{OpenError, Settings};

/// Where the key is.
pub(super) fn path(settings: &Settings) -> PathBuf {
    beside(settings, "-key")
}

/// The key in the state directory; a new one where there is none yet.
pub(super) fn ensure(settings: &Settings) -> Result<Vault, OpenError> {
    let path = path(settings);
    let key = match read(&path)? {
        Some(key) => key,
        None => make(&path)?,
    };
    vault(&path, Vault::new(&key))
}

/// The same for somebody who only looks: makes none. Without it what is encrypted stays unread.
pub(super) fn find(settings: &Settings) -> Result<Vault, OpenError> {
    let path = path(settings);
    let key = read(&path).ok().flatten();
    vault(
        &path,
        key.map_or_else(Vault::ephemeral, |key| Vault::new(&key)),
    )
}

/// A key that is gone with the process.
pub(super) fn ephemeral() -> Result<Vault, OpenError> {
    vault(Path::new("memory"), Vault::ephemeral())
}

fn vault(path: &Path, made: Option<Vault>) -> Result<Vault, OpenError> {
    made.ok_or_else(|| OpenError::Key {
        path: path.to_owned(),
        detail: "the system gives no random numbers",
    })
}

fn read(path: &Path) -> Result<Option<[u8; KEY_LEN]>, OpenError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(not_writable(path, error)),
    };
    let key = bytes.try_into().map_err(|_| OpenError::Key {
        path: path.to_owned(),
        detail: "it does not hold 32 bytes",
    })?;
    Ok(Some(key))
}

/// Has its name only when it is whole and on disk.
fn make(path: &Path) -> Result<[u8; KEY_LEN], OpenError> {
    let key = Vault::random_key().ok_or_else(|| OpenError::Key {
        path: path.to_owned(),
        detail: "the system gives no random numbers",
    })?;
    let partial = with_suffix(path, ".partial");
    let written = || -> io::Result<()> {
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&partial)?;
        file.write_all(&key)?;
        file.sync_all()?;
        fs::rename(&partial, path)?;
        File::open(parent(path))?.sync_all()
    };
    written().map_err(|error| not_writable(path, error))?;
    Ok(key)
}
