//! Opens the store: claims the place, migrates, takes leases back, starts the writer.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, TransactionBehavior, params};
use tokio::sync::mpsc;

use super::place::{Claimed, Place};
use super::readers::Readers;
use super::row::{self, int, lane_code};
use super::writer::{Shared, Writer};
use super::{INBOX, Store, Thread, migrate, usage};
use crate::domain::{Lane, State, Timestamp};
use crate::queue::{OpenError, Settings};

/// Those under way have the latest due times, so the walk from the end finds them soon, and stops when it has as many as were counted.
const HELD: &str = "SELECT seq FROM deliveries WHERE lane = ?1 AND state < 2 AND state = 1 ORDER BY due_at DESC LIMIT ?2";

impl Store {
    pub(in crate::queue) fn open(settings: &Settings, now: Timestamp) -> Result<Self, OpenError> {
        let claimed = Claimed::new(settings, true)?;
        let place = Place::File(claimed.path.clone());
        let mut conn = prepare(&place, &claimed)?;
        take_back(&mut conn, now).map_err(|error| migrate::explain(&claimed.path, error))?;
        Self::finish(place, conn, claimed, settings.max_pending)
    }

    pub(in crate::queue) fn open_existing(settings: &Settings) -> Result<Self, OpenError> {
        let claimed = Claimed::new(settings, false)?;
        let place = Place::File(claimed.path.clone());
        let conn = prepare(&place, &claimed)?;
        Self::finish(place, conn, claimed, settings.max_pending)
    }

    pub(in crate::queue) fn in_memory(max_pending: u64) -> Result<Self, OpenError> {
        let name = format!("file:/jobbell-{}?vfs=memdb", uuid::Builder::from_random_bytes(random()).into_uuid().simple());
        let place = Place::Memory(name);
        let mut conn = place.writer()?;
        migrate::migrate(&mut conn, Path::new("memory"))?;
        Self::start(place, conn, max_pending, Vec::new())
    }

    fn finish(place: Place, conn: Connection, mut claimed: Claimed, max_pending: u64) -> Result<Self, OpenError> {
        claimed.remember()?;
        Self::start(place, conn, max_pending, claimed.into_locks())
    }

    fn start(place: Place, conn: Connection, max_pending: u64, locks: Vec<std::fs::File>) -> Result<Self, OpenError> {
        let shared = Arc::new(Shared::default());
        let readers = Arc::new(Readers::new(place.clone()));
        let path = place.name().to_owned();
        let writer = Writer::new(place, conn, max_pending, Arc::clone(&shared), locks).map_err(|error| migrate::explain(&path, error))?;
        let (inbox, requests) = mpsc::channel(INBOX);
        let thread = std::thread::Builder::new().name("jobbell-store".to_owned()).spawn(move || writer.run(requests)).map_err(OpenError::Thread)?;
        Ok(Self { inbox, readers, shared, closed: AtomicBool::new(false), thread: Thread(Mutex::new(Some(thread))) })
    }
}

fn prepare(place: &Place, claimed: &Claimed) -> Result<Connection, OpenError> {
    let mut conn = place.writer()?;
    // A database without our tables beside the mark of a queue is as lost as an empty file.
    if migrate::version(&conn, &claimed.path)? == 0 && claimed.marked {
        return Err(claimed.lost());
    }
    migrate::migrate(&mut conn, &claimed.path)?;
    Ok(conn)
}

/// Puts every delivery that was under way back into the queue, due now, its attempt counted: it may have killed the worker.
fn take_back(conn: &mut Connection, now: Timestamp) -> rusqlite::Result<()> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut counts = row::counts(&tx)?;
    usage::record_lost(&tx, counts.sending, now)?;
    for lane in Lane::ALL {
        let held = {
            let mut statement = tx.prepare(HELD)?;
            statement.query_map(params![lane_code(*lane), int(counts.sending)], |row| row.get::<_, i64>(0))?.collect::<rusqlite::Result<Vec<_>>>()?
        };
        let mut release = tx.prepare_cached("UPDATE deliveries SET state = 0, due_at = ?2 WHERE seq = ?1")?;
        for seq in held {
            release.execute(params![seq, now.as_millis()])?;
            counts.shift(State::Sending, State::Queued);
        }
    }
    row::write_counts(&tx, &counts)?;
    tx.commit()
}

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    fastrand::fill(&mut bytes);
    bytes
}
