//! What the accept loop and a connection know of each other: in which phase it is, since when, and whether it is asked to go.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

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

/// One connection's place. The connection's own task writes the phase, the accept loop writes the order.
#[derive(Debug)]
pub(super) struct Seat {
    /// The common zero of `since`.
    start: Instant,
    phase: AtomicU8,
    since: AtomicU64,
    order: AtomicU8,
    called: Notify,
}

impl Seat {
    /// A place for a connection that has just come; `start` is the server's.
    pub(super) fn new(start: Instant) -> Self {
        let seat = Self { start, phase: AtomicU8::new(0), since: AtomicU64::new(0), order: AtomicU8::new(0), called: Notify::new() };
        seat.enter(Phase::Fresh);
        seat
    }

    /// Notes that a phase begins.
    pub(super) fn enter(&self, phase: Phase) {
        self.since.store(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// The phase.
    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Fresh,
            1 => Phase::Head,
            2 => Phase::Busy,
            _ => Phase::Idle,
        }
    }

    /// When the phase began.
    pub(super) fn since(&self) -> Instant {
        self.start + Duration::from_millis(self.since.load(Ordering::Relaxed))
    }

    /// Asks the connection for something.
    pub(super) fn ask(&self, order: Order) {
        self.order.store(order as u8, Ordering::Relaxed);
        self.called.notify_one();
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
