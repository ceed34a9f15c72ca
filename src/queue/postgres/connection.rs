//! One connection, on which one statement runs at a time.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Notification, Row};

use super::query_error::{QueryError, VERB_TIMEOUT};

/// A value of a statement with its type: statements are not prepared, so that `PgBouncer`'s
/// transaction mode works, and each is one round trip.
pub(super) type Value<'a> = (&'a (dyn ToSql + Sync), Type);

/// A connection. Dropping it closes the socket without a word to the server.
#[derive(Debug)]
pub(super) struct Connection {
    client: Client,
    driver: JoinHandle<()>,
    /// Set by a warning that the wait for a synchronous standby was cancelled.
    wait_cancelled: Arc<AtomicBool>,
}

impl Connection {
    /// Takes over a new connection and drives it. Notifications go to `notifications`, if anybody
    /// listens.
    pub(super) fn new<S, T>(
        client: Client,
        mut link: tokio_postgres::Connection<S, T>,
        notifications: Option<mpsc::Sender<Notification>>,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let wait_cancelled = Arc::new(AtomicBool::new(false));
        let cancelled = Arc::clone(&wait_cancelled);
        // Ends with the link: the client's next statement then fails.
        let driver = tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| link.poll_message(context)).await {
                match message {
                    AsyncMessage::Notice(notice)
                        if *notice.code() == SqlState::WARNING
                            && notice.message().contains("synchronous replication") =>
                    {
                        cancelled.store(true, Ordering::Release);
                    }
                    AsyncMessage::Notification(notification) => {
                        // A full channel holds enough to wake its reader.
                        if let Some(listener) = &notifications {
                            drop(listener.try_send(notification));
                        }
                    }
                    _ => {}
                }
            }
        });
        Self {
            client,
            driver,
            wait_cancelled,
        }
    }

    /// Runs one statement, which commits by itself.
    pub(super) async fn query(
        &self,
        statement: &str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, QueryError> {
        self.query_within(VERB_TIMEOUT, statement, values).await
    }

    pub(super) async fn query_within(
        &self,
        limit: Duration,
        statement: &str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, QueryError> {
        let answer = tokio::time::timeout(limit, self.client.query_typed(statement, values))
            .await
            .map_err(|_| QueryError::TimedOut)??;
        if self.wait_cancelled.swap(false, Ordering::AcqRel) {
            return Err(QueryError::NotReplicated);
        }
        Ok(answer)
    }

    /// Runs statements without values, such as a migration, as one transaction.
    pub(super) async fn batch(&self, limit: Duration, statements: &str) -> Result<(), QueryError> {
        let done = tokio::time::timeout(limit, self.client.batch_execute(statements)).await;
        Ok(done.map_err(|_| QueryError::TimedOut)??)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
