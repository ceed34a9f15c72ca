//! Errors of opening and of copying a queue.

use std::error::Error;
use std::io;
use std::path::PathBuf;

/// Why the queue cannot be opened. Each message names the problem and the remedy. Nothing was
/// changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process holds the lock.
    #[error(
        "another jobbell already works on this queue (it holds the lock {path}); stop it, or set another queue.state_dir and queue.url"
    )]
    Locked {
        /// The locked file: the lock file of the state directory, or the database itself.
        path: PathBuf,
    },
    /// The parent of the directory does not exist.
    #[error(
        "{path} cannot be created because the directory above it does not exist; create that directory, or set queue.state_dir to another place"
    )]
    MissingParent {
        /// The directory to create.
        path: PathBuf,
    },
    /// The path of a directory is taken by a file.
    #[error("{path} is not a directory; move it away, or set queue.state_dir to another place")]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// A directory or a file cannot be created, read or written.
    #[error(
        "cannot write {path} ({source}); make it writable for the user that runs jobbell, or set queue.state_dir to another place"
    )]
    NotWritable {
        /// The directory or file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The database was removed or emptied.
    #[error(
        "the database {path} is {found}, but {mark} shows that a queue was kept there; restore the file (or mount its disk), \
         or, to begin with an empty queue and give up what was in the old one, remove {mark}"
    )]
    Lost {
        /// Where the database should be.
        path: PathBuf,
        /// `missing` or `empty`.
        found: &'static str,
        /// The marker file.
        mark: PathBuf,
    },
    /// The file is a hard link, and the WAL with the latest commits is beside its other name.
    #[error(
        "the database {path} is a hard link, and {log} beside its other name holds the latest events; set queue.url to that name"
    )]
    OtherLog {
        /// The name that the database was opened by.
        path: PathBuf,
        /// The log beside the other name.
        log: PathBuf,
    },
    /// There is no queue, and this way of opening does not create one.
    #[error(
        "there is no queue at {path}; start the daemon once, or check queue.url and queue.state_dir"
    )]
    NoQueue {
        /// The expected path.
        path: PathBuf,
    },
    /// A newer version wrote it.
    #[error(
        "the database {path} has schema version {found}, this jobbell knows {known}; install a newer jobbell, or set queue.url to another file"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest that this version knows.
        known: i64,
    },
    /// The file belongs to another program, or its schema differs from that of this version.
    #[error("the database {path} is not a jobbell queue ({reason}); set queue.url to another file")]
    Foreign {
        /// The database.
        path: PathBuf,
        /// How it differs.
        reason: String,
    },
    /// It is damaged.
    #[error(
        "the database {path} is damaged or no database ({source}); `jobbell queue check` says more; restore it from a backup, \
         or move it and its -wal, -shm and -mark files away to begin with an empty queue"
    )]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// The error of SQLite.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Its WAL has lost commits.
    #[error(
        "the log {path} of the database is damaged ({found}), and acknowledged events would be lost without a word; restore the database from a backup, \
         or keep a copy and give up what is behind the damage with `{way_out}`"
    )]
    Log {
        /// The WAL file.
        path: PathBuf,
        /// The damage.
        found: String,
        /// The command that accepts the loss.
        way_out: String,
    },
    /// Anything else that the database refuses.
    #[error("cannot open the database {path}: {source}")]
    Database {
        /// The database.
        path: PathBuf,
        /// The error of SQLite.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The key for codes and secret links cannot be used.
    #[error(
        "the key {path} cannot be used: {detail}; restore it, or remove it to begin with a new one, by which codes and links that still wait cannot be sent"
    )]
    Key {
        /// The key's file.
        path: PathBuf,
        /// The reason.
        detail: &'static str,
    },
    /// No thread for the store.
    #[error("cannot start the thread of the store: {0}")]
    Thread(#[source] io::Error),
}

/// Why a queue was not copied. No copy is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The queue cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The destination exists.
    #[error("{path} exists already and is not overwritten; name another file")]
    Exists {
        /// The destination.
        path: PathBuf,
    },
    /// The copy cannot be written.
    #[error("cannot write {path}: {source}")]
    NotWritable {
        /// The destination.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Reading or writing the copy failed.
    #[error("cannot copy the queue to {path}: {source}")]
    Copy {
        /// The destination.
        path: PathBuf,
        /// The error of SQLite.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The copy failed its check, so the queue is damaged as well.
    #[error("the queue is damaged and was not copied: {problem}; `jobbell queue check` says more")]
    Damaged {
        /// The first problem found.
        problem: String,
    },
}
