//! Opens the store: locks it, migrates, recovers leases, starts the writer.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::mpsc;

use super::OpenError;
use super::connect::Database;
use super::files::Files;
use super::location::{PATIENCE, SHORT_PATIENCE, StateDir};
use super::node::{self, NodeId};
use super::path::{not_writable, with_suffix};
use super::readers::Readers;
use super::request::Request;
use super::shared::Shared;
use super::store::{INBOX, Store, Thread};
use super::watch::Watch;
use super::writer::Writer;
use super::{check, clock, key, migrate, recover, row, secrets, wal};
use crate::clock::Clock;
use crate::domain::DeliveryId;
use crate::queue::rendering::Rendering;
use crate::queue::vault::Vault;
use crate::queue::{Queue, Settings};

/// How long one page of a list may take, and how long it may wait for a connection.
const LONGEST_LIST: Duration = Duration::from_secs(5);

/// [`Queue::open`] for SQLite. Blocks on the disk.
///
/// # Errors
/// See [`OpenError`].
pub fn open(settings: &Settings, clock: &Clock) -> Result<Queue, OpenError> {
    Store::open(settings, clock).map(Queue::of)
}

/// [`Queue::open_existing`] for SQLite. Blocks on the disk.
///
/// # Errors
/// See [`OpenError`].
pub fn open_existing(settings: &Settings) -> Result<Queue, OpenError> {
    Store::open_existing(settings).map(Queue::of)
}

/// [`Queue::open_to_read`] for SQLite. Blocks on the disk.
///
/// # Errors
/// See [`OpenError`].
pub fn open_to_read(settings: &Settings) -> Result<Queue, OpenError> {
    Store::open_to_read(settings).map(Queue::of)
}

impl Store {
    fn open(settings: &Settings, clock: &Clock) -> Result<Self, OpenError> {
        let claimed = StateDir::new(settings, true, PATIENCE)?;
        let vault = key::ensure(settings)?;
        let database = Database::File(claimed.path.clone());
        let mut conn = prepare(&database, &claimed, &vault, &key::path(settings), clock)?;
        let (rendering, left) = Rendering::open(&with_suffix(&claimed.path, "-rendering"));
        let node = recover(&mut conn, settings, &left, clock)
            .map_err(|error| migrate::explain(&claimed.path, error))?;
        Ok(Self {
            rendering,
            ..Self::finish(
                database,
                conn,
                node,
                claimed,
                vault,
                settings.max_pending,
                clock,
            )?
        })
    }

    fn open_existing(settings: &Settings) -> Result<Self, OpenError> {
        let claimed = StateDir::new(settings, false, SHORT_PATIENCE)?;
        let vault = key::ensure(settings)?;
        let database = Database::File(claimed.path.clone());
        let clock = Clock::adjusted();
        let conn = prepare(&database, &claimed, &vault, &key::path(settings), &clock)?;
        let node = node::register(&conn).map_err(|error| migrate::explain(&claimed.path, error))?;
        Self::finish(
            database,
            conn,
            node,
            claimed,
            vault,
            settings.max_pending,
            &clock,
        )
    }

    /// Opens the store read-only and without a lock.
    fn open_to_read(settings: &Settings) -> Result<Self, OpenError> {
        let path = check::find(settings)?;
        let conn = check::open_read_only(&path)?;
        let vault = key::find(settings)?;
        // An older schema must be migrated first.
        if migrate::version(&conn, &path)? < migrate::newest() {
            drop(conn);
            return Self::open_existing(settings);
        }
        let shared = Arc::new(Shared::new(Clock::adjusted()));
        let counts = clock::resume(&conn, &shared.clock)
            .and_then(|()| row::counts(&conn))
            .map_err(|error| migrate::explain(&path, error))?;
        shared.status().counts = counts;
        let files = Files {
            database: Database::Read(path),
            watch: Arc::default(),
            vault: Arc::new(vault),
        };
        // Without a receiver, writing verbs fail as if the store were closed.
        let (inbox, _) = mpsc::channel(1);
        Ok(Self::assemble(inbox, files, shared, None, None))
    }

    pub(in crate::queue) fn in_memory(max_pending: u64, clock: &Clock) -> Result<Self, OpenError> {
        let name = format!(
            "file:/jobbell-{}?vfs=memdb",
            uuid::Builder::from_random_bytes(random())
                .into_uuid()
                .simple()
        );
        let database = Database::Memory(name);
        let (mut conn, vault) = (database.writer()?, key::ephemeral()?);
        migrate::migrate(&mut conn, Path::new("memory"), &vault)?;
        let node =
            node::register(&conn).map_err(|error| migrate::explain(database.name(), error))?;
        let files = Files {
            database,
            watch: Arc::default(),
            vault: Arc::new(vault),
        };
        Self::start(files, conn, node, max_pending, Vec::new(), clock)
    }

    fn finish(
        database: Database,
        conn: Connection,
        node: NodeId,
        mut claimed: StateDir,
        vault: Vault,
        max_pending: u64,
        clock: &Clock,
    ) -> Result<Self, OpenError> {
        claimed.remember()?;
        let watch =
            Watch::over(&claimed.path).map_err(|error| not_writable(&claimed.path, error))?;
        let files = Files {
            database,
            watch: Arc::new(watch),
            vault: Arc::new(vault),
        };
        Self::start(files, conn, node, max_pending, claimed.into_locks(), clock)
    }

    fn start(
        files: Files,
        conn: Connection,
        node: NodeId,
        max_pending: u64,
        locks: Vec<std::fs::File>,
        clock: &Clock,
    ) -> Result<Self, OpenError> {
        let shared = Arc::new(Shared::new(clock.clone()));
        let path = files.database.name().to_owned();
        let writer = Writer::new(
            files.clone(),
            conn,
            node,
            max_pending,
            Arc::clone(&shared),
            locks,
        )
        .map_err(|error| migrate::explain(&path, error))?;
        let (inbox, requests) = mpsc::channel(INBOX);
        let thread = std::thread::Builder::new()
            .name("jobbell-store".to_owned())
            .spawn(move || writer.run(requests))
            .map_err(OpenError::Thread)?;
        Ok(Self::assemble(
            inbox,
            files,
            shared,
            Some(thread),
            Some(LONGEST_LIST),
        ))
    }

    fn assemble(
        inbox: mpsc::Sender<Request>,
        files: Files,
        shared: Arc<Shared>,
        thread: Option<JoinHandle<()>>,
        longest_list: Option<Duration>,
    ) -> Self {
        let readers = Arc::new(Readers::new(files.clone(), None));
        let lists = Arc::new(Readers::new(files.clone(), longest_list));
        Self {
            inbox,
            readers,
            lists,
            shared,
            files,
            closed: AtomicBool::new(false),
            redact_cursor: Mutex::default(),
            rendering: Rendering::default(),
            thread: Thread(Mutex::new(thread)),
        }
    }
}

fn prepare(
    database: &Database,
    claimed: &StateDir,
    vault: &Vault,
    key: &Path,
    clock: &Clock,
) -> Result<Connection, OpenError> {
    wal::examine(&claimed.path)?;
    let mut conn = database.writer()?;
    // A database without our tables beside a marker file has lost its content.
    if migrate::version(&conn, &claimed.path)? == 0 && claimed.marked {
        return Err(claimed.lost());
    }
    migrate::migrate(&mut conn, &claimed.path, vault)?;
    let unreadable = clock::resume(&conn, clock)
        .and_then(|()| secrets::unreadable(&conn, vault))
        .map_err(|error| migrate::explain(&claimed.path, error))?;
    if unreadable > 0 {
        tracing::warn!(
            mails = unreadable,
            "codes and secret links wait that were encrypted by another key than {}; their mails will end as dead (unrenderable). To send them, stop, and put the old key there",
            key.display()
        );
    }
    Ok(conn)
}

/// Registers this node and recovers what all others held. Returns its id.
fn recover(
    conn: &mut Connection,
    settings: &Settings,
    rendering: &[DeliveryId],
    clock: &Clock,
) -> rusqlite::Result<NodeId> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (node, now) = (node::register(&tx)?, clock.now());
    let due_at = now.after(settings.recovery_delay);
    recover::run(&tx, node, rendering, due_at, now)?;
    clock::write(&tx, &clock.state())?;
    tx.commit()?;
    Ok(node)
}

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    fastrand::fill(&mut bytes);
    bytes
}
