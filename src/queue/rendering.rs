//! Marks of the mails that are being rendered, which survive the death of the process.
//!
//! A commit for each mail would cost more than the mail itself. A page of a file costs two short
//! writes and no fsync: written data survives a crash of the process. It may be lost in a power
//! cut, which no mail causes.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use crate::domain::DeliveryId;

/// The most marks at a time; more than there are rendering threads. Further mails are not marked.
const SLOTS: u8 = 64;
/// Bytes of a mark.
const MARK: usize = 16;

/// The marks of one store.
#[derive(Debug, Default)]
pub(crate) struct Rendering {
    /// `None` for a store in memory or an unwritable directory.
    file: Option<File>,
    free: Mutex<Vec<u8>>,
}

impl Rendering {
    /// Opens the marks of a store and returns those left behind by a process that died.
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
                    "{}: {error}; a mail that crashes the daemon while it is rendered cannot be identified",
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
    /// If the write fails, the mail is rendered unmarked.
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
