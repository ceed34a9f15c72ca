//! Connection permits of one mail server. Every use of a connection needs one, so no more than
//! `max_connections` are open at a time.
//!
//! While other nodes use the server as well ([`ConnectionPermits::share`]), there are only as many
//! permits as this process was allotted; their number changes.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::allotment::{Allotment, Parts};
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
    max_connections: usize,
    /// How many of them this process has, if other nodes use the server as well.
    allotment: OnceLock<Allotment>,
}

/// The right to use one connection, until it is dropped.
#[derive(Debug)]
pub struct ConnectionPermit<'a> {
    permits: &'a ConnectionPermits,
    connection: Option<SemaphorePermit<'a>>,
    normal: Option<SemaphorePermit<'a>>,
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
            max_connections: connections,
            allotment: OnceLock::new(),
        }
    }

    /// Waits for a permit, in the order of the calls, for at most [`CONNECTION_WAIT`].
    ///
    /// Normal mails cannot take the connections that [`urgent_share`] reserves.
    ///
    /// # Errors
    /// When no connection became free in that time, or the permits were closed.
    pub async fn acquire(&self, lane: Lane) -> Result<ConnectionPermit<'_>, AcquireError> {
        let Some(allotment) = self.allotment.get() else {
            return self.wait(lane).await;
        };
        if let Some(free) = self.try_acquire_for(lane) {
            return Ok(free);
        }
        let _waiting = allotment.wait(lane);
        self.wait(lane).await
    }

    async fn wait(&self, lane: Lane) -> Result<ConnectionPermit<'_>, AcquireError> {
        let acquire = async {
            let normal = match lane {
                Lane::Urgent => None,
                Lane::Normal => Some(self.normal.acquire().await?),
            };
            Ok(self.permit(self.connections.acquire().await?, normal))
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
        self.try_acquire_for(Lane::Urgent)
    }

    fn try_acquire_for(&self, lane: Lane) -> Option<ConnectionPermit<'_>> {
        let normal = match lane {
            Lane::Urgent => None,
            Lane::Normal => Some(self.normal.try_acquire().ok()?),
        };
        Some(self.permit(self.connections.try_acquire().ok()?, normal))
    }

    const fn permit<'a>(
        &'a self,
        connection: SemaphorePermit<'a>,
        normal: Option<SemaphorePermit<'a>>,
    ) -> ConnectionPermit<'a> {
        ConnectionPermit {
            permits: self,
            connection: Some(connection),
            normal,
        }
    }

    /// How many permits are free.
    pub fn free(&self) -> usize {
        self.connections.available_permits()
    }

    /// Refuses further permits, also to those who wait for one. Permits in use stay valid.
    pub fn close(&self) {
        self.normal.close();
        self.connections.close();
    }
}

/// Permits that other nodes share. Those for [`Lane::Normal`] are for every mail, those for
/// [`Lane::Urgent`] only for urgent mails.
impl ConnectionPermits {
    /// Leaves no permits but those that are added later. Call it before the first is acquired.
    pub fn share(&self) {
        if self.allotment.set(Allotment::default()).is_ok() {
            self.normal.forget_permits(self.max_connections);
            self.connections.forget_permits(self.max_connections);
        }
    }

    /// How many permits all nodes together may have for this lane.
    pub fn capacity(&self, lane: Lane) -> usize {
        let urgent = urgent_share(self.max_connections);
        match lane {
            Lane::Normal => self.max_connections - urgent,
            Lane::Urgent => urgent,
        }
    }

    /// How many waiting mails could use a permit for this lane.
    pub fn demand(&self, lane: Lane) -> usize {
        self.allotment
            .get()
            .map_or(0, |allotment| allotment.demand(lane))
    }

    /// How many permits for this lane there are, free or in use.
    pub fn held(&self, lane: Lane) -> usize {
        self.allotment
            .get()
            .map_or(0, |allotment| allotment.parts().of(lane).held)
    }

    /// Completes when a mail has begun to wait for a permit for this lane, or when one was removed.
    pub async fn changed(&self, lane: Lane) {
        match self.allotment.get() {
            Some(allotment) => allotment.changed(lane).await,
            None => std::future::pending().await,
        }
    }

    /// Adds permits.
    pub fn add(&self, lane: Lane, permits: usize) {
        let Some(allotment) = self.allotment.get() else {
            return;
        };
        {
            let mut parts = allotment.parts();
            let part = parts.of_mut(lane);
            part.held += permits;
            part.limit = part.held;
        }
        self.connections.add_permits(permits);
        if lane == Lane::Normal {
            self.normal.add_permits(permits);
        }
    }

    /// Removes free permits until `limit` are left, and further ones as soon as they are free again.
    pub fn shrink(&self, lane: Lane, limit: usize) {
        let Some(allotment) = self.allotment.get() else {
            return;
        };
        let mut parts = allotment.parts();
        parts.of_mut(lane).limit = limit.min(parts.of(lane).held);
        while parts.of(lane).is_over() && self.remove_free(lane) {
            parts.of_mut(lane).held -= 1;
            allotment.notify(lane);
        }
    }

    fn remove_free(&self, lane: Lane) -> bool {
        if lane == Lane::Normal && self.normal.forget_permits(1) == 0 {
            return false;
        }
        let removed = self.connections.forget_permits(1) == 1;
        if !removed && lane == Lane::Normal {
            self.normal.add_permits(1);
        }
        removed
    }
}

impl ConnectionPermit<'_> {
    /// Whether it is removed when it is dropped, so that its connection must be closed before.
    pub fn is_recalled(&self) -> bool {
        let allotment = self.permits.allotment.get();
        allotment.is_some_and(|allotment| self.recalled_for(&allotment.parts()).is_some())
    }

    /// The lane whose number of permits exceeds its limit.
    fn recalled_for(&self, parts: &Parts) -> Option<Lane> {
        let lanes = [Lane::Urgent, Lane::Normal];
        let mut over = lanes.into_iter().filter(|lane| parts.of(*lane).is_over());
        if self.normal.is_some() {
            over.next_back()
        } else {
            over.next()
        }
    }

    fn give_back(&mut self, allotment: &Allotment) {
        let mut parts = allotment.parts();
        let Some(lane) = self.recalled_for(&parts) else {
            return;
        };
        match (lane, self.normal.take()) {
            (Lane::Normal, Some(normal)) => normal.forget(),
            // It was used by an urgent mail. If normal mails wait for connections, the next one that
            // ends is removed instead.
            (Lane::Normal, None) if self.permits.normal.forget_permits(1) == 0 => return,
            _ => {}
        }
        if let Some(connection) = self.connection.take() {
            connection.forget();
        }
        parts.of_mut(lane).held -= 1;
        allotment.notify(lane);
    }
}

impl Drop for ConnectionPermit<'_> {
    fn drop(&mut self) {
        if let Some(allotment) = self.permits.allotment.get() {
            self.give_back(allotment);
        }
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

    fn shared(max_connections: usize, normal: usize, urgent: usize) -> ConnectionPermits {
        let permits = ConnectionPermits::new(max_connections);
        permits.share();
        permits.add(Lane::Normal, normal);
        permits.add(Lane::Urgent, urgent);
        permits
    }

    #[tokio::test]
    async fn shared_permits_are_those_that_were_added() {
        let permits = shared(8, 1, 1);
        assert_eq!(
            [Lane::Normal, Lane::Urgent].map(|lane| permits.capacity(lane)),
            [7, 1]
        );
        let _normal = permits.acquire(Lane::Normal).await.unwrap();
        let mut second = std::pin::pin!(permits.acquire(Lane::Normal));
        assert!(futures_poll(second.as_mut()).await.is_none());
        assert_eq!(
            [Lane::Normal, Lane::Urgent].map(|lane| permits.demand(lane)),
            [1, 0]
        );
        let urgent = permits.acquire(Lane::Urgent).await.unwrap();
        assert_eq!(permits.free(), 0);
        drop(urgent);
        permits.add(Lane::Normal, 1);
        let _second = second.await.unwrap();
        assert_eq!(
            (permits.demand(Lane::Normal), permits.held(Lane::Normal)),
            (0, 2)
        );
    }

    #[tokio::test]
    async fn recalled_permit_does_not_go_to_the_next_mail() {
        let permits = shared(8, 2, 1);
        let first = permits.acquire(Lane::Normal).await.unwrap();
        let second = permits.acquire(Lane::Normal).await.unwrap();
        let mut third = std::pin::pin!(permits.acquire(Lane::Normal));
        assert!(futures_poll(third.as_mut()).await.is_none());
        permits.shrink(Lane::Normal, 1);
        assert!(first.is_recalled() && permits.held(Lane::Normal) == 2);
        drop(first);
        assert_eq!(permits.held(Lane::Normal), 1);
        assert!(!second.is_recalled() && futures_poll(third.as_mut()).await.is_none());
        drop(second);
        drop(third.await.unwrap());
        permits.shrink(Lane::Normal, 0);
        assert_eq!((permits.held(Lane::Normal), permits.free()), (0, 1));
    }

    #[tokio::test]
    async fn urgent_mail_may_hold_a_recalled_normal_permit() {
        let permits = shared(8, 1, 0);
        let urgent = permits.acquire(Lane::Urgent).await.unwrap();
        permits.shrink(Lane::Normal, 0);
        assert!(urgent.is_recalled());
        drop(urgent);
        assert_eq!((permits.held(Lane::Normal), permits.free()), (0, 0));
        permits.add(Lane::Normal, 1);
        assert!(permits.acquire(Lane::Normal).await.is_ok());
    }

    /// The result, if it is there at once.
    async fn futures_poll<T>(mut future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(match future.as_mut().poll(context) {
                std::task::Poll::Ready(done) => Some(done),
                std::task::Poll::Pending => None,
            })
        })
        .await
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
