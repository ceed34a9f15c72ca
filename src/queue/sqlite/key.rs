//! The key file for codes and secret links.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::OpenError;
use super::location::beside;
use super::path::{not_writable, parent, with_suffix};
use crate::queue::Settings;
use crate::queue::vault::{KEY_LEN, Vault};

/// Where the key is.
pub(super) fn path(settings: &Settings) -> PathBuf {
    beside(settings, "-key")
}

/// Reads the key from the state directory, or creates it.
pub(super) fn ensure(settings: &Settings) -> Result<Vault, OpenError> {
    let path = path(settings);
    let key = match read(&path)? {
        Some(key) => key,
        None => make(&path)?,
    };
    vault(&path, Vault::new(&key))
}

/// Reads the key without creating one. If there is none, encrypted payloads are unreadable.
pub(super) fn find(settings: &Settings) -> Result<Vault, OpenError> {
    let path = path(settings);
    let key = read(&path).ok().flatten();
    vault(
        &path,
        key.map_or_else(Vault::ephemeral, |key| Vault::new(&key)),
    )
}

/// A key for a store in memory.
pub(super) fn ephemeral() -> Result<Vault, OpenError> {
    vault(Path::new("memory"), Vault::ephemeral())
}

fn vault(path: &Path, made: Option<Vault>) -> Result<Vault, OpenError> {
    made.ok_or_else(|| OpenError::Key {
        path: path.to_owned(),
        detail: "the system gives no random numbers",
    })
}

pub(super) fn read(path: &Path) -> Result<Option<[u8; KEY_LEN]>, OpenError> {
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

/// The file gets its name once it is complete and on disk.
fn make(path: &Path) -> Result<[u8; KEY_LEN], OpenError> {
    let key = Vault::random_key().ok_or_else(|| OpenError::Key {
        path: path.to_owned(),
        detail: "the system gives no random numbers",
    })?;
    write(path, &key)?;
    Ok(key)
}

/// Writes a key.
pub(super) fn write(path: &Path, key: &[u8; KEY_LEN]) -> Result<(), OpenError> {
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
        file.write_all(key)?;
        file.sync_all()?;
        fs::rename(&partial, path)?;
        File::open(parent(path))?.sync_all()
    };
    written().map_err(|error| not_writable(path, error))
}
