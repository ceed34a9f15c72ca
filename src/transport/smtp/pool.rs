//! The connections to one server that are kept open between mails.
//!
//! There are at most `max_connections`: every session in use holds a permit, and an idle session is
//! always reused before a new one is opened, so sessions in use and idle ones together never exceed
//! the number of permits. A session returns to the pool only through [`Pool::release`]; if its send
//! fails or is cancelled, it is dropped with the send's future.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::session::Session;
use crate::transport::permits::{ConnectionPermit, ConnectionPermits};

/// How long an idle connection is kept. Servers close idle ones after a minute or more.
const MAX_IDLE: Duration = Duration::from_secs(30);
/// How long a connection is used.
const MAX_AGE: Duration = Duration::from_mins(10);
/// How long one QUIT may take.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long closing the whole pool may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

type SmtpSession = Session<TcpStream>;

#[derive(Debug)]
struct IdleConnection {
    connection: Checkout,
    since: Instant,
}

impl IdleConnection {
    fn expires(&self) -> Instant {
        (self.since + MAX_IDLE).min(self.connection.opened + MAX_AGE)
    }
}

#[derive(Debug, Default)]
struct Idle {
    /// A stack: the session that became idle last is reused first, so in quiet times the others
    /// expire.
    sessions: Vec<IdleConnection>,
    /// Whether [`reap_idle`] is running.
    reaping: bool,
    closed: bool,
}

#[derive(Debug)]
struct Shared {
    permits: ConnectionPermits,
    idle: Mutex<Idle>,
    max_mails: u32,
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connections to one server.
#[derive(Debug)]
pub(super) struct Pool(Arc<Shared>);

/// A session, and when it was opened.
#[derive(Debug)]
pub(super) struct Checkout {
    pub(super) session: SmtpSession,
    opened: Instant,
}

impl Checkout {
    pub(super) fn fresh(session: SmtpSession) -> Self {
        Self {
            session,
            opened: Instant::now(),
        }
    }
}

impl Pool {
    pub(super) fn new(max_connections: usize, max_mails: u32) -> Self {
        Self(Arc::new(Shared {
            permits: ConnectionPermits::new(max_connections),
            idle: Mutex::default(),
            max_mails: max_mails.max(1),
        }))
    }

    pub(super) fn permits(&self) -> &ConnectionPermits {
        &self.0.permits
    }

    /// Takes an idle session that has not expired, if there is one.
    pub(super) fn take_idle(&self, _permit: &ConnectionPermit<'_>) -> Option<Checkout> {
        let mut idle = self.0.idle();
        let now = Instant::now();
        std::iter::from_fn(|| idle.sessions.pop())
            .find(|idle| idle.expires() > now)
            .map(|idle| idle.connection)
    }

    /// Closes an idle session, if there is one, so that the holder of the permit may open another.
    pub(super) async fn close_idle(&self, permit: &ConnectionPermit<'_>) {
        if let Some(idle) = self.take_idle(permit) {
            idle.session.quit(QUIT_TIMEOUT, true).await;
        }
    }

    /// How many sessions are idle.
    pub(super) fn idle(&self) -> usize {
        self.0.idle().sessions.len()
    }

    /// Closes idle sessions for which there is no permit any more: at most `removed`, the number of
    /// permits that were removed and not given to another node yet.
    pub(super) async fn trim(&self, removed: usize) {
        for _ in 0..removed {
            let extra = {
                let mut idle = self.0.idle();
                let is_extra = idle.sessions.len() > self.0.permits.free();
                is_extra.then(|| idle.sessions.pop()).flatten()
            };
            let Some(extra) = extra else { return };
            extra.connection.session.quit(QUIT_TIMEOUT, true).await;
        }
    }

    /// Keeps a session for the next mail, or closes it if it has reached its age or number of
    /// mails, or if its permit is recalled.
    pub(super) async fn release(&self, permit: ConnectionPermit<'_>, used: Checkout) {
        if !used.session.is_usable() {
            return;
        }
        let spent = used.session.mails >= self.0.max_mails
            || used.opened.elapsed() >= MAX_AGE
            || permit.is_recalled();
        let to_close = if spent { Some(used) } else { self.keep(used) };
        if let Some(connection) = to_close {
            connection.session.quit(QUIT_TIMEOUT, false).await;
        }
    }

    /// Returns the connection if the pool is closed.
    fn keep(&self, connection: Checkout) -> Option<Checkout> {
        let mut idle = self.0.idle();
        if idle.closed {
            return Some(connection);
        }
        idle.sessions.push(IdleConnection {
            connection,
            since: Instant::now(),
        });
        if !idle.reaping {
            idle.reaping = true;
            tokio::spawn(reap_idle(Arc::downgrade(&self.0)));
        }
        None
    }

    /// Refuses further permits and closes idle sessions. Those in use are closed on release.
    pub(super) async fn close(&self) {
        self.0.permits.close();
        let sessions = {
            let mut idle = self.0.idle();
            idle.closed = true;
            std::mem::take(&mut idle.sessions)
        };
        let quit = async {
            for kept in sessions {
                kept.connection.session.quit(QUIT_TIMEOUT, true).await;
            }
        };
        if timeout(CLOSE_TIMEOUT, quit).await.is_err() {
            tracing::debug!("mail server did not answer QUIT; dropping its connections");
        }
    }
}

/// Closes sessions that were idle for too long. Started by the first idle session of a pool, ends
/// when there is none left.
async fn reap_idle(pool: Weak<Shared>) {
    loop {
        let Some(next) = pool.upgrade().and_then(|shared| next_expiry(&shared)) else {
            return;
        };
        sleep_until(next).await;
        let Some(shared) = pool.upgrade() else { return };
        while let Some((session, _permit)) = expired(&shared) {
            session.quit(QUIT_TIMEOUT, true).await;
        }
    }
}

fn next_expiry(shared: &Shared) -> Option<Instant> {
    let mut idle = shared.idle();
    let next = idle.sessions.iter().map(IdleConnection::expires).min();
    idle.reaping = next.is_some();
    next
}

/// Takes out one expired session, with a permit, so that no new connection is opened before it is
/// closed.
fn expired(shared: &Shared) -> Option<(SmtpSession, ConnectionPermit<'_>)> {
    let permit = shared.permits.try_acquire()?;
    let mut idle = shared.idle();
    let now = Instant::now();
    let index = idle
        .sessions
        .iter()
        .position(|kept| kept.expires() <= now)?;
    let expired = idle.sessions.remove(index);
    Some((expired.connection.session, permit))
}
