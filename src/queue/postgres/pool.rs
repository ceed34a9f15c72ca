//! A few connections that take turns. Each kind of work has its own, so that no kind waits for
//! another.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tokio_postgres::Row;

use super::connection::{Connection, Value};
use super::connector::{ConnectError, Connector};
use super::query_error::{QueryError, VERB_TIMEOUT};
pub(super) use super::verb_error::VerbError;
use crate::queue::StoreError;

/// How long a verb waits for a free connection, and for the end of a pause after an outage.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a verb takes at most, and the shortest time that a statement is given.
pub(super) const LIMIT: Duration = Duration::from_secs(10);
const SHORTEST: Duration = Duration::from_secs(1);
/// How often a statement is tried that may be repeated.
const TRIES: usize = 3;

/// How often a statement is tried that conflicts with others.
const CONFLICTS: u32 = 4;

/// Connections for one kind of work.
#[derive(Debug)]
pub(super) struct Pool {
    connector: Arc<Connector>,
    free: Semaphore,
    idle: Mutex<Vec<Idle>>,
    /// The number of the first connection, see [`Checkout::writer`].
    first: i16,
}

#[derive(Debug)]
struct Idle {
    /// `None` until it is connected.
    connection: Option<Connection>,
    generation: u64,
    number: i16,
}

impl Pool {
    /// A pool of `size` connections, which are made when they are needed. Their numbers begin with
    /// `first`.
    pub(super) fn new(connector: Arc<Connector>, size: u8, first: i16) -> Self {
        let idle = |number| Idle {
            connection: None,
            generation: 0,
            number: first + i16::from(number),
        };
        Self {
            connector,
            free: Semaphore::new(usize::from(size)),
            idle: Mutex::new((0..size).map(idle).collect()),
            first,
        }
    }

    /// Takes a connection, and connects it if need be.
    pub(super) async fn get(&self) -> Result<Checkout<'_>, StoreError> {
        let since = Instant::now();
        let permit = tokio::time::timeout(PATIENCE, self.free.acquire())
            .await
            .map_err(|_| StoreError::Busy)?
            .map_err(|_| StoreError::Closed)?;
        let mut idle = self.take();
        let generation = self.connector.generation();
        let usable = (idle.connection.take())
            .filter(|connection| !connection.is_closed() && idle.generation == generation);
        // Fills the slot again if this future is dropped while it connects.
        let mut checkout = Checkout {
            pool: self,
            connection: usable,
            generation,
            number: idle.number,
            since,
            _permit: permit,
        };
        if checkout.connection.is_none() {
            checkout.connection = Some(checkout.connect().await?);
        }
        Ok(checkout)
    }

    /// Runs one statement on any connection of the pool.
    pub(super) async fn query(
        &self,
        statement: &str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, VerbError> {
        Ok(self.get().await?.query(statement, values).await?)
    }

    /// The same for a statement that writes and may be repeated: it is, after a conflict with another
    /// node or if its result is unknown.
    pub(super) async fn write(
        &self,
        statement: &str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, VerbError> {
        let mut tries = 1;
        loop {
            match self.query(statement, values).await {
                Err(VerbError::Query(error))
                    if tries < TRIES && (error.is_conflict() || error.may_be_committed()) =>
                {
                    tries += 1;
                }
                answer => return answer,
            }
        }
    }

    /// Later verbs fail; connections are closed.
    pub(super) fn close(&self) {
        self.free.close();
        self.idle().clear();
    }

    fn take(&self) -> Idle {
        self.idle().pop().unwrap_or(Idle {
            connection: None,
            generation: 0,
            number: self.first,
        })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection in use; returns to its pool when dropped.
#[derive(Debug)]
pub(super) struct Checkout<'a> {
    pool: &'a Pool,
    connection: Option<Connection>,
    generation: u64,
    number: i16,
    /// When the verb began.
    since: Instant,
    _permit: SemaphorePermit<'a>,
}

impl Checkout<'_> {
    /// The number of this connection within its node: the row of `counts` that it writes.
    pub(super) const fn writer(&self) -> i16 {
        self.number
    }

    /// The connection, made anew if the last statement failed in a way that ended it.
    async fn connected(&mut self) -> Result<Connection, QueryError> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => self.connect().await.map_err(|error| match error {
                ConnectError::Pausing(reason) => QueryError::NoConnection(reason),
                ConnectError::Query(error) => error,
            }),
        }
    }

    /// Connects. A short pause, as after the loss of one connection, is waited for: the verb may just
    /// be asking whether its statement was committed.
    async fn connect(&mut self) -> Result<Connection, ConnectError> {
        let connector = &self.pool.connector;
        let pause = connector.pause();
        if pause < PATIENCE.saturating_sub(self.since.elapsed()) {
            tokio::time::sleep(pause).await;
        }
        self.generation = connector.generation();
        connector.connect().await
    }

    /// Runs one statement. An outage drops all connections; a lost link or a late answer drops this
    /// one.
    pub(super) async fn query(
        &mut self,
        statement: &str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, QueryError> {
        self.query_within(VERB_TIMEOUT, statement, values).await
    }

    /// The same with another time limit.
    pub(super) async fn query_within(
        &mut self,
        limit: Duration,
        statement: &str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, QueryError> {
        // Taken out while the statement runs: if this future is dropped, an answer is still to come,
        // and the connection must not be used again.
        let connection = self.connected().await?;
        let left = LIMIT.saturating_sub(self.since.elapsed()).max(SHORTEST);
        let answer = (connection.query_within(limit.min(left), statement, values)).await;
        match &answer {
            Err(error) if error.is_outage() => self.failed(error),
            Err(QueryError::NotReplicated) => {}
            _ => self.connection = Some(connection),
        }
        answer
    }

    /// The same for a statement that only reads and may take long: if it takes longer than `limit`,
    /// the connection is dropped, and the database is not to blame.
    pub(super) async fn query_long(
        &mut self,
        limit: Duration,
        statement: &str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, QueryError> {
        let connection = self.connected().await?;
        let answer = connection.query_within(limit, statement, values).await;
        match &answer {
            Err(QueryError::TimedOut) => {}
            Err(error) if error.is_outage() => self.failed(error),
            _ => self.connection = Some(connection),
        }
        answer
    }

    /// Records an outage, once for all connections that it has ended.
    fn failed(&self, error: &QueryError) {
        if self.generation == self.pool.connector.generation() {
            self.pool.connector.failed(error);
        }
    }
}

impl Checkout<'_> {
    /// The same, and at once again if it conflicts with a statement of another node.
    pub(super) async fn query_again(
        &mut self,
        statement: &str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, QueryError> {
        for _ in 1..CONFLICTS {
            match self.query(statement, values).await {
                Err(error) if error.is_conflict() => {}
                answer => return answer,
            }
        }
        self.query(statement, values).await
    }
}

impl Drop for Checkout<'_> {
    fn drop(&mut self) {
        let idle = Idle {
            connection: self.connection.take(),
            generation: self.generation,
            number: self.number,
        };
        if !self.pool.free.is_closed() {
            self.pool.idle().push(idle);
        }
    }
}
