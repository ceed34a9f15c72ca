//! Limits the connections of one address to half of all, loopback excepted, so that one host cannot
//! lock out the others.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Number of connections, and of requests forwarded by trusted proxies, by address.
#[derive(Debug)]
pub(super) struct Shares {
    most: usize,
    held: Mutex<HashMap<IpAddr, usize>>,
}

/// One of an address's connections, released on drop.
#[derive(Debug)]
pub(super) struct Share {
    shares: Arc<Shares>,
    of: IpAddr,
}

impl Shares {
    /// Half of `connections` for each address.
    pub(super) fn half_of(connections: usize) -> Arc<Self> {
        Arc::new(Self {
            most: (connections / 2).max(1),
            held: Mutex::default(),
        })
    }

    /// Acquires a share, unless the address has used up its half.
    pub(super) fn acquire(self: &Arc<Self>, of: IpAddr) -> Option<Share> {
        self.acquire_below(of, self.most)
    }

    /// Acquires a share in exchange for one that is being released.
    pub(super) fn exchange(self: &Arc<Self>, of: IpAddr) -> Option<Share> {
        self.acquire_below(of, usize::MAX)
    }

    fn acquire_below(self: &Arc<Self>, of: IpAddr, most: usize) -> Option<Share> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(of).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Share {
            shares: Arc::clone(self),
            of,
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self
            .shares
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.of) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                held.remove(&self.of);
            }
        }
    }
}

/// The address that a client counts under: an IPv4 address, or the /64 of an IPv6 address, which
/// one host usually owns. `None` for loopback.
pub(super) fn counted_as(address: IpAddr) -> Option<IpAddr> {
    let counted = match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    };
    (!address.to_canonical().is_loopback()).then_some(counted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_holds_at_most_half_of_the_connections() {
        let shares = Shares::half_of(4);
        let (one, other): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let held = [shares.acquire(one).unwrap(), shares.acquire(one).unwrap()];
        assert!(shares.acquire(one).is_none() && shares.acquire(other).is_some());
        assert!(shares.exchange(one).is_some());
        drop(held);
        assert!(shares.held.lock().unwrap().is_empty());
        assert!(
            Shares::half_of(1).acquire(one).is_some(),
            "one connection at least"
        );
    }

    #[test]
    fn ipv6_counts_by_network_and_loopback_is_exempt() {
        let counted =
            |text: &str| counted_as(text.parse().unwrap()).map(|address| address.to_string());
        assert_eq!(
            counted("2001:db8:1:2:aaaa::1").as_deref(),
            Some("2001:db8:1:2::")
        );
        assert_eq!(counted("::ffff:192.0.2.1").as_deref(), Some("192.0.2.1"));
        assert_eq!(
            [
                counted("127.8.8.8"),
                counted("::1"),
                counted("::ffff:127.0.0.1")
            ],
            [None, None, None]
        );
    }
}
