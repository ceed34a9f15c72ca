//! What a node keeps in its state directory: its name and its last life.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::boot_id;
use crate::queue::{Settings, sqlite};

/// The file, beside the lock of the state directory.
const FILE: &str = "jobbell-node.json";
/// The marks of mails that are being rendered.
const RENDERING: &str = "jobbell-rendering";
/// Characters that are not mistaken for each other.
const LETTERS: &[u8] = b"23456789abcdefghjkmnpqrstuvwxyz";

/// A locked state directory.
#[derive(Debug)]
pub(super) struct StateDir {
    directory: PathBuf,
    /// Holds the lock.
    lock: File,
    record: Record,
}

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// Distinguishes the nodes of one machine.
    suffix: String,
    life: Option<Life>,
}

/// A life of this node in the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Life {
    id: Uuid,
    /// Which boot of the machine it is of, and the inode of the lock: a copy of the directory has
    /// another lock, and a copy of the machine another boot.
    boot: Option<String>,
    lock: u64,
}

impl StateDir {
    /// Locks the state directory and reads the file. Blocks on the disk, and for up to three seconds
    /// on another process.
    pub(super) fn open(settings: &Settings) -> Result<Self, sqlite::OpenError> {
        let lock = sqlite::lock_state_dir(settings)?;
        let directory = settings.state_dir.clone();
        let record = read(&directory.join(FILE));
        let is_new = record.is_none();
        let dir = Self {
            record: record.unwrap_or_else(|| Record {
                suffix: suffix(),
                life: None,
            }),
            directory,
            lock,
        };
        if is_new {
            dir.write().map_err(|source| dir.not_writable(source))?;
        }
        Ok(dir)
    }

    /// The name of this node unless the configuration gives it one.
    pub(super) fn default_name(&self) -> String {
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy().to_lowercase();
        let mut host: String = (host.chars())
            .filter(|char| char.is_ascii_alphanumeric() || "-._".contains(*char))
            .take(50)
            .collect();
        if host.is_empty() {
            "node".clone_into(&mut host);
        }
        format!("{host}-{}", self.record.suffix)
    }

    /// The last life of this node, if it has surely ended: its process had the lock of this directory.
    pub(super) fn predecessor(&self) -> Option<Uuid> {
        let life = self.record.life.as_ref()?;
        let is_ours =
            life.boot.is_some() && life.boot == boot_id() && Some(life.lock) == self.inode();
        is_ours.then_some(life.id)
    }

    /// Records that a life begins.
    pub(super) fn begin_life(&mut self, id: Uuid) -> Result<(), sqlite::OpenError> {
        self.record.life = Some(Life {
            id,
            boot: boot_id(),
            lock: self.inode().unwrap_or_default(),
        });
        self.write().map_err(|source| self.not_writable(source))
    }

    pub(super) fn rendering(&self) -> PathBuf {
        self.directory.join(RENDERING)
    }

    fn inode(&self) -> Option<u64> {
        self.lock.metadata().ok().map(|file| file.ino())
    }

    /// The file gets its name once it is complete and on disk.
    fn write(&self) -> io::Result<()> {
        let path = self.directory.join(FILE);
        let partial = path.with_extension("partial");
        let mut text = serde_json::to_vec(&self.record)?;
        text.push(b'\n');
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let mut file = (options.write(true).create_new(true).mode(0o600)).open(&partial)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&partial, &path)?;
        File::open(&self.directory)?.sync_all()
    }

    fn not_writable(&self, source: io::Error) -> sqlite::OpenError {
        sqlite::OpenError::NotWritable {
            path: self.directory.join(FILE),
            source,
        }
    }
}

/// A damaged file is as good as none: the life in it ends by itself.
fn read(path: &Path) -> Option<Record> {
    let text = fs::read(path).ok()?;
    let record: Option<Record> = serde_json::from_slice(&text).ok();
    if record.is_none() {
        tracing::warn!("{} is damaged; this node gets a new name", path.display());
    }
    record
}

/// Four random characters.
fn suffix() -> String {
    let letter = |_| fastrand::choice(LETTERS).copied().map(char::from);
    (0..4).filter_map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(directory: &Path) -> Settings {
        Settings {
            location: crate::queue::Location::Sqlite(PathBuf::new()),
            state_dir: directory.to_owned(),
            max_pending: 1,
            retention: std::time::Duration::ZERO,
            payload_retention: std::time::Duration::ZERO,
            recovery_delay: std::time::Duration::ZERO,
        }
    }

    #[test]
    fn name_and_last_life_are_kept() {
        let home = tempfile::tempdir().unwrap();
        let settings = settings(home.path());
        let mut dir = StateDir::open(&settings).unwrap();
        let (name, life) = (dir.default_name(), Uuid::from_u128(7));
        assert_eq!(dir.predecessor(), None);
        dir.begin_life(life).unwrap();
        drop(dir);
        let dir = StateDir::open(&settings).unwrap();
        assert_eq!((dir.default_name(), dir.predecessor()), (name, Some(life)));
        let mode = fs::metadata(home.path().join(FILE)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn copied_directory_is_not_the_node_itself() {
        let (home, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut original = StateDir::open(&settings(home.path())).unwrap();
        original.begin_life(Uuid::from_u128(7)).unwrap();
        for file in fs::read_dir(home.path()).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        let copy = StateDir::open(&settings(copy.path())).unwrap();
        assert_eq!(copy.default_name(), original.default_name());
        assert_eq!(copy.predecessor(), None);
    }

    #[test]
    fn damaged_file_is_replaced() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join(FILE), b"{").unwrap();
        let dir = StateDir::open(&settings(home.path())).unwrap();
        assert_eq!(dir.predecessor(), None);
        let name = dir.default_name();
        drop(dir);
        let dir = StateDir::open(&settings(home.path())).unwrap();
        assert_eq!(dir.default_name(), name);
    }
}
