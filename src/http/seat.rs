//! What the accept loop and a connection know of each other: in which phase it is, since when, and
//! whether it is asked to go.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// While all connections are in use: how long a connection without progress is kept. Of 3,000 that
/// reconnect at once, each reaches one of 768 places within a second.
const GRACE: Duration = Duration::from_millis(250);
/// The same for a sender that has authenticated.
const PROVEN_GRACE: Duration = Duration::from_secs(1);
/// The slowest that a body may arrive, in bytes a second.
const MIN_RATE: u64 = 1_024;

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing was ever sent.
    Fresh = 0,
    /// A request's head is arriving.
    Head = 1,
    /// A request is being served.
    Busy = 2,
    /// Between two requests.
    Idle = 3,
    /// A request's handler waits for more of its body.
    Body = 4,
}

/// What the accept loop asks of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Nothing.
    Stay = 0,
    /// Make room, unless a request is being served.
    MakeRoom = 1,
    /// Answer what has begun, then go.
    Finish = 2,
}

/// When a connection's turn comes to make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// Whether the sender of its present or last request has proven who it is.
    pub(super) proven: bool,
    quiet_since: Instant,
}

impl Rank {
    /// Whether it has made no progress for long enough.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let grace = if self.proven { PROVEN_GRACE } else { GRACE };
        now.saturating_duration_since(self.quiet_since) >= grace
    }
}

/// One connection's place. The connection's own task writes the phase, the accept loop writes the
/// order.
#[derive(Debug)]
pub(super) struct Seat {
    /// The common zero of `since` and `kept_up`, which are in microseconds.
    start: Instant,
    phase: AtomicU8,
    since: AtomicU64,
    /// The moment up to which the body that is arriving has kept to [`MIN_RATE`]; at most now.
    kept_up: AtomicU64,
    proven: AtomicBool,
    order: AtomicU8,
    called: Notify,
    /// The address that its connection is counted under, if it is.
    counted_as: Option<IpAddr>,
}

impl Seat {
    /// A place for a connection that has just come; `start` is the server's.
    pub(super) fn new(start: Instant, counted_as: Option<IpAddr>) -> Self {
        let zero = || AtomicU64::new(0);
        let (phase, order) = (AtomicU8::new(0), AtomicU8::new(0));
        let seat = Self {
            start,
            phase,
            since: zero(),
            kept_up: zero(),
            proven: AtomicBool::new(false),
            order,
            called: Notify::new(),
            counted_as,
        };
        seat.enter(Phase::Fresh);
        seat
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Notes that a phase begins.
    pub(super) fn enter(&self, phase: Phase) {
        self.since.store(self.now(), Ordering::Relaxed);
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Notes that a request's head is there. Its sender is not proven yet, whoever sent the request
    /// before.
    pub(super) fn begin_request(&self) {
        self.enter(Phase::Busy);
        self.kept_up.store(self.now(), Ordering::Relaxed);
        self.proven.store(false, Ordering::Relaxed);
    }

    /// Notes that so many bytes of the body have arrived. They make up for earlier pauses, never
    /// for later ones.
    pub(super) fn arrived(&self, bytes: usize) {
        let worth = u64::try_from(bytes)
            .unwrap_or(u64::MAX)
            .saturating_mul(1_000_000)
            / MIN_RATE;
        let kept_up = self
            .kept_up
            .load(Ordering::Relaxed)
            .saturating_add(worth)
            .min(self.now());
        self.kept_up.store(kept_up, Ordering::Relaxed);
    }

    /// Notes that the sender of the present request has proven who it is: its connection gives way
    /// after others.
    pub(super) fn prove(&self) {
        self.proven.store(true, Ordering::Relaxed);
    }

    /// The phase.
    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Fresh,
            1 => Phase::Head,
            2 => Phase::Busy,
            3 => Phase::Idle,
            _ => Phase::Body,
        }
    }

    /// When the phase began.
    pub(super) fn since(&self) -> Instant {
        self.start + Duration::from_micros(self.since.load(Ordering::Relaxed))
    }

    /// Up to when the body has kept to the minimum rate.
    pub(super) fn kept_up(&self) -> Instant {
        self.start + Duration::from_micros(self.kept_up.load(Ordering::Relaxed))
    }

    /// The address that the connection is counted under, if it is.
    pub(super) fn counted_as(&self) -> Option<IpAddr> {
        self.counted_as
    }

    /// The order in which connections make room, smallest first: senders not proven, then who has
    /// been quiet longest. `None` for one that is served or was asked already.
    pub(super) fn rank(&self) -> Option<Rank> {
        let quiet_since = match self.phase() {
            Phase::Busy => return None,
            Phase::Fresh | Phase::Head | Phase::Idle => self.since(),
            Phase::Body => self.kept_up(),
        };
        (!self.is_leaving()).then(|| Rank {
            proven: self.proven.load(Ordering::Relaxed),
            quiet_since,
        })
    }

    /// Whether it was asked to make room and has not answered yet.
    pub(super) fn is_leaving(&self) -> bool {
        self.order.load(Ordering::Relaxed) == Order::MakeRoom as u8
    }

    /// Asks the connection for something.
    pub(super) fn ask(&self, order: Order) {
        self.order.store(order as u8, Ordering::Relaxed);
        self.called.notify_one();
    }

    /// Answers [`Order::MakeRoom`] with no: a request is being served after all.
    pub(super) fn stay(&self) {
        // A later order, to finish, must not be lost.
        let made_room = (Order::MakeRoom as u8, Order::Stay as u8);
        self.order
            .compare_exchange(
                made_room.0,
                made_room.1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            )
            .ok();
    }

    /// Waits until something is asked.
    pub(super) async fn asked(&self) -> Order {
        self.called.notified().await;
        match self.order.load(Ordering::Relaxed) {
            0 => Order::Stay,
            1 => Order::MakeRoom,
            _ => Order::Finish,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A place of a server that started so long ago.
    fn seat(ago: Duration) -> Seat {
        Seat::new(Instant::now().checked_sub(ago).unwrap(), None)
    }

    #[test]
    fn quiet_connections_rank_by_proof_then_by_time_and_served_ones_not_at_all() {
        let (seat, now) = (seat(Duration::ZERO), Instant::now());
        let due = |millis| {
            seat.rank()
                .unwrap()
                .is_due(now + Duration::from_millis(millis))
        };
        assert!(!due(200) && due(400));
        seat.begin_request();
        assert_eq!(seat.rank(), None);
        seat.enter(Phase::Body);
        let stranger = seat.rank().unwrap();
        seat.prove();
        assert!(stranger < seat.rank().unwrap());
        assert!(!due(400) && due(1_100));
        seat.ask(Order::MakeRoom);
        assert_eq!(seat.rank(), None, "it was asked already");
        seat.stay();
        assert!(seat.rank().unwrap().proven);
        seat.begin_request();
        seat.enter(Phase::Body);
        assert!(!seat.rank().unwrap().proven, "each request is proven anew");
    }

    #[test]
    fn bytes_make_up_for_pauses_before_them_and_not_for_pauses_after_them() {
        let seat = seat(Duration::from_mins(1));
        seat.kept_up.store(0, Ordering::Relaxed);
        let behind = || seat.kept_up().elapsed().as_secs();
        assert_eq!(behind(), 60);
        seat.arrived(10 * 1_024);
        assert_eq!(behind(), 50);
        (0..1_024).for_each(|_| seat.arrived(1));
        assert!((49..=50).contains(&behind()), "single bytes count");
        seat.arrived(1 << 30);
        assert_eq!(behind(), 0);
        assert!(seat.kept_up() <= Instant::now());
    }
}
