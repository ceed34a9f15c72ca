//! Slows down guessing of tokens, hook secrets and hook signatures.
//!
//! Only failures are counted, per peer address: a right token is never made to wait, not even
//! beside a guesser at the same address. The first few failures are answered at once, then one a
//! second; whoever sends more than wait in that line is answered with 429.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures of one peer that are answered at once.
const FREE: u32 = 10;
/// The time from one answer to a failure to the next.
const PACE: Duration = Duration::from_secs(1);
/// The longest wait of one answer. It bounds how many wait at a time.
const MAX_WAIT: Duration = Duration::from_secs(4);
/// The most peers that are remembered; further ones share one place.
const MAX_PEERS: usize = 4_096;

/// Who guesses: hosts of one IPv6 network are one guesser, for each of them has 2^64 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Guesser {
    V4(Ipv4Addr),
    V6([u16; 4]),
    Unix,
    Others,
}

impl Guesser {
    fn of(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => Self::V4(address),
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
            None => Self::Unix,
        }
    }
}

/// The failures of every peer.
#[derive(Debug, Default)]
pub(super) struct Guesses(Mutex<HashMap<Guesser, Instant>>);

impl Guesses {
    /// Counts a failure of this address (a unix socket has none): how long its answer waits. `None`
    /// when too many wait already.
    pub(super) fn failed(&self, address: Option<IpAddr>) -> Option<Duration> {
        self.failed_at(Guesser::of(address), Instant::now())
    }

    /// A leaky bucket: each failure adds one [`PACE`] to the time at which the peer's bucket is
    /// empty again.
    fn failed_at(&self, mut guesser: Guesser, now: Instant) -> Option<Duration> {
        let mut empty_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if empty_at.len() >= MAX_PEERS && !empty_at.contains_key(&guesser) {
            empty_at.retain(|_, empty| *empty > now);
            if empty_at.len() >= MAX_PEERS {
                guesser = Guesser::Others;
            }
        }
        let level = empty_at
            .get(&guesser)
            .map_or(Duration::ZERO, |empty| empty.saturating_duration_since(now))
            + PACE;
        let wait = level.saturating_sub(PACE * FREE);
        if wait > MAX_WAIT {
            return None;
        }
        empty_at.insert(guesser, now + level);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(last: u8) -> Guesser {
        Guesser::V4(Ipv4Addr::new(192, 0, 2, last))
    }

    #[test]
    fn failures_of_one_peer_are_answered_at_once_then_one_a_second_then_refused() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let waits: Vec<_> = (0..20)
            .map(|_| guesses.failed_at(v4(1), now).map(|wait| wait.as_secs()))
            .collect();
        let expected: Vec<_> = std::iter::repeat_n(Some(0), 10)
            .chain((1..=4).map(Some))
            .chain(std::iter::repeat_n(None, 6))
            .collect();
        assert_eq!(waits, expected);
        assert_eq!(
            guesses.failed_at(v4(2), now),
            Some(Duration::ZERO),
            "another peer"
        );
        assert_eq!(
            guesses.failed_at(v4(1), now + PACE * 20),
            Some(Duration::ZERO),
            "later"
        );
    }

    #[test]
    fn memory_for_peers_is_bounded_and_one_ipv6_network_is_one_guesser() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for network in 0..10_000_u16 {
            guesses.failed_at(Guesser::V6([0, 0, 0, network]), now);
        }
        assert!(guesses.0.lock().unwrap().len() <= MAX_PEERS + 1);
        let of = |ip: &str| Guesser::of(ip.parse().ok());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_eq!(of("::ffff:192.0.2.1"), v4(1));
    }
}
