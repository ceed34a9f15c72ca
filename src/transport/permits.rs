//! Connection permits of one mail server. Every use of a connection needs one, so no more than
//! `max_connections` are open at a time.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::domain::{Failure, FailureKind, Lane, Stage};

/// How long a mail waits for a connection.
pub const CONNECTION_WAIT: Duration = Duration::from_mins(1);

/// How many of `total` connections or other slots are reserved for urgent mails: one in eight, and
/// at least one if there are two or more.
pub fn urgent_share(total: usize) -> usize {
    (total / 8).max(usize::from(total > 1))
}

/// The permits of one server.
#[derive(Debug)]
pub struct ConnectionPermits {
    /// One for each connection.
    connections: Semaphore,
    /// One for each connection that normal mails may use.
    normal: Semaphore,
}

/// The right to use one connection, until it is dropped.
#[derive(Debug)]
pub struct ConnectionPermit<'a> {
    _connection: SemaphorePermit<'a>,
    _normal: Option<SemaphorePermit<'a>>,
}

/// Why there is no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AcquireError {
    /// All connections that the lane may use were in use for [`CONNECTION_WAIT`].
    #[error("no connection to this server became free within {} s", CONNECTION_WAIT.as_secs())]
    Busy,
    /// [`ConnectionPermits::close`] was called.
    #[error("the connections to this server are being closed")]
    Closed,
}

impl ConnectionPermits {
    /// Permits for `max_connections` connections, at least one.
    pub fn new(max_connections: usize) -> Self {
        let connections = max_connections.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            connections: Semaphore::new(connections),
            normal: Semaphore::new(connections - urgent_share(connections)),
        }
    }

    /// Waits for a permit, in the order of the calls, for at most [`CONNECTION_WAIT`].
    ///
    /// Normal mails cannot take the connections that [`urgent_share`] reserves.
    ///
    /// # Errors
    /// When no connection became free in that time, or the permits were closed.
    pub async fn acquire(&self, lane: Lane) -> Result<ConnectionPermit<'_>, AcquireError> {
        let acquire = async {
            let normal = match lane {
                Lane::Urgent => None,
                Lane::Normal => Some(self.normal.acquire().await?),
            };
            let connection = self.connections.acquire().await?;
            Ok(ConnectionPermit {
                _connection: connection,
                _normal: normal,
            })
        };
        match timeout(CONNECTION_WAIT, acquire).await {
            Ok(acquired) => {
                acquired.map_err(|_closed: tokio::sync::AcquireError| AcquireError::Closed)
            }
            Err(_) => Err(AcquireError::Busy),
        }
    }

    /// A permit that is free now, if there is one.
    pub fn try_acquire(&self) -> Option<ConnectionPermit<'_>> {
        let connection = self.connections.try_acquire().ok()?;
        Some(ConnectionPermit {
            _connection: connection,
            _normal: None,
        })
    }

    /// Refuses further permits, also to those who wait for one. Permits in use stay valid.
    pub fn close(&self) {
        self.normal.close();
        self.connections.close();
    }
}

impl From<AcquireError> for Failure {
    fn from(error: AcquireError) -> Self {
        Self {
            kind: FailureKind::Unavailable {
                retry_after: None,
                server_wide: true,
            },
            stage: Stage::Connect,
            reply: None,
            detail: error.to_string(),
            explanation: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[test]
    fn urgent_mails_have_one_slot_in_eight() {
        assert_eq!(
            [0, 1, 2, 4, 8, 16, 100].map(urgent_share),
            [0, 0, 1, 1, 1, 2, 12]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn normal_mails_leave_the_urgent_share_of_connections_free() {
        for (connections, normal) in [(1, 1), (2, 1), (4, 3), (16, 14)] {
            let permits = ConnectionPermits::new(connections);
            let mut held = Vec::new();
            for _ in 0..normal {
                held.push(permits.acquire(Lane::Normal).await.unwrap());
            }
            let started = Instant::now();
            let refused = permits.acquire(Lane::Normal).await.unwrap_err();
            assert_eq!(refused, AcquireError::Busy, "{connections}");
            assert_eq!(started.elapsed(), CONNECTION_WAIT);
            for _ in normal..connections {
                held.push(permits.acquire(Lane::Urgent).await.unwrap());
            }
            let refused = permits.acquire(Lane::Urgent).await.unwrap_err();
            assert_eq!(refused, AcquireError::Busy, "{connections}");
            held.remove(0);
            assert!(permits.acquire(Lane::Normal).await.is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn urgent_mails_take_connections_that_normal_mails_then_wait_for() {
        let permits = ConnectionPermits::new(2);
        let _urgent = [
            permits.acquire(Lane::Urgent).await.unwrap(),
            permits.acquire(Lane::Urgent).await.unwrap(),
        ];
        let refused = permits.acquire(Lane::Normal).await.unwrap_err();
        assert_eq!(refused, AcquireError::Busy);
    }

    #[tokio::test(start_paused = true)]
    async fn message_names_the_time_that_was_waited() {
        let permits = ConnectionPermits::new(1);
        let _held = permits.acquire(Lane::Normal).await.unwrap();
        let started = Instant::now();
        let refused = permits.acquire(Lane::Urgent).await.unwrap_err();
        assert_eq!(
            Failure::from(refused).detail,
            format!(
                "no connection to this server became free within {} s",
                started.elapsed().as_secs()
            )
        );
    }

    #[tokio::test]
    async fn close_refuses_those_who_wait() {
        let permits = ConnectionPermits::new(1);
        let _held = permits.acquire(Lane::Normal).await.unwrap();
        let (normal, urgent, ()) = tokio::join!(
            permits.acquire(Lane::Normal),
            permits.acquire(Lane::Urgent),
            async { permits.close() },
        );
        assert_eq!(
            (normal.unwrap_err(), urgent.unwrap_err()),
            (AcquireError::Closed, AcquireError::Closed)
        );
    }
}
