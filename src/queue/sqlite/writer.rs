//! The writer thread: collects the requests that wait, runs them in one transaction and answers them
//! after the commit.

use std::fs::File;
use std::sync::Arc;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::mpsc;

use super::claimer::PendingClaim;
use super::commit_error::{self, CommitError};
use super::connect::Database;
use super::files::Files;
use super::node::NodeId;
use super::request::Request;
use super::shared::Shared;
use super::tx::WriteTx;
use super::watch::Watch;
use super::{clock, row};
use crate::clock::ClockState;
use crate::domain::Timestamp;
use crate::queue::{Counts, StoreError};

/// The most requests in one transaction; bounds how long the first of them waits.
const MAX_BATCH: usize = 1024;

pub(super) struct Writer {
    files: Files,
    /// `None` after an error that leaves the handle in doubt; reopened for the next batch.
    conn: Option<Connection>,
    /// Watches the connection's WAL file.
    wal: Watch,
    node: NodeId,
    counts: Counts,
    /// The clock's state on disk.
    clock: ClockState,
    max_pending: u64,
    is_failing: bool,
    claim: PendingClaim,
    shared: Arc<Shared>,
    /// Held as long as the thread runs.
    locks: Vec<File>,
}

impl Writer {
    pub(super) fn new(
        files: Files,
        conn: Connection,
        node: NodeId,
        max_pending: u64,
        shared: Arc<Shared>,
        locks: Vec<File>,
    ) -> rusqlite::Result<Self> {
        let (counts, (clock, _)) = (row::counts(&conn)?, clock::read(&conn)?);
        shared.status().counts = counts;
        let wal = Watch::over_wal(&files.database);
        Ok(Self {
            files,
            conn: Some(conn),
            wal,
            node,
            counts,
            clock,
            max_pending,
            is_failing: false,
            claim: PendingClaim::default(),
            shared,
            locks,
        })
    }

    /// Serves requests until one of them is [`Request::Stop`] or all senders are gone.
    pub(super) fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        let mut requests = Vec::new();
        while inbox.blocking_recv_many(&mut requests, MAX_BATCH) > 0 {
            let stop = requests
                .iter()
                .any(|request| matches!(request, Request::Stop));
            self.serve(requests.drain(..));
            if stop {
                break;
            }
        }
        inbox.close();
        while let Some(late) = inbox.blocking_recv() {
            late.finish(Err(StoreError::Closed));
        }
        // The last connection to close writes the WAL back into the database file and removes it;
        // only then may another process open the database.
        drop(self.conn.take());
        for lock in self.locks {
            // Closing the file releases the lock, except while a child process that is being
            // spawned still has a copy of the descriptor.
            if let Err(error) = lock.unlock() {
                tracing::warn!(%error, "could not unlock the queue's lock file; closing it instead");
            }
        }
    }

    pub(super) fn serve(&mut self, requests: impl Iterator<Item = Request>) {
        let mut batch = Vec::new();
        for request in requests {
            match request {
                Request::SetClaim(request) => self.claim.replace(request),
                Request::StopClaim(reply) => {
                    self.claim.remove();
                    reply.send(()).unwrap_or_default();
                }
                request => batch.push(request),
            }
        }
        if batch.is_empty() && !self.claim.is_fresh() {
            return;
        }
        match self.commit(&mut batch) {
            Err(failed) if failed.is_request_fault && batch.len() > 1 => {
                for mut request in batch {
                    let result = self.commit(std::slice::from_mut(&mut request));
                    request.finish(result.map_err(|failed| failed.error));
                }
            }
            result => {
                let result = result.map_err(|failed| failed.error);
                for request in batch {
                    request.finish(result.clone());
                }
            }
        }
        // The fault of another request prevented the attempt.
        if self.claim.is_fresh()
            && let Err(failed) = self.commit(&mut [])
        {
            self.claim.fail_fresh(&failed.error);
        }
    }

    /// Runs requests in one transaction. All of them are on disk after it, or none.
    fn commit(&mut self, requests: &mut [Request]) -> Result<(), CommitError> {
        let mut result = self.transact(requests);
        if let Err(failed) = &result
            && failed.is_request_fault
            && self.claim.is_at_fault()
        {
            // No request is refused because of the claim.
            self.claim.answer(Err(failed.error.clone()));
            result = self.transact(requests);
        }
        match &result {
            Ok(wake_thumbnails) => self.publish(*wake_thumbnails),
            Err(failed) if failed.is_request_fault => {}
            Err(failed) => {
                if !self.is_failing {
                    tracing::error!(error = %failed.error, "the queue cannot write to its database; it refuses events until it can");
                }
                self.is_failing = true;
                self.shared.status().failing = Some(failed.error.to_string());
                self.claim.fail_fresh(&failed.error);
            }
        }
        result.map(drop)
    }

    /// Publishes the state after a commit and answers the pending claim.
    fn publish(&mut self, wake_thumbnails: bool) {
        if self.is_failing {
            tracing::info!("the queue can write to its database again");
        }
        self.is_failing = false;
        {
            let mut status = self.shared.status();
            (status.counts, status.failing) = (self.counts, None);
        }
        self.claim.committed();
        if wake_thumbnails {
            self.shared.thumbnails.notify_one();
        }
    }

    /// Returns whether a thumbnail job was added.
    fn transact(&mut self, requests: &mut [Request]) -> Result<bool, CommitError> {
        self.files
            .watch
            .check()
            .and_then(|()| self.wal.check())
            .map_err(CommitError::disk)?;
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.reopen().map_err(CommitError::disk)?,
        };
        match self.run_in(&mut conn, requests) {
            Ok((counts, wake_thumbnails)) => {
                self.conn = Some(conn);
                self.counts = counts;
                Ok(wake_thumbnails)
            }
            Err(error) => {
                // A handle that could not write may hold pages that never reached the disk, so it
                // is not used again.
                if !commit_error::leaves_doubt(&error)
                    || matches!(self.files.database, Database::Memory(_))
                {
                    self.conn = Some(conn);
                } else {
                    self.wal = Watch::default();
                }
                Err(CommitError::of(error, &self.files.database))
            }
        }
    }

    fn run_in(
        &mut self,
        conn: &mut Connection,
        requests: &mut [Request],
    ) -> rusqlite::Result<(Counts, bool)> {
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut tx = WriteTx {
            conn: &transaction,
            vault: &self.files.vault,
            node: self.node,
            counts: self.counts,
            max_pending: self.max_pending,
            wake: false,
            wake_thumbnails: false,
            now: Timestamp::from_millis(0),
        };
        let before = transaction.total_changes();
        for request in requests {
            request.run(&mut tx)?;
        }
        self.claim.run(&mut tx)?;
        let (counts, wake_thumbnails) = (tx.counts, tx.wake_thumbnails);
        let (now, clock) = (self.shared.clock.now(), self.shared.clock.state());
        if clock != self.clock {
            clock::write(&transaction, &clock)?;
        }
        // After a failure, only a write shows that the disk has recovered.
        if transaction.total_changes() != before || self.is_failing {
            row::write_counts(&transaction, &counts, now)?;
        }
        transaction.commit()?;
        self.clock = clock;
        Ok((counts, wake_thumbnails))
    }

    fn reopen(&mut self) -> Result<Connection, StoreError> {
        let conn = self
            .files
            .database
            .writer()
            .map_err(|error| StoreError::failed("open its database", error))?;
        self.counts = row::counts(&conn).map_err(|error| StoreError::failed("read", error))?;
        self.wal = Watch::over_wal(&self.files.database);
        Ok(conn)
    }
}
