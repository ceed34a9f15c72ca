//! Kept connections to one server: never more than allowed, none older, idler or busier than
//! allowed, none half used.
//!
//! A seat is the right to have a connection; there are `max_connections` of them. A session leaves
//! the pool with its seat and comes back only by [`Seat::release`]: one whose send was cancelled or
//! broke is dropped with its future. As idle sessions are always taken first, idle and seated
//! ones together never exceed the number of seats.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until, timeout};

use super::session::Session;
use crate::domain::{Failure, FailureKind, Stage};

/// How long an idle connection is kept; servers close idle ones after a minute or more.
const IDLE: Duration = Duration::from_secs(30);
/// How old a connection may become.
const LIFETIME: Duration = Duration::from_mins(10);
/// How long a mail waits for a seat. Longer than any mail can hold one: those before it end by
/// their own limits, and to give up earlier would take a slow server for one that is down.
pub(super) const SEAT: Duration = Duration::from_mins(30);
/// How long one QUIT may take.
const PARTING: Duration = Duration::from_secs(1);
/// How long closing the whole pool may take.
const CLOSING: Duration = Duration::from_secs(3);

type SmtpSession = Session<TcpStream>;

#[derive(Debug)]
struct IdleConnection {
    session: SmtpSession,
    opened: Instant,
    since: Instant,
}

impl IdleConnection {
    fn expires(&self) -> Instant {
        (self.since + IDLE).min(self.opened + LIFETIME)
    }
}

#[derive(Debug, Default)]
struct Idle {
    /// The last one to become idle is taken first, so that in quiet times the others grow idle and go.
    sessions: Vec<IdleConnection>,
    /// Whether the task that closes idle ones runs; it ends when it finds nothing idle.
    reaping: bool,
    closed: bool,
}

#[derive(Debug)]
struct Shared {
    seats: Semaphore,
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

/// The right to have one connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat<'a> {
    shared: &'a Arc<Shared>,
    _permit: SemaphorePermit<'a>,
}

/// A session with the moment that it was opened.
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
        let seats = Semaphore::new(max_connections.clamp(1, Semaphore::MAX_PERMITS));
        Self(Arc::new(Shared {
            seats,
            idle: Mutex::default(),
            max_mails: max_mails.max(1),
        }))
    }

    /// Waits for a seat, in the order of asking.
    pub(super) async fn seat(&self) -> Result<Seat<'_>, Failure> {
        match timeout(SEAT, self.0.seats.acquire()).await {
            Ok(Ok(permit)) => Ok(Seat {
                shared: &self.0,
                _permit: permit,
            }),
            Ok(Err(_)) => Err(no_seat("the connections to this server are being closed")),
            Err(_) => Err(no_seat(
                "all connections to this server were busy for a minute",
            )),
        }
    }

    /// Hands out no more seats and closes what is idle; what is in use closes when it comes back.
    pub(super) async fn close(&self) {
        self.0.seats.close();
        let sessions = {
            let mut idle = self.0.idle();
            idle.closed = true;
            std::mem::take(&mut idle.sessions)
        };
        let parting = async {
            for kept in sessions {
                kept.session.quit(PARTING, true).await;
            }
        };
        // Whoever has not said goodbye by then is hung up on.
        if timeout(CLOSING, parting).await.is_err() {
            tracing::debug!("a mail server did not answer QUIT");
        }
    }
}

fn no_seat(detail: &str) -> Failure {
    let kind = FailureKind::Unavailable {
        retry_after: None,
        server_wide: true,
    };
    Failure {
        kind,
        stage: Stage::Connect,
        reply: None,
        detail: detail.to_owned(),
        explanation: None,
    }
}

impl Seat<'_> {
    /// A kept session, if there is one that is not too old.
    pub(super) fn take_idle(&self) -> Option<Checkout> {
        let mut idle = self.shared.idle();
        let now = Instant::now();
        std::iter::from_fn(|| idle.sessions.pop())
            .find(|kept| kept.expires() > now)
            .map(|kept| Checkout {
                session: kept.session,
                opened: kept.opened,
            })
    }

    /// Keeps a session for the next mail, or closes it when it has done its part.
    pub(super) async fn release(self, taken: Checkout) {
        let Checkout { session, opened } = taken;
        if !session.is_usable() {
            return;
        }
        let spent = session.mails >= self.shared.max_mails || opened.elapsed() >= LIFETIME;
        if let Some(session) = if spent {
            Some(session)
        } else {
            self.keep(session, opened)
        } {
            session.quit(PARTING, false).await;
        }
    }

    /// Gives the session back when the pool is closed.
    fn keep(&self, session: SmtpSession, opened: Instant) -> Option<SmtpSession> {
        let mut idle = self.shared.idle();
        if idle.closed {
            return Some(session);
        }
        idle.sessions.push(IdleConnection {
            session,
            opened,
            since: Instant::now(),
        });
        if !idle.reaping {
            idle.reaping = true;
            tokio::spawn(reap_idle(Arc::downgrade(self.shared)));
        }
        None
    }
}

/// Closes connections that were idle for too long. One such task a pool, started by the first idle session,
/// ended when none is idle.
async fn reap_idle(pool: Weak<Shared>) {
    loop {
        let Some(next) = pool.upgrade().and_then(|shared| next_expiry(&shared)) else {
            return;
        };
        sleep_until(next).await;
        let Some(shared) = pool.upgrade() else { return };
        while let Some((session, _seat)) = expired(&shared) {
            session.quit(PARTING, true).await;
        }
    }
}

fn next_expiry(shared: &Shared) -> Option<Instant> {
    let mut idle = shared.idle();
    let next = idle.sessions.iter().map(IdleConnection::expires).min();
    idle.reaping = next.is_some();
    next
}

/// Takes one expired session out, with a seat, so that no new connection opens while it closes.
fn expired(shared: &Shared) -> Option<(SmtpSession, SemaphorePermit<'_>)> {
    let permit = shared.seats.try_acquire().ok()?;
    let mut idle = shared.idle();
    let now = Instant::now();
    let index = idle
        .sessions
        .iter()
        .position(|kept| kept.expires() <= now)?;
    Some((idle.sessions.remove(index).session, permit))
}
