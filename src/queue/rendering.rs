//! Which mails are being made at this moment, kept where the death of the process does not reach
//! it.
//!
//! A commit for each mail would cost more than the mail. A page of a file costs two short writes
//! and no fsync: what a process has written is there after it was killed or crashed, and only that
//! matters here, for a power cut is not the mail's fault.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use crate::domain::DeliveryId;

/// How many mails can be marked at a time; those made beside them are not marked. As many as
/// threads that render, with room.
const SLOTS: u8 = 64;
/// Bytes of a mark.
const MARK: usize = 16;

/// The marks of one store.
#[derive(Debug, Default)]
pub(crate) struct Rendering {
    /// `None` when there is no place for them: a store in memory, or a directory that cannot be
    /// written to.
    file: Option<File>,
    free: Mutex<Vec<u8>>,
}

impl Rendering {
    /// Opens the marks of a store; also returns those that a process left that died.
    pub(super) fn open(path: &Path) -> (Self, Vec<DeliveryId>) {
        match read(path) {
            Ok((file, left)) => (
                Self {
                    file: Some(file),
                    free: Mutex::new((0..SLOTS).collect()),
                },
                left,
            ),
            Err(error) => {
                tracing::warn!(
                    "{}: {error}; a mail that kills the daemon while it is made cannot be told from others",
                    path.display()
                );
                (Self::default(), Vec::new())
            }
        }
    }

    /// Marks a mail until the mark is dropped.
    pub(crate) fn begin(&self, id: DeliveryId) -> Option<Mark<'_>> {
        let file = self.file.as_ref()?;
        let slot = self
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()?;
        let mark = Mark {
            rendering: self,
            file,
            slot,
        };
        mark.write(id.0.into_bytes());
        Some(mark)
    }
}

fn read(path: &Path) -> io::Result<(File, Vec<DeliveryId>)> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    let mut page = vec![0; usize::from(SLOTS) * MARK];
    let mut filled = 0;
    while let Some(rest) = page.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, u64::try_from(filled).unwrap_or(u64::MAX))? {
            0 => break,
            read => filled += read,
        }
    }
    let ids = page
        .chunks_exact(MARK)
        .filter_map(|mark| Uuid::from_slice(mark).ok())
        .filter(|id| !id.is_nil());
    let left = ids.map(DeliveryId).collect();
    file.write_all_at(&vec![0; page.len()], 0)?;
    Ok((file, left))
}

/// The mark of one mail, erased when dropped.
#[derive(Debug)]
pub(crate) struct Mark<'a> {
    rendering: &'a Rendering,
    file: &'a File,
    slot: u8,
}

impl Mark<'_> {
    /// A disk that refuses leaves the mail unmarked, which is no reason not to make it.
    fn write(&self, mark: [u8; MARK]) {
        drop(self.file.write_all_at(
            &mark,
            u64::from(self.slot) * u64::try_from(MARK).unwrap_or(u64::MAX),
        ));
    }
}

impl Drop for Mark<'_> {
    fn drop(&mut self) {
        self.write([0; MARK]);
        self.rendering
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(self.slot);
    }
}
