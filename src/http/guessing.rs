//! Slows down guessing of tokens and webhook secrets.
//!
//! Only failures count, per client address, so valid tokens are never delayed, even behind the same
//! address. The first failures are answered at once, later ones once a second; beyond that, clients
//! get 429.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures that are answered at once.
const FREE: u32 = 10;
/// Time between responses to later failures.
const PACE: Duration = Duration::from_secs(1);
/// Maximum delay of a response, which bounds the number of waiting requests.
const MAX_WAIT: Duration = Duration::from_secs(4);
/// Maximum number of remembered clients; others share one entry.
const MAX_PEERS: usize = 4_096;

/// A client. An IPv6 /64 is one client, because a host has 2^64 addresses.
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

/// Failures by client.
#[derive(Debug, Default)]
pub(super) struct Guesses(Mutex<HashMap<Guesser, Instant>>);

impl Guesses {
    /// Counts a failure (a unix socket has no address) and returns the delay of its response;
    /// `None` if too many are waiting.
    pub(super) fn record_failure(&self, address: Option<IpAddr>) -> Option<Duration> {
        self.record_failure_at(Guesser::of(address), Instant::now())
    }

    /// Leaky bucket: each failure adds one [`PACE`] to the time when the bucket is empty again.
    fn record_failure_at(&self, mut guesser: Guesser, now: Instant) -> Option<Duration> {
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
    fn failures_are_delayed_after_ten_and_refused_after_fourteen() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let waits: Vec<_> = (0..20)
            .map(|_| {
                guesses
                    .record_failure_at(v4(1), now)
                    .map(|wait| wait.as_secs())
            })
            .collect();
        let expected: Vec<_> = std::iter::repeat_n(Some(0), 10)
            .chain((1..=4).map(Some))
            .chain(std::iter::repeat_n(None, 6))
            .collect();
        assert_eq!(waits, expected);
        assert_eq!(
            guesses.record_failure_at(v4(2), now),
            Some(Duration::ZERO),
            "another peer"
        );
        assert_eq!(
            guesses.record_failure_at(v4(1), now + PACE * 20),
            Some(Duration::ZERO),
            "later"
        );
    }

    #[test]
    fn guesser_table_is_bounded_and_groups_ipv6_networks() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for network in 0..10_000_u16 {
            guesses.record_failure_at(Guesser::V6([0, 0, 0, network]), now);
        }
        assert!(guesses.0.lock().unwrap().len() <= MAX_PEERS + 1);
        let of = |ip: &str| Guesser::of(ip.parse().ok());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_eq!(of("::ffff:192.0.2.1"), v4(1));
    }
}
