//! State shared by the accept loop and a connection: phase, progress, and signals.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Time without progress after which a connection can be evicted while all connections are in use.
/// 3,000 clients that reconnect at once pass through 768 connections within a second.
const GRACE: Duration = Duration::from_millis(250);
/// The same for a sender that has authenticated.
const AUTHENTICATED_GRACE: Duration = Duration::from_secs(1);
/// Minimum rate of a body, in bytes per second.
const MIN_RATE: u64 = 1_024;

/// The phase of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing has been received.
    Fresh = 0,
    /// Receiving a request's head.
    Head = 1,
    /// Handling a request.
    Busy = 2,
    /// Between two requests.
    Idle = 3,
    /// A handler waits for more of the body.
    Body = 4,
}

/// A signal from the accept loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// No signal.
    None = 0,
    /// Close, unless a request is being handled.
    Yield = 1,
    /// Finish the current request, then close.
    Finish = 2,
}

/// The order of eviction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// Whether the sender of the current or last request is authenticated.
    pub(super) authenticated: bool,
    quiet_since: Instant,
}

impl Rank {
    /// Whether the grace period without progress is over.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let grace = if self.authenticated {
            AUTHENTICATED_GRACE
        } else {
            GRACE
        };
        now.saturating_duration_since(self.quiet_since) >= grace
    }
}

/// The state of a connection. The connection writes the phase, the accept loop the signal.
#[derive(Debug)]
pub(super) struct ConnectionState {
    /// Origin of `since` and `on_pace_until`, which are in microseconds.
    start: Instant,
    phase: AtomicU8,
    since: AtomicU64,
    /// The time up to which the arriving body has kept to [`MIN_RATE`]; never in the future.
    on_pace_until: AtomicU64,
    authenticated: AtomicBool,
    signal: AtomicU8,
    notify: Notify,
    /// The address that the connection is counted under, if any.
    counted_as: Option<IpAddr>,
}

impl ConnectionState {
    /// State of a new connection; `start` is the server's.
    pub(super) fn new(start: Instant, counted_as: Option<IpAddr>) -> Self {
        let zero = || AtomicU64::new(0);
        let (phase, signal) = (AtomicU8::new(0), AtomicU8::new(0));
        let state = Self {
            start,
            phase,
            since: zero(),
            on_pace_until: zero(),
            authenticated: AtomicBool::new(false),
            signal,
            notify: Notify::new(),
            counted_as,
        };
        state.enter(Phase::Fresh);
        state
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Enters a phase.
    pub(super) fn enter(&self, phase: Phase) {
        self.since.store(self.now(), Ordering::Relaxed);
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Starts a request, whose sender is not authenticated yet.
    pub(super) fn begin_request(&self) {
        self.enter(Phase::Busy);
        self.on_pace_until.store(self.now(), Ordering::Relaxed);
        self.authenticated.store(false, Ordering::Relaxed);
    }

    /// Records received bytes. They make up for earlier pauses, never for later ones.
    pub(super) fn arrived(&self, bytes: usize) {
        let worth = u64::try_from(bytes)
            .unwrap_or(u64::MAX)
            .saturating_mul(1_000_000)
            / MIN_RATE;
        let on_pace_until = self
            .on_pace_until
            .load(Ordering::Relaxed)
            .saturating_add(worth)
            .min(self.now());
        self.on_pace_until.store(on_pace_until, Ordering::Relaxed);
    }

    /// Marks the sender of the current request as authenticated.
    pub(super) fn mark_authenticated(&self) {
        self.authenticated.store(true, Ordering::Relaxed);
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

    /// When the current phase started.
    pub(super) fn since(&self) -> Instant {
        self.start + Duration::from_micros(self.since.load(Ordering::Relaxed))
    }

    /// The time up to which the body has kept to the minimum rate.
    pub(super) fn on_pace_until(&self) -> Instant {
        self.start + Duration::from_micros(self.on_pace_until.load(Ordering::Relaxed))
    }

    /// The address that the connection is counted under, if it is.
    pub(super) fn counted_as(&self) -> Option<IpAddr> {
        self.counted_as
    }

    /// The order of eviction: unauthenticated senders first, then by time without progress. `None`
    /// while a request is handled or after [`Signal::Yield`].
    pub(super) fn rank(&self) -> Option<Rank> {
        let quiet_since = match self.phase() {
            Phase::Busy => return None,
            Phase::Fresh | Phase::Head | Phase::Idle => self.since(),
            Phase::Body => self.on_pace_until(),
        };
        (!self.is_yielding()).then(|| Rank {
            authenticated: self.authenticated.load(Ordering::Relaxed),
            quiet_since,
        })
    }

    /// Whether [`Signal::Yield`] is pending.
    pub(super) fn is_yielding(&self) -> bool {
        self.signal.load(Ordering::Relaxed) == Signal::Yield as u8
    }

    /// Sends a signal.
    pub(super) fn send(&self, signal: Signal) {
        self.signal.store(signal as u8, Ordering::Relaxed);
        self.notify.notify_one();
    }

    /// Declines [`Signal::Yield`]: a request is being handled.
    pub(super) fn decline(&self) {
        // A later `Finish` must not be lost.
        let transition = (Signal::Yield as u8, Signal::None as u8);
        self.signal
            .compare_exchange(
                transition.0,
                transition.1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            )
            .ok();
    }

    /// Waits for a signal.
    pub(super) async fn signalled(&self) -> Signal {
        self.notify.notified().await;
        match self.signal.load(Ordering::Relaxed) {
            0 => Signal::None,
            1 => Signal::Yield,
            _ => Signal::Finish,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// State of a connection to a server that started this long ago.
    fn state(ago: Duration) -> ConnectionState {
        ConnectionState::new(Instant::now().checked_sub(ago).unwrap(), None)
    }

    #[test]
    fn idle_connections_rank_by_authentication_then_time() {
        let (state, now) = (state(Duration::ZERO), Instant::now());
        let due = |millis| {
            state
                .rank()
                .unwrap()
                .is_due(now + Duration::from_millis(millis))
        };
        assert!(!due(200) && due(400));
        state.begin_request();
        assert_eq!(state.rank(), None);
        state.enter(Phase::Body);
        let stranger = state.rank().unwrap();
        state.mark_authenticated();
        assert!(stranger < state.rank().unwrap());
        assert!(!due(400) && due(1_100));
        state.send(Signal::Yield);
        assert_eq!(state.rank(), None, "it was asked already");
        state.decline();
        assert!(state.rank().unwrap().authenticated);
        state.begin_request();
        state.enter(Phase::Body);
        assert!(
            !state.rank().unwrap().authenticated,
            "each request is authenticated anew"
        );
    }

    #[test]
    fn bytes_make_up_only_for_earlier_pauses() {
        let state = state(Duration::from_mins(1));
        state.on_pace_until.store(0, Ordering::Relaxed);
        let behind = || state.on_pace_until().elapsed().as_secs();
        assert_eq!(behind(), 60);
        state.arrived(10 * 1_024);
        assert_eq!(behind(), 50);
        (0..1_024).for_each(|_| state.arrived(1));
        assert!((49..=50).contains(&behind()), "single bytes count");
        state.arrived(1 << 30);
        assert_eq!(behind(), 0);
        assert!(state.on_pace_until() <= Instant::now());
    }
}
