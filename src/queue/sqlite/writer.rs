//! The one thread that writes: takes what waits, writes it in one transaction, answers when that is
//! on disk.

use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::mpsc;

use super::claimer::{ClaimResult, PendingClaim};
use super::location::Location;
use super::tx::{Request, WriteTx};
use super::watch::Watch;
use super::{Files, row};
use crate::domain::Timestamp;
use crate::queue::error::NoInodes;
use crate::queue::notify::Notifier;
use crate::queue::vault::Vault;
use crate::queue::{Counts, StoreError, space};

/// The most requests in one transaction; bounds how long the first of them waits.
const MAX_BATCH: usize = 1024;

/// What the writer tells the rest of the room.
#[derive(Debug, Default)]
pub(super) struct Shared {
    status: Mutex<Status>,
    pub(super) wake: Notifier,
    pub(super) wait_for_thumbnails: Notifier,
}

/// As of the last batch.
#[derive(Debug, Default, Clone)]
pub(super) struct Status {
    pub(super) counts: Counts,
    pub(super) failing: Option<String>,
    /// When the claim that stays may find something; it found nothing when it was last tried.
    pub(super) next_claim_at: Option<Timestamp>,
}

impl Shared {
    pub(super) fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Writer {
    files: Files,
    /// None after an error that leaves the handle in doubt; opened anew for the next batch.
    conn: Option<Connection>,
    /// The log that belongs to it.
    log: Watch,
    counts: Counts,
    max_pending: u64,
    failing: bool,
    standing: PendingClaim,
    shared: Arc<Shared>,
    /// Held for as long as the thread lives.
    locks: Vec<File>,
}

/// Whom to call once a batch is on disk.
#[derive(Clone, Copy)]
struct Wakeups {
    wake: bool,
    wait_for_thumbnails: bool,
}

/// Why a batch came to nothing.
struct CommitError {
    error: StoreError,
    /// Whether it was one request's own fault, so that the others may succeed without it.
    own_fault: bool,
}

impl Writer {
    pub(super) fn new(
        files: Files,
        conn: Connection,
        max_pending: u64,
        shared: Arc<Shared>,
        locks: Vec<File>,
    ) -> rusqlite::Result<Self> {
        let counts = row::counts(&conn)?;
        shared.status().counts = counts;
        let log = Watch::over_log(&files.place);
        Ok(Self {
            files,
            conn: Some(conn),
            log,
            counts,
            max_pending,
            failing: false,
            standing: PendingClaim::default(),
            shared,
            locks,
        })
    }

    /// Serves until it is told to stop or nobody is left who could ask.
    pub(super) fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        let mut requests = Vec::new();
        while inbox.blocking_recv_many(&mut requests, MAX_BATCH) > 0 {
            let stop = requests
                .iter()
                .any(|request| matches!(request, Request::Stop));
            self.serve(&mut requests);
            if stop {
                break;
            }
        }
        inbox.close();
        self.standing.close(StoreError::Closed);
        while let Some(late) = inbox.blocking_recv() {
            late.finish(Err(StoreError::Closed));
        }
        // The last connection that closes writes the log back into the database file and removes
        // it; only then may others come.
        drop(self.conn.take());
        for lock in self.locks {
            // Closing the file would do, were it not that a process being spawned at this moment
            // still has a copy of it.
            if let Err(error) = lock.unlock() {
                tracing::warn!(%error, "the lock of the store is given back by closing it");
            }
        }
    }

    pub(super) fn serve(&mut self, requests: &mut Vec<Request>) {
        self.standing.admit(requests);
        match self.commit(requests) {
            Err(trouble) if trouble.own_fault && requests.len() > 1 => {
                for mut request in requests.drain(..) {
                    let result = self.commit(std::slice::from_mut(&mut request));
                    request.finish(result.map_err(|trouble| trouble.error));
                }
            }
            result => {
                let result = result.map_err(|trouble| trouble.error);
                for request in requests.drain(..) {
                    request.finish(result.clone());
                }
            }
        }
        // Another request's fault has kept it from being tried.
        if self.standing.is_fresh()
            && let Err(trouble) = self.commit(&mut [])
        {
            self.standing.refuse(&trouble.error);
        }
    }

    /// Runs requests in one transaction: after this all of them are on disk, or none.
    fn commit(&mut self, requests: &mut [Request]) -> Result<(), CommitError> {
        let mut result = self.transact(requests);
        if let Err(trouble) = &result
            && trouble.own_fault
            && self.standing.is_at_fault()
        {
            // Nobody else's request is refused because of it.
            self.standing.close(trouble.error.clone());
            result = self.transact(requests);
        }
        match &result {
            Ok(calls) => {
                if self.failing {
                    tracing::info!("the store writes again");
                }
                self.failing = false;
                self.tell(*calls);
            }
            Err(trouble) if trouble.own_fault => {}
            Err(trouble) => {
                if !self.failing {
                    tracing::error!(error = %trouble.error, "the store cannot write; producers are asked to wait until it can");
                }
                self.failing = true;
                self.shared.status().failing = Some(trouble.error.to_string());
                self.standing.refuse(&trouble.error);
            }
        }
        result.map(drop)
    }

    /// Says what a commit has brought. Whoever has a claim standing is told by its answer, or that
    /// it has to wait.
    fn tell(&mut self, calls: Wakeups) {
        let came = self.standing.committed();
        {
            let mut status = self.shared.status();
            (status.counts, status.failing) = (self.counts, None);
            if let ClaimResult::Nothing(due) = came {
                status.next_claim_at = due;
            }
        }
        if matches!(came, ClaimResult::Nothing(_))
            || calls.wake && matches!(came, ClaimResult::NotAsked)
        {
            self.shared.wake.call();
        }
        if calls.wait_for_thumbnails {
            self.shared.wait_for_thumbnails.call();
        }
    }

    fn transact(&mut self, requests: &mut [Request]) -> Result<Wakeups, CommitError> {
        self.files
            .watch
            .check()
            .and_then(|()| self.log.check())
            .map_err(|error| CommitError {
                error,
                own_fault: false,
            })?;
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.reopen().map_err(|error| CommitError {
                error,
                own_fault: false,
            })?,
        };
        let batch = Start {
            counts: self.counts,
            max_pending: self.max_pending,
            failing: self.failing,
        };
        let result = transaction(
            &mut conn,
            &self.files.vault,
            requests,
            &mut self.standing,
            batch,
        );
        match result {
            Ok((counts, calls)) => {
                self.conn = Some(conn);
                self.counts = counts;
                Ok(calls)
            }
            Err(error) => {
                // A handle that has failed to reach the disk may hold pages that never got there,
                // so it is not asked again.
                if !leaves_doubt(&error) || matches!(self.files.place, Location::Memory(_)) {
                    self.conn = Some(conn);
                } else {
                    self.log = Watch::default();
                }
                Err(CommitError {
                    own_fault: is_own_fault(&error),
                    error: self.explain(error),
                })
            }
        }
    }

    fn explain(&self, error: rusqlite::Error) -> StoreError {
        let is_space = matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DiskFull | ErrorCode::CannotOpen | ErrorCode::SystemIoFailure)
        );
        match &self.files.place {
            Location::File(path) if is_space && space::has_no_inodes(path) => {
                StoreError::failed("write", NoInodes)
            }
            _ => StoreError::failed("write", error),
        }
    }

    fn reopen(&mut self) -> Result<Connection, StoreError> {
        let conn = self
            .files
            .place
            .writer()
            .map_err(|error| StoreError::failed("open its database", error))?;
        self.counts = row::counts(&conn).map_err(|error| StoreError::failed("read", error))?;
        self.log = Watch::over_log(&self.files.place);
        Ok(conn)
    }
}

/// What a transaction begins with.
#[derive(Clone, Copy)]
struct Start {
    counts: Counts,
    max_pending: u64,
    failing: bool,
}

fn transaction(
    conn: &mut Connection,
    vault: &Vault,
    requests: &mut [Request],
    standing: &mut PendingClaim,
    start: Start,
) -> rusqlite::Result<(Counts, Wakeups)> {
    let Start {
        counts,
        max_pending,
        failing,
    } = start;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut batch = WriteTx {
        conn: &tx,
        vault,
        counts,
        max_pending,
        wake: false,
        wait_for_thumbnails: false,
        now: Timestamp::from_millis(0),
    };
    for request in requests {
        request.run(&mut batch)?;
    }
    standing.run(&mut batch)?;
    let (after, calls) = (
        batch.counts,
        Wakeups {
            wake: batch.wake,
            wait_for_thumbnails: batch.wait_for_thumbnails,
        },
    );
    // After a failure something is written in any case: only that shows that the disk is back.
    if after != counts || failing {
        row::write_counts(&tx, &after)?;
    }
    tx.commit()?;
    Ok((after, calls))
}

/// Whether an error speaks of a request and not of the disk.
fn is_own_fault(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(code) => matches!(
            code,
            ErrorCode::ConstraintViolation
                | ErrorCode::TooBig
                | ErrorCode::TypeMismatch
                | ErrorCode::ParameterOutOfRange
        ),
        None => true,
    }
}

/// Whether the handle is to be given up. Not when another process held the lock too long or the
/// disk was full: SQLite has rolled back cleanly then.
fn leaves_doubt(error: &rusqlite::Error) -> bool {
    !is_own_fault(error)
        && !matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
        )
}
