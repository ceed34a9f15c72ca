//! A queue that is being made.

use std::path::PathBuf;

use super::opened::Moving;
use crate::clock::Clock;
use crate::queue::sqlite::location::{SHORT_PATIENCE, StateDir};
use crate::queue::sqlite::path::{database, not_writable, parent, with_suffix};
use crate::queue::sqlite::{OpenError, key, migrate, open};
use crate::queue::vault::KEY_LEN;
use crate::queue::{Location, Settings};

/// A new queue, under another name until it is complete.
pub(in crate::queue) struct NewQueue {
    pub(in crate::queue) moving: Moving,
    pub(in crate::queue) draft: PathBuf,
    pub(in crate::queue) settings: Settings,
}

impl NewQueue {
    /// Makes an empty queue with this key. What an earlier call has left behind is removed.
    ///
    /// # Errors
    /// When there is a queue, or the files cannot be made.
    pub(in crate::queue) fn make(
        settings: &Settings,
        key: &[u8; KEY_LEN],
    ) -> Result<Self, OpenError> {
        let path = database(settings);
        let draft = with_suffix(path, ".moving");
        let failed = |error| not_writable(&draft, error);
        match std::fs::remove_dir_all(&draft) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(error));
            }
            _ => {}
        }
        std::fs::create_dir_all(&draft).map_err(failed)?;
        let inner = Settings {
            location: Location::Sqlite(draft.join("jobbell.db")),
            state_dir: draft.clone(),
            ..settings.clone()
        };
        key::write(&key::path(&inner), key)?;
        drop(open::open(&inner, &Clock::adjusted())?);
        let claimed = StateDir::new(&inner, false, SHORT_PATIENCE)?;
        let moving = Moving::new(&claimed.path.clone(), claimed.into_locks())?;
        Ok(Self {
            moving,
            draft,
            settings: settings.clone(),
        })
    }

    /// Gives the queue its name.
    ///
    /// # Errors
    /// When the files cannot be renamed; there is no queue then.
    pub(in crate::queue) fn publish(self) -> Result<(), OpenError> {
        let Self {
            moving,
            draft,
            settings,
        } = self;
        let path = database(&settings);
        let checkpoint = moving.conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
        checkpoint.map_err(|error| migrate::explain(path, error))?;
        drop(moving);
        let published = || -> std::io::Result<()> {
            let inner = draft.join("jobbell.db");
            // Of an empty queue that was there.
            for suffix in ["-wal", "-shm"] {
                match std::fs::remove_file(with_suffix(path, suffix)) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(error);
                    }
                    _ => {}
                }
            }
            // First the key: a queue without its key would lose its secrets.
            std::fs::rename(with_suffix(&inner, "-key"), key::path(&settings))?;
            std::fs::rename(&inner, path)?;
            std::fs::File::open(parent(path))?.sync_all()?;
            std::fs::remove_dir_all(&draft)
        };
        published().map_err(|error| not_writable(path, error))
    }
}
