//! The refresh token that took the configured one's place, kept in a file across restarts.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;
use crate::encoding::hex;
use crate::secret::Secret;

/// The longest file that is read.
const LONGEST: u64 = 64 * 1024;

/// One mail server's file in `state_dir`: mode 0600, replaced whole and fsynced, so that a crash
/// leaves the old token or the new one.
///
/// The stored token counts only while the configuration holds the token that it descends from: an
/// operator who writes a new one there means it.
#[derive(Debug, Clone)]
pub struct TokenStore {
    path: PathBuf,
    server: String,
}

/// Why the file could not be read or written. Says nothing of what is in it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refuses.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{} is not a stored token of this program", .0.display())]
    Content(PathBuf),
    /// The task that was to do it was stopped.
    #[error("interrupted")]
    Interrupted,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    /// For whoever looks into the file.
    server: String,
    /// The digest of the configured token that this one descends from; empty when none was
    /// configured.
    origin: String,
    refresh_token: String,
    saved_at: Timestamp,
}

impl TokenStore {
    /// The file of the mail server called `server`, in `state_dir`.
    pub fn new(state_dir: &Path, server: &str) -> Self {
        let name = digest(server).get(..16).unwrap_or_default().to_owned();
        Self {
            path: state_dir.join(format!("oauth-{name}.json")),
            server: server.to_owned(),
        }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The stored token, when there is one and it descends from `configured`.
    ///
    /// # Errors
    /// When the file is there but cannot be read, or is something else.
    pub async fn load(&self, configured: Option<&Secret>) -> Result<Option<Secret>, StoreError> {
        let (store, origin) = (self.clone(), origin(configured));
        tokio::task::spawn_blocking(move || store.read(&origin))
            .await
            .map_err(|_| StoreError::Interrupted)?
    }

    /// Stores a token that descends from `configured`; it is on disk when this returns.
    ///
    /// # Errors
    /// When the file cannot be written; the earlier one is then still there.
    pub async fn save(
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
        file.take(LONGEST)
            .read_to_end(&mut text)
            .map_err(|source| self.failed(source))?;
        // The parser's own words are left out: they quote what they read.
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
        // `test-email` and `send` may come before the daemon, and a token that was exchanged must
        // not be lost for want of a directory.
        if let Some(directory) = self
            .path
            .parent()
            .filter(|directory| !directory.as_os_str().is_empty())
        {
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
        self.give_to_the_owner_of_the_directory(&file);
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(draft, &self.path)?;
        match self
            .path
            .parent()
            .filter(|directory| !directory.as_os_str().is_empty())
        {
            Some(directory) => fs::File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    }

    /// An operator may run `jobbell oauth` as root, and the daemon as a user of its own must be
    /// able to read what comes of it. Whoever may not give files away keeps it.
    fn give_to_the_owner_of_the_directory(&self, file: &fs::File) {
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

fn origin(configured: Option<&Secret>) -> String {
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
    async fn a_stored_token_counts_while_the_configured_one_is_its_origin() {
        let directory = tempfile::tempdir().unwrap();
        let store = TokenStore::new(directory.path(), "主 server/1");
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
    async fn the_file_is_the_owners_alone_and_leaves_no_draft() {
        let directory = tempfile::tempdir().unwrap();
        let store = TokenStore::new(directory.path(), "primary");
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
    async fn a_directory_that_is_not_there_yet_is_made_for_us_alone() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("not/yet");
        let store = TokenStore::new(&state, "primary");
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
    async fn an_unreadable_file_is_an_error_that_shows_nothing_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let store = TokenStore::new(directory.path(), "primary");
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
    async fn the_file_belongs_to_the_owner_of_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        // Only root may give a directory away; for anybody else both are the same anyway.
        drop(std::os::unix::fs::chown(
            directory.path(),
            Some(65_534),
            Some(65_534),
        ));
        let store = TokenStore::new(directory.path(), "primary");
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
