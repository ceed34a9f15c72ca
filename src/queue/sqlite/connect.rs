//! Opens connections: one writer and its readers, all with the same guarantees.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::OpenError;
use super::migrate;

/// How long a connection waits for another process, such as a backup, to unlock the database.
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// Where a database is.
#[derive(Debug, Clone)]
pub(super) enum Database {
    /// A file.
    File(PathBuf),
    /// A file, read-only.
    Read(PathBuf),
    /// The memory of this process, under a unique name.
    Memory(String),
}

impl Database {
    pub(super) fn name(&self) -> &Path {
        match self {
            Self::File(path) | Self::Read(path) => path,
            Self::Memory(name) => Path::new(name),
        }
    }

    /// A connection that may write. Never makes the file: whether one may be made was decided when
    /// the place was claimed.
    pub(super) fn writer(&self) -> Result<Connection, OpenError> {
        let conn = self
            .connect()
            .map_err(|error| migrate::explain(self.name(), error))?;
        let read_only = conn
            .is_readonly("main")
            .map_err(|error| migrate::explain(self.name(), error))?;
        if read_only {
            let source = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
            return Err(OpenError::NotWritable {
                path: self.name().to_owned(),
                source,
            });
        }
        self.promise(&conn)
            .map_err(|error| migrate::explain(self.name(), error))?;
        Ok(conn)
    }

    /// A connection that only reads.
    pub(super) fn reader(&self) -> rusqlite::Result<Connection> {
        let conn = self.connect()?;
        conn.pragma_update(None, "cache_size", -512)?;
        conn.pragma_update(None, "query_only", true)?;
        Ok(conn)
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = match self {
            Self::Read(path) => Connection::open_with_flags(
                path,
                OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
            )?,
            Self::File(path) => Connection::open_with_flags(path, flags)?,
            Self::Memory(name) => Connection::open_with_flags(
                name,
                flags | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_URI,
            )?,
        };
        conn.busy_timeout(BUSY)?;
        conn.set_prepared_statement_cache_capacity(64);
        // Else every claim with another LIMIT is planned anew.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        conn.pragma_update(None, "temp_store", "MEMORY")?;
        conn.pragma_update(None, "foreign_keys", true)?;
        Ok(conn)
    }

    /// FULL, not the usual NORMAL, with which a power cut can undo acknowledged commits.
    fn promise(&self, conn: &Connection) -> rusqlite::Result<()> {
        let wanted = if matches!(self, Self::File(_)) {
            "wal"
        } else {
            "memory"
        };
        let mode: String =
            conn.pragma_update_and_check(None, "journal_mode", wanted, |row| row.get(0))?;
        if mode != wanted {
            let reason = format!("the database cannot use journal mode {wanted}, only {mode}");
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
                Some(reason),
            ));
        }
        conn.pragma_update(None, "synchronous", "FULL")?;
        // Overwrites deleted data, such as payloads, when that needs no additional write.
        conn.pragma_update_and_check(None, "secure_delete", "FAST", |_| Ok(()))?;
        conn.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
        conn.pragma_update(None, "wal_autocheckpoint", 4000)?;
        conn.pragma_update(None, "cache_size", -3072)
    }
}
