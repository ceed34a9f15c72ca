//! The key that encrypts codes, secret links and refresh tokens, the same on every node.
//!
//! It is in a file of each node, or, without `queue.secret_key_file`, in the database: whoever reads
//! the database or its backups can then read codes and tokens.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use tokio_postgres::types::Type;

use super::connection::Connection;
use super::open_error::OpenError;
use crate::queue::vault::{KEY_LEN, Vault};

const FIND: &str = "SELECT key, key_id FROM jobbell.secret_key";
/// The first node decides.
const KEEP: &str =
    "INSERT INTO jobbell.secret_key (key, key_id) VALUES ($1, $2) ON CONFLICT DO NOTHING";
/// The key has been moved to a file.
const REMOVE: &str =
    "UPDATE jobbell.secret_key SET key = NULL WHERE key_id = $1 AND key IS NOT NULL";

const REPLACE: &str = "INSERT INTO jobbell.secret_key (key, key_id) VALUES ($1, $2) ON CONFLICT (one) DO UPDATE SET key = excluded.key, key_id = excluded.key_id";

/// How to make a key.
const HOW: &str =
    "make one with: (umask 077; head -c 32 /dev/urandom > FILE), and copy it to every node";

/// Reads the key file. Blocks on the disk.
fn read(path: &Path) -> Result<Vault, OpenError> {
    Vault::new(&read_bytes(path)?).ok_or_else(no_random)
}

fn read_bytes(path: &Path) -> Result<[u8; KEY_LEN], OpenError> {
    let error = |detail: String| OpenError::Key(format!("{} {detail}", path.display()));
    let cannot = |source: std::io::Error| error(format!("cannot be read ({source}); {HOW}"));
    let file = File::open(path).map_err(cannot)?;
    let mode = file.metadata().map_err(cannot)?.mode();
    let mut bytes = Vec::new();
    (file.take(KEY_LEN as u64 + 1).read_to_end(&mut bytes)).map_err(cannot)?;
    if mode & 0o004 != 0 {
        tracing::warn!(
            "queue.secret_key_file {0} can be read by all users; run chmod 600 {0}",
            path.display()
        );
    }
    bytes
        .try_into()
        .map_err(|_| error(format!("does not contain {KEY_LEN} bytes; {HOW}")))
}

async fn read_if_set(path: Option<&Path>) -> Result<Option<Vault>, OpenError> {
    let Some(path) = path.map(Path::to_owned) else {
        return Ok(None);
    };
    let read = tokio::task::spawn_blocking(move || read(&path)).await;
    let vault = read.map_err(|error| OpenError::Key(format!("the file was not read: {error}")))?;
    vault.map(Some)
}

/// The key of the database: that of the file, if there is one.
pub(super) async fn ensure(
    connection: &Connection,
    path: Option<&Path>,
) -> Result<Vault, OpenError> {
    let own = read_if_set(path).await?;
    loop {
        if let Some(known) = find(connection).await? {
            return match own {
                Some(own) => agree(connection, own, &known).await,
                None => from_database(&known),
            };
        }
        match &own {
            Some(own) => keep(connection, None, own).await?,
            None => {
                let key = Vault::random_key().ok_or_else(no_random)?;
                let vault = Vault::new(&key).ok_or_else(no_random)?;
                keep(connection, Some(&key), &vault).await?;
            }
        }
    }
}

/// The key of the database, for a command that only reads. Changes nothing.
pub(super) async fn open(connection: &Connection, path: Option<&Path>) -> Result<Vault, OpenError> {
    Vault::new(&bytes(connection, path).await?).ok_or_else(no_random)
}

/// The bytes of the key.
pub(super) async fn bytes(
    connection: &Connection,
    path: Option<&Path>,
) -> Result<[u8; KEY_LEN], OpenError> {
    check(connection, path).await?;
    if let Some(path) = path {
        return read_bytes(path);
    }
    let key = find(connection).await?.and_then(|known| known.key);
    key.and_then(|key| key.try_into().ok())
        .ok_or_else(|| OpenError::Key("the database has no key".to_owned()))
}

/// Gives a queue without secrets another key. A key file must contain it already.
pub(super) async fn replace(
    connection: &Connection,
    path: Option<&Path>,
    key: &[u8; KEY_LEN],
) -> Result<(), OpenError> {
    if let Some(path) = path
        && read_bytes(path)? != *key
    {
        return Err(OpenError::Key(format!(
            "{} is not the key of the queue that is moved; copy the file `jobbell.db-key` of its state_dir there",
            path.display()
        )));
    }
    let vault = Vault::new(key).ok_or_else(no_random)?;
    let stored = path.is_none().then_some(key.as_slice());
    let values: [super::connection::Value<'_>; 2] =
        [(&stored, Type::BYTEA), (&vault.id(), Type::BYTEA)];
    connection.query(REPLACE, &values).await?;
    Ok(())
}

/// Fails if the key file cannot be read or is not that of the database. Changes nothing.
pub(super) async fn check(connection: &Connection, path: Option<&Path>) -> Result<(), OpenError> {
    let known = find(connection).await?;
    match (read_if_set(path).await?, known) {
        (Some(own), Some(known)) if own.id() != known.id => Err(differs(&own, &known)),
        (None, Some(known)) => from_database(&known).map(drop),
        _ => Ok(()),
    }
}

/// The row of the database.
struct Known {
    key: Option<Vec<u8>>,
    id: Vec<u8>,
}

async fn find(connection: &Connection) -> Result<Option<Known>, OpenError> {
    let rows = connection.query(FIND, &[]).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    Ok(Some(Known {
        key: row.try_get("key")?,
        id: row.try_get("key_id")?,
    }))
}

async fn keep(
    connection: &Connection,
    key: Option<&[u8; KEY_LEN]>,
    vault: &Vault,
) -> Result<(), OpenError> {
    let key = key.map(<[u8; KEY_LEN]>::as_slice);
    let values: [super::connection::Value<'_>; 2] =
        [(&key, Type::BYTEA), (&vault.id(), Type::BYTEA)];
    connection.query(KEEP, &values).await?;
    Ok(())
}

/// A key in a file must be that of the other nodes.
async fn agree(connection: &Connection, own: Vault, known: &Known) -> Result<Vault, OpenError> {
    if own.id() != known.id {
        return Err(differs(&own, known));
    }
    if known.key.is_some() {
        connection
            .query(REMOVE, &[(&own.id(), Type::BYTEA)])
            .await?;
        tracing::info!(
            "the key of codes and tokens is in queue.secret_key_file now and was removed from the database; set it on every node"
        );
    }
    Ok(own)
}

fn differs(own: &Vault, known: &Known) -> OpenError {
    let theirs = if known.key.is_some() {
        "the one in the database, which nodes without this setting use; write that into the file first (docs/scaling.md)"
    } else {
        "the one of the other nodes; copy their file to this node"
    };
    OpenError::Key(format!(
        "the key (id {}) differs from {theirs} (id {})",
        hex(own.id()),
        hex(&known.id)
    ))
}

fn from_database(known: &Known) -> Result<Vault, OpenError> {
    let Some(key) = &known.key else {
        return Err(OpenError::Key(format!(
            "is not set, but the other nodes of this database use a key file (id {}); copy it to this node",
            hex(&known.id)
        )));
    };
    let key = key.as_slice().try_into().ok();
    key.and_then(Vault::new)
        .ok_or_else(|| OpenError::Key("the key in the database is damaged".to_owned()))
}

fn no_random() -> OpenError {
    OpenError::Key("the system gives no random numbers".to_owned())
}

fn hex(bytes: &[u8]) -> String {
    let hex = |text: String, byte: &u8| text + &format!("{byte:02x}");
    bytes.iter().fold(String::new(), hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_file_must_hold_32_bytes() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("key");
        let refused = |expected: &str| {
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        refused("/dev/urandom");
        for length in [0, 31, 33, 1_000] {
            std::fs::write(&path, vec![7; length]).unwrap();
            refused("32 bytes");
        }
        std::fs::write(&path, [7; KEY_LEN]).unwrap();
        assert_eq!(
            read(&path).unwrap().id(),
            Vault::new(&[7; KEY_LEN]).unwrap().id()
        );
    }
}
