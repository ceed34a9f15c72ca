//! A queue that is being moved.

use std::path::Path;

use rusqlite::Connection;

use crate::clock::Clock;
use crate::queue::Settings;
use crate::queue::sqlite::connect::Database;
use crate::queue::sqlite::location::{SHORT_PATIENCE, StateDir};
use crate::queue::sqlite::{OpenError, clock, key, location, migrate, open};
use crate::queue::vault::KEY_LEN;

/// A queue that is being moved, locked.
pub(in crate::queue) struct Moving {
    pub(super) conn: Connection,
    /// Wall time minus store time.
    offset: i64,
    pub(super) last: (i64, String),
    _locks: Vec<std::fs::File>,
}

/// Opens a queue to move it elsewhere: what was being sent when the last daemon died is returned to the
/// queue, as at a start. Blocks on the disk.
///
/// # Errors
/// When a daemon uses it, or it cannot be opened.
pub(in crate::queue) fn open_source(
    settings: &Settings,
) -> Result<(Moving, [u8; KEY_LEN]), OpenError> {
    location::look_for(settings)?;
    // A short look, since opening waits for a daemon's end.
    drop(StateDir::new(settings, false, SHORT_PATIENCE)?);
    drop(open::open(settings, &Clock::adjusted())?);
    let claimed = StateDir::new(settings, false, SHORT_PATIENCE)?;
    let path = claimed.path.clone();
    let key = key::read(&key::path(settings))?.ok_or_else(|| OpenError::Key {
        path: key::path(settings),
        detail: "it is missing",
    })?;
    Ok((Moving::new(&path, claimed.into_locks())?, key))
}

impl Moving {
    pub(super) fn new(path: &Path, locks: Vec<std::fs::File>) -> Result<Self, OpenError> {
        let conn = Database::File(path.to_owned()).writer()?;
        let state = clock::read(&conn).map_err(|error| migrate::explain(path, error))?;
        Ok(Self {
            conn,
            offset: state.0.offset,
            last: (0, String::new()),
            _locks: locks,
        })
    }

    pub(super) const fn wall(&self, store: i64) -> i64 {
        store + self.offset
    }

    pub(super) const fn store(&self, wall: i64) -> i64 {
        wall - self.offset
    }
}

/// Whether there is a queue with deliveries.
///
/// # Errors
/// When the queue cannot be opened, or a daemon uses it.
pub(in crate::queue) fn open_target(settings: &Settings) -> Result<Option<Moving>, OpenError> {
    match location::look_for(settings) {
        Ok(()) => open_source(settings).map(|(moving, _)| Some(moving)),
        Err(OpenError::NoQueue { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
