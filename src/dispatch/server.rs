//! One mail server as dispatch sees it: the way there, its health, its connections and its rate.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::{debug, info};

use super::failover::Breaker;
use super::limit::{Room, urgent_share};
use super::meter::{Meter, Ticket};
use crate::domain::{Lane, Timestamp};
use crate::transport::smtp::RateLimit;
use crate::transport::{Settings, Transport};

/// How long a mail waits for a connection before it is given back to the queue.
const SEAT: Duration = Duration::from_mins(1);
/// When to look again at a server of which nothing better is known.
const SOON: Duration = Duration::from_secs(1);
/// A limit that was reached is told again once so much of it has been free: this share.
const EASED: u32 = 8;

/// What a server may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most connections at a time, at least 1.
    pub connections: usize,
    /// The most mails in a span of time.
    pub rate: Option<RateLimit>,
    /// The longest that one try can take, all time limits together.
    pub longest_try: Duration,
}

impl Limits {
    /// The limits among a server's settings.
    pub fn of(settings: &Settings) -> Self {
        Self {
            connections: settings.max_connections(),
            rate: settings.rate_limit(),
            longest_try: settings.longest_try(),
        }
    }
}

/// A mail server and its health.
#[derive(Debug)]
pub struct Server {
    /// How mails get there.
    pub transport: Transport,
    breaker: Mutex<Breaker>,
    limits: Limits,
    /// The connections that normal mails may have; closed when no further mail may begin.
    seats: Semaphore,
    meter: OnceLock<Arc<Meter>>,
    /// Whether it was said that the limit is reached.
    told: AtomicBool,
}

/// A mail's place at a server, until it is dropped; an urgent mail needs none.
pub type Seat<'a> = Option<SemaphorePermit<'a>>;

impl Server {
    /// A server in use. One with a rate takes mails once it has a meter.
    pub fn new(transport: Transport, breaker: Breaker, limits: Limits) -> Self {
        let seats = limits
            .connections
            .saturating_sub(urgent_share(limits.connections))
            .clamp(1, Semaphore::MAX_PERMITS);
        Self {
            transport,
            breaker: Mutex::new(breaker),
            limits,
            seats: Semaphore::new(seats),
            meter: OnceLock::new(),
            told: AtomicBool::new(false),
        }
    }

    /// Its health, for a look or a note; never held across a wait.
    pub fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it may be given.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What counts its mails, once there is one.
    pub fn meter(&self) -> Option<&Arc<Meter>> {
        self.meter.get()
    }

    /// Counts its mails by this meter from now on. The first one stays.
    pub fn adopt(&self, meter: Arc<Meter>) {
        self.meter.get_or_init(|| meter);
    }

    /// Whether a mail waits for this server's rate rather than go to the next one: it is in use,
    /// and its limit is a pace.
    pub fn is_waited_for(&self) -> bool {
        self.breaker().is_closed() && self.meter().is_none_or(|meter| meter.is_pace())
    }

    /// What may go to it by its rate; `None` is any number.
    pub fn room(&self, now: Timestamp) -> Option<Room> {
        let rate = self.limits.rate?;
        let Some(meter) = self.meter() else {
            return Some(Room {
                all: 0,
                normal: 0,
                more_at: Some(now.after(SOON)),
            });
        };
        let room = meter.room(now);
        if room.normal == 0 && !self.told.swap(true, Ordering::Relaxed) {
            let (server, again) = (self.transport.name(), room.more_at.unwrap_or(now));
            if meter.is_pace() {
                debug!(%server, "the rate limit of {} in {} s is reached until {again}; mails wait", rate.mails, rate.per.as_secs());
            } else {
                info!(%server, "the rate limit of {} in {} h is reached until {again}; mails go to the next server, or wait where there is none", rate.mails, rate.per.as_secs() / 3600);
            }
        } else if room.normal > rate.mails / EASED {
            self.told.store(false, Ordering::Relaxed);
        }
        Some(room)
    }

    /// Leave to hand over one mail: the reserved one, if it is for this server, else a new one;
    /// none is needed without a rate.
    ///
    /// # Errors
    /// When its rate gives no leave now: the moment at which to ask again.
    pub fn ticket(
        &self,
        reserved: &mut Option<Ticket>,
        lane: Lane,
        now: Timestamp,
    ) -> Result<Option<Ticket>, Timestamp> {
        match (self.limits.rate, self.meter()) {
            (None, _) => Ok(None),
            (Some(_), None) => Err(now.after(SOON)),
            (Some(_), Some(meter))
                if reserved.as_ref().is_some_and(|ticket| ticket.is_of(meter)) =>
            {
                Ok(reserved.take())
            }
            (Some(_), Some(meter)) => meter.ticket(lane, now).map(Some),
        }
    }

    /// Waits for a connection that this lane may have: normal mails leave one in eight, and always
    /// the last of several, to urgent ones. `None` when there is none within a minute, or no
    /// further mail may begin.
    pub async fn seat(&self, lane: Lane) -> Option<Seat<'_>> {
        if lane == Lane::Urgent {
            return Some(None);
        }
        if let Ok(seat) = self.seats.try_acquire() {
            return Some(Some(seat));
        }
        let waited = tokio::time::timeout(SEAT, self.seats.acquire()).await;
        waited.ok().and_then(Result::ok).map(Some)
    }

    /// Lets no further mail begin and closes idle connections, which takes 3 s at most.
    pub async fn close(&self) {
        self.seats.close();
        self.transport.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::memory::Memory;

    fn server(connections: usize) -> Server {
        let limits = Limits {
            connections,
            rate: None,
            longest_try: Duration::ZERO,
        };
        Server::new(
            Transport::Memory(Memory::new("a")),
            Breaker::new(SOON, SOON),
            limits,
        )
    }

    #[tokio::test(start_paused = true)]
    async fn normal_mails_leave_the_last_of_several_connections_to_urgent_ones() {
        for (connections, normal) in [(1, 1), (2, 1), (4, 3), (16, 14)] {
            let server = server(connections);
            let mut seats = Vec::new();
            for _ in 0..normal {
                seats.push(server.seat(Lane::Normal).await.unwrap());
            }
            let waited = tokio::time::Instant::now();
            assert!(
                server.seat(Lane::Normal).await.is_none(),
                "{connections}: given back to the queue"
            );
            assert_eq!(waited.elapsed(), SEAT);
            assert!(server.seat(Lane::Urgent).await.is_some(), "{connections}");
            seats.pop();
            assert!(server.seat(Lane::Normal).await.is_some(), "{connections}");
        }
    }

    #[tokio::test]
    async fn who_waits_for_a_connection_is_sent_away_when_no_further_mail_may_begin() {
        let server = Arc::new(server(2));
        let _taken = server.seat(Lane::Normal).await.unwrap();
        let waiting = tokio::spawn({
            let server = Arc::clone(&server);
            async move { server.seat(Lane::Normal).await.is_none() }
        });
        tokio::task::yield_now().await;
        server.close().await;
        assert!(waiting.await.unwrap());
    }
}
