//! Permits for a limited number of slots, fair between hosts and between events, so that a slow
//! image server delays only images of that server.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use url::Url;

/// Number of slots: in total, per host and per site.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) total: usize,
    pub(super) per_host: usize,
    pub(super) per_site: usize,
}

/// The purpose of a permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    event: u64,
    /// The host with its port.
    host: String,
    /// The host, or the registrable domain it most likely belongs to: the owner of a domain has any
    /// number of hosts below it.
    site: String,
}

impl Wanted {
    /// A request for an image of `event` from this host.
    pub(super) fn new(event: u64, host: &str, port: u16) -> Self {
        Self {
            event,
            host: format!("{host}:{port}"),
            site: site(host, port),
        }
    }

    /// The site.
    pub(super) fn into_site(self) -> String {
        self.site
    }

    /// A request for an image of `event` in a local file.
    pub(super) fn file(event: u64) -> Self {
        Self::new(event, "", 0)
    }

    /// A request for an image of `event` at this URL.
    pub(super) fn at(event: u64, url: &Url) -> Self {
        Self::new(
            event,
            url.host_str().unwrap_or_default(),
            url.port_or_known_default().unwrap_or(0),
        )
    }
}

/// The last two labels of a name, or three if the second is as short as in `co.uk`; an IPv4 address
/// or a single label with its port; the /64 network of an IPv6 address, since its owner has all of
/// its addresses.
fn site(host: &str, port: u16) -> String {
    let host = host.trim_end_matches('.');
    let bare = host.trim_matches(['[', ']']);
    match bare.parse() {
        Ok(IpAddr::V4(_)) => return format!("{host}:{port}"),
        Ok(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            return format!("[{a:x}:{b:x}:{c:x}:{d:x}::]:{port}");
        }
        Err(_) => {}
    }
    let labels: Vec<&str> = host.split('.').collect();
    match labels.as_slice() {
        [.., third, second, first] if second.len() <= 3 => [third, second, *first].join("."),
        [.., second, first] => [*second, first].join("."),
        _ => format!("{host}:{port}"),
    }
}

/// A limited number of slots, assigned in turn.
#[derive(Debug, Clone)]
pub(super) struct Shares(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: Vec<Wanted>,
    waiting: Vec<(Wanted, oneshot::Sender<Share>)>,
    /// The turn in which each site and event was served last; new ones come first.
    sites: HashMap<String, u64>,
    events: HashMap<u64, u64>,
    turn: u64,
}

/// A permit, released on drop.
#[derive(Debug)]
pub(super) struct Share {
    shares: Option<Arc<Inner>>,
    wanted: Wanted,
}

impl Shares {
    pub(super) fn new(limits: Limits) -> Self {
        Self(Arc::new(Inner {
            limits,
            state: Mutex::default(),
        }))
    }

    /// Waits for a permit, queued from this call on. Dropping the future cancels the wait.
    pub(super) fn acquire(&self, wanted: Wanted) -> impl Future<Output = Share> + use<> {
        let (sender, receiver) = oneshot::channel();
        self.0.state().waiting.push((wanted.clone(), sender));
        self.0.hand_out();
        // The sender of a waiting request is never dropped.
        async move {
            receiver.await.unwrap_or(Share {
                shares: None,
                wanted,
            })
        }
    }
}

impl Share {
    /// The request that it was granted for.
    pub(super) const fn wanted(&self) -> &Wanted {
        &self.wanted
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Assigns free slots to the requests whose turn it is.
    fn hand_out(self: &Arc<Self>) {
        let mut state = self.state();
        while let Some(next) = state.next(self.limits) {
            let (wanted, sender) = state.waiting.remove(next);
            let share = Share {
                shares: Some(Arc::clone(self)),
                wanted: wanted.clone(),
            };
            match sender.send(share) {
                Ok(()) => state.take(wanted),
                // The request was cancelled. The permit was never used, so it releases nothing.
                Err(mut share) => share.shares = None,
            }
        }
    }
}

impl State {
    /// The request to serve next among those whose host and site have free slots: the site served
    /// longest ago, then the event.
    fn next(&self, limits: Limits) -> Option<usize> {
        if self.taken.len() >= limits.total {
            return None;
        }
        let has_room = |wanted: &Wanted| {
            let same = |equal: fn(&Wanted, &Wanted) -> bool| {
                self.taken
                    .iter()
                    .filter(|taken| equal(taken, wanted))
                    .count()
            };
            same(|one, other| one.host == other.host) < limits.per_host
                && same(|one, other| one.site == other.site) < limits.per_site
        };
        let turn = |wanted: &Wanted| {
            (
                self.sites.get(&wanted.site).copied(),
                self.events.get(&wanted.event).copied(),
            )
        };
        let open = self
            .waiting
            .iter()
            .enumerate()
            .filter(|(_, (wanted, _))| has_room(wanted));
        open.min_by_key(|(_, (wanted, _))| turn(wanted))
            .map(|(at, _)| at)
    }

    fn take(&mut self, wanted: Wanted) {
        self.turn += 1;
        self.sites.insert(wanted.site.clone(), self.turn);
        self.events.insert(wanted.event, self.turn);
        self.taken.push(wanted);
    }

    fn give_back(&mut self, wanted: &Wanted) {
        if let Some(at) = self.taken.iter().position(|taken| taken == wanted) {
            self.taken.swap_remove(at);
        }
        forget(&mut self.sites, &self.taken, &self.waiting, |wanted| {
            &wanted.site
        });
        forget(&mut self.events, &self.taken, &self.waiting, |wanted| {
            &wanted.event
        });
    }
}

/// Drops the turns of inactive keys once there are many.
fn forget<K: Hash + Eq>(
    turns: &mut HashMap<K, u64>,
    taken: &[Wanted],
    waiting: &[(Wanted, oneshot::Sender<Share>)],
    key: impl Fn(&Wanted) -> &K,
) {
    if turns.len() > 2 * (taken.len() + waiting.len()) + 64 {
        let wanted: std::collections::HashSet<&K> = taken
            .iter()
            .chain(waiting.iter().map(|(wanted, _)| wanted))
            .map(key)
            .collect();
        turns.retain(|known, _| wanted.contains(known));
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(shares) = self.shares.take() {
            shares.state().give_back(&self.wanted);
            shares.hand_out();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::yield_now;

    use super::*;

    const LIMITS: Limits = Limits {
        total: 8,
        per_host: 2,
        per_site: 4,
    };

    async fn had(shares: &Shares, wanted: Wanted) -> Option<Share> {
        tokio::select! { biased; share = shares.acquire(wanted) => Some(share), () = yield_now() => None }
    }

    #[tokio::test]
    async fn host_has_two_slots_and_site_has_four() {
        let shares = Shares::new(LIMITS);
        let mut held = Vec::new();
        for host in ["a.evil.example", "b.evil.example", "c.evil.example"] {
            for event in 0..4 {
                held.extend(had(&shares, Wanted::new(event, host, 443)).await);
            }
        }
        assert_eq!(held.len(), 4);
        assert!(
            had(&shares, Wanted::new(9, "good.example", 443))
                .await
                .is_some()
        );
        assert!(
            had(&shares, Wanted::new(9, "127.0.0.1", 9_000))
                .await
                .is_some(),
            "each port of an address is a separate site"
        );
        drop(held.pop());
        assert!(
            had(&shares, Wanted::new(5, "d.evil.example", 443))
                .await
                .is_some(),
            "given back"
        );
    }

    #[tokio::test]
    async fn events_take_turns_and_cancelled_requests_are_skipped() {
        let shares = Shares::new(Limits { total: 1, ..LIMITS });
        let first = shares.acquire(Wanted::new(1, "a.example", 443)).await;
        let mut order = tokio::task::JoinSet::new();
        for event in [1, 1, 1, 2, 3] {
            let shares = shares.clone();
            order.spawn(async move {
                drop(shares.acquire(Wanted::new(event, "a.example", 443)).await);
                event
            });
            yield_now().await;
        }
        assert!(
            had(&shares, Wanted::new(4, "a.example", 443))
                .await
                .is_none()
        );
        drop(first);
        let mut served = Vec::new();
        while let Some(event) = order.join_next().await {
            served.push(event.unwrap());
        }
        assert_eq!(served, [2, 3, 1, 1, 1]);
        assert!(shares.0.state().taken.is_empty());
    }

    #[test]
    fn site_is_the_likely_registrable_domain() {
        let sites = [
            ("a.b.example.com", "example.com"),
            ("x.y.co.uk", "y.co.uk"),
            ("minio", "minio:9"),
            ("10.0.0.5", "10.0.0.5:9"),
            ("[2001:db8::1]", "[2001:db8:0:0::]:9"),
            ("[2001:db8::2:1]", "[2001:db8:0:0::]:9"),
        ];
        for (host, expected) in sites {
            assert_eq!(site(host, 9), expected);
        }
    }
}
