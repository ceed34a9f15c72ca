//! The file of a refresh token.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::store_error::StoreError;
use crate::domain::Timestamp;
use crate::encoding::hex;
use crate::secret::Secret;

/// The largest file that is read.
const MAX_SIZE: u64 = 64 * 1024;

/// The file of one mail server in `state_dir`: mode 0600, replaced atomically and fsynced.
///
/// The stored token is used only while the configured token is the one that it was derived from, so
/// that a new token in the configuration takes effect.
#[derive(Debug, Clone)]
pub(super) struct TokenFile {
    path: PathBuf,
    server: String,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    /// Name of the mail server, for people who read the file.
    server: String,
    /// Digest of the configured token that this one was derived from; empty if none was configured.
    origin: String,
    refresh_token: String,
    saved_at: Timestamp,
}

impl TokenFile {
    /// The file of the mail server named `server` in `state_dir`.
    pub(super) fn new(state_dir: &Path, server: &str) -> Self {
        let name = digest(server).get(..16).unwrap_or_default().to_owned();
        Self {
            path: state_dir.join(format!("oauth-{name}.json")),
            server: server.to_owned(),
        }
    }

    /// Path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The stored token, if there is one that was derived from `configured`.
    ///
    /// # Errors
    /// If the file exists but cannot be read, or is not a stored token.
    pub(super) async fn load(
        &self,
        configured: Option<&Secret>,
    ) -> Result<Option<Secret>, StoreError> {
        let (store, origin) = (self.clone(), origin(configured));
        tokio::task::spawn_blocking(move || store.read(&origin))
            .await
            .map_err(|_| StoreError::Interrupted)?
    }

    /// Stores a token that was derived from `configured`. It is on disk when this returns.
    ///
    /// # Errors
    /// If the file cannot be written. The previous file is then unchanged.
    pub(super) async fn save(
        &self,
        configured: Option<&Secret>,
        token: &Secret,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let stored = Stored {
            server: self.server.clone(),
            origin: origin(configured),
            refresh_token: token.expose().to_owned(),
            saved_at: now,
        };
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.write(&stored))
            .await
            .map_err(|_| StoreError::Interrupted)?
    }

    fn read(&self, origin: &str) -> Result<Option<Secret>, StoreError> {
        let file = match fs::File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.failed(source)),
        };
        let mut text = Vec::new();
        file.take(MAX_SIZE)
            .read_to_end(&mut text)
            .map_err(|source| self.failed(source))?;
        // The parser's message is dropped, because it quotes the file.
        let stored: Stored =
            serde_json::from_slice(&text).map_err(|_| StoreError::Content(self.path.clone()))?;
        Ok(
            (stored.origin == origin && !stored.refresh_token.is_empty())
                .then(|| Secret::new(stored.refresh_token)),
        )
    }

    fn write(&self, stored: &Stored) -> Result<(), StoreError> {
        let text = serde_json::to_vec_pretty(stored)
            .map_err(|_| StoreError::Content(self.path.clone()))?;
        let draft = self
            .path
            .with_extension(format!("{:016x}.tmp", fastrand::u64(..)));
        self.replace(&draft, &text).map_err(|source| {
            drop(fs::remove_file(&draft));
            self.failed(source)
        })
    }

    fn replace(&self, draft: &Path, text: &[u8]) -> io::Result<()> {
        // `test-email` and `send` may run before the daemon has created the directory.
        let directory = self
            .path
            .parent()
            .filter(|directory| !directory.as_os_str().is_empty());
        if let Some(directory) = directory {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)?;
        }
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(draft)?;
        self.match_owner_of_directory(&file);
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(draft, &self.path)?;
        match directory {
            Some(directory) => fs::File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    }

    /// Gives the file the owner of the directory: if root runs `jobbell oauth`, the daemon must be
    /// able to read the file. Without the right to do so, the file keeps its owner.
    fn match_owner_of_directory(&self, file: &fs::File) {
        if let Some(Ok(directory)) = self.path.parent().map(fs::metadata) {
            drop(std::os::unix::fs::fchown(
                file,
                Some(directory.uid()),
                Some(directory.gid()),
            ));
        }
    }

    fn failed(&self, source: io::Error) -> StoreError {
        StoreError::File {
            path: self.path.clone(),
            source,
        }
    }
}

pub(super) fn origin(configured: Option<&Secret>) -> String {
    configured
        .map(|token| digest(token.expose()))
        .unwrap_or_default()
}

fn digest(text: &str) -> String {
    hex::encode(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn stored_token_is_used_only_with_its_original_configured_token() {
        let directory = tempfile::tempdir().unwrap();
        let store = TokenFile::new(directory.path(), "主 server/1");
        let (old, new) = (Secret::new("configured"), Secret::new("rotated"));
        assert_eq!(store.load(Some(&old)).await.unwrap(), None);
        store
            .save(Some(&old), &new, Timestamp::from_millis(0))
            .await
            .unwrap();
        assert_eq!(store.load(Some(&old)).await.unwrap(), Some(new));
        assert_eq!(
            store.load(Some(&Secret::new("another"))).await.unwrap(),
            None
        );
        assert_eq!(store.load(None).await.unwrap(), None);
    }

    #[tokio::test]
    async fn file_is_private_and_no_temporary_file_remains() {
        let directory = tempfile::tempdir().unwrap();
        let store = TokenFile::new(directory.path(), "primary");
        for token in ["one", "two"] {
            store
                .save(None, &Secret::new(token), Timestamp::from_millis(0))
                .await
                .unwrap();
        }
        let names: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(names, [store.path()]);
        assert_eq!(
            fs::metadata(store.path()).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(store.load(None).await.unwrap(), Some(Secret::new("two")));
    }

    #[tokio::test]
    async fn missing_directory_is_created_private() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("not/yet");
        let store = TokenFile::new(&state, "primary");
        store
            .save(None, &Secret::new("rotated"), Timestamp::from_millis(0))
            .await
            .unwrap();
        assert_eq!(
            store.load(None).await.unwrap(),
            Some(Secret::new("rotated"))
        );
        assert_eq!(
            fs::metadata(&state).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }

    #[tokio::test]
    async fn error_of_a_damaged_file_does_not_show_its_content() {
        let directory = tempfile::tempdir().unwrap();
        let store = TokenFile::new(directory.path(), "primary");
        fs::write(
            store.path(),
            r#"{"refresh_token": "canary-secret", "origin": 3}"#,
        )
        .unwrap();
        let error = store.load(None).await.unwrap_err();
        assert!(matches!(error, StoreError::Content(_)));
        assert!(!format!("{error} {error:?}").contains("canary-secret"));
    }

    #[tokio::test]
    async fn file_belongs_to_the_owner_of_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        // Only root may change the owner; for other users both are the same.
        drop(std::os::unix::fs::chown(
            directory.path(),
            Some(65_534),
            Some(65_534),
        ));
        let store = TokenFile::new(directory.path(), "primary");
        store
            .save(None, &Secret::new("one"), Timestamp::from_millis(1))
            .await
            .unwrap();
        let (file, owner) = (
            fs::metadata(store.path()).unwrap(),
            fs::metadata(directory.path()).unwrap(),
        );
        assert_eq!(
            (file.uid(), file.gid(), file.permissions().mode() & 0o777),
            (owner.uid(), owner.gid(), 0o600)
        );
    }
}
