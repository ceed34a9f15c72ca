//! The accept loop: accepts, bounds and closes connections.
//!
//! `axum::serve` has no timeout for headers, no limit on connections and no deadline for draining.
//! When all connections are in use, those that make no progress (no first byte, a stalled head or
//! body, no next request) are evicted for new ones. Beyond loopback, an address holds at most half
//! of the connections, so that one host cannot lock out the others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::connection::{self, Context};
use super::connection_state::{ConnectionState, Rank, Signal};
use super::shares::{self, Share, Shares};
use super::stream::Stream;
use super::{Limits, Listener, Proxies, Refusals, Why};
use crate::telemetry::log_limit::{LogLimit, Verdict};

/// Pause after a failed `accept` (out of files, out of memory).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often connections are evicted while all are in use.
const EVICTION_INTERVAL: Duration = Duration::from_millis(5);
/// `ENFILE` and `EMFILE`: no free file descriptors.
const OUT_OF_FILES: [i32; 2] = [23, 24];
/// Maximum number of concurrent evictions, at most an eighth of all connections.
const MAX_EVICTIONS: usize = 64;

/// Serves `router` on `listener` until `stop`; then closes the socket and finishes running requests
/// within `limits.drain`.
pub async fn serve(
    listener: Listener,
    router: Router,
    limits: Limits,
    refusals: Refusals,
    proxies: Proxies,
    stop: CancellationToken,
) {
    let shares = Shares::half_of(limits.connections);
    let context = Arc::new(Context {
        router: router.with_state(()),
        limits,
        refusals,
        proxies,
        shares,
    });
    let mut connections = Connections {
        context,
        start: Instant::now(),
        open: HashMap::new(),
        tasks: JoinSet::new(),
        evicted_at: None,
        failures: LogLimit::new(),
    };
    loop {
        connections.reap();
        let full = connections.open.len() >= limits.connections.max(1);
        if full {
            connections.evict();
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            // By then, another connection may have passed its grace period.
            () = tokio::time::sleep(EVICTION_INTERVAL), if full => {}
            Some(done) = connections.tasks.join_next_with_id() => connections.remove(&done),
            connection = listener.accept(), if !full => match connection {
                Ok(stream) => connections.spawn(stream),
                Err(error) if is_clients_fault(&error) => {}
                Err(error) => {
                    connections.log_accept_error(&error);
                    connections.evict();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    connections.close().await;
}

/// The open connections.
struct Connections {
    context: Arc<Context>,
    start: Instant,
    open: HashMap<Id, Arc<ConnectionState>>,
    tasks: JoinSet<()>,
    /// When connections were last evicted, which iterates over all of them.
    evicted_at: Option<Instant>,
    failures: LogLimit,
}

impl Connections {
    fn spawn(&mut self, stream: Stream) {
        // The connection is already gone.
        let Ok(peer) = stream.peer() else { return };
        let Context {
            proxies, refusals, ..
        } = &*self.context;
        // Forwarded requests are counted one by one.
        let counted_as = peer
            .address()
            .filter(|address| !proxies.contain(Some(*address)))
            .and_then(shares::counted_as);
        let share = match counted_as {
            None => None,
            Some(address) => match self.share(address) {
                None => return refusals.count(Why::Connections, Some(peer)),
                share => share,
            },
        };
        let state = Arc::new(ConnectionState::new(self.start, counted_as));
        let task = self.tasks.spawn(connection::serve_connection(
            stream,
            peer,
            Arc::clone(&self.context),
            Arc::clone(&state),
            share,
        ));
        self.open.insert(task.id(), state);
    }

    /// Acquires a share of the connections for an address, if necessary by evicting an idle one of
    /// the same address.
    fn share(&self, address: IpAddr) -> Option<Share> {
        let shares = &self.context.shares;
        let is_its_own = |state: &ConnectionState| state.counted_as() == Some(address);
        shares.acquire(address).or_else(|| {
            if self.ask_to_yield(1, is_its_own) > 0 {
                shares.exchange(address)
            } else {
                None
            }
        })
    }

    fn remove(&mut self, done: &Result<(Id, ()), tokio::task::JoinError>) {
        let id = match done {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        self.open.remove(&id);
    }

    fn reap(&mut self) {
        while let Some(done) = self.tasks.try_join_next_with_id() {
            self.remove(&done);
        }
    }

    /// Evicts some idle connections, unless enough are closing already.
    fn evict(&mut self) {
        if self
            .evicted_at
            .is_some_and(|evicted_at| evicted_at.elapsed() < EVICTION_INTERVAL)
        {
            return;
        }
        self.evicted_at = Some(Instant::now());
        let leaving = self
            .open
            .values()
            .filter(|state| state.is_yielding())
            .count();
        let most = (self.context.limits.connections / 8).clamp(1, MAX_EVICTIONS);
        self.ask_to_yield(most.saturating_sub(leaving), |_| true);
    }

    /// Asks up to `most` of the connections that `among` selects to close, longest without progress
    /// first, and returns their number.
    ///
    /// Authenticated senders are spared as long as others can be evicted, except for what exceeds a
    /// quarter of all connections: stalled ones would otherwise pile up and leave hardly any
    /// connections for new clients.
    fn ask_to_yield(&self, most: usize, among: impl Fn(&ConnectionState) -> bool) -> usize {
        let now = Instant::now();
        let candidates = self.open.values().filter(|state| among(state));
        let ranked: Vec<_> = candidates
            .filter_map(|state| Some((state.rank()?, state)))
            .collect();
        let (authenticated, mut unauthenticated): (Vec<_>, Vec<_>) =
            ranked.into_iter().partition(|(rank, _)| rank.authenticated);
        let spared = if unauthenticated.is_empty() {
            0
        } else {
            (self.context.limits.connections / 4).max(1)
        };
        let is_due = |(rank, _): &(Rank, _)| rank.is_due(now);
        let mut stalled: Vec<_> = authenticated.into_iter().filter(is_due).collect();
        stalled.sort_unstable_by_key(|(rank, _)| *rank);
        stalled.truncate(stalled.len().saturating_sub(spared));
        unauthenticated.retain(is_due);
        unauthenticated.sort_unstable_by_key(|(rank, _)| *rank);
        let asked = unauthenticated.into_iter().chain(stalled).take(most);
        asked.map(|(_, state)| state.send(Signal::Yield)).count()
    }

    /// Logs at most once a minute that `accept` fails.
    fn log_accept_error(&self, error: &std::io::Error) {
        if error
            .raw_os_error()
            .is_some_and(|code| OUT_OF_FILES.contains(&code))
        {
            self.context.refusals.count(Why::Descriptors, None);
        } else if let Verdict::Log(refused) = self.failures.count() {
            tracing::warn!(%error, refused, open = self.open.len(), "could not accept connections");
        }
    }

    async fn close(mut self) {
        self.open
            .values()
            .for_each(|state| state.send(Signal::Finish));
        let all_gone = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.context.limits.drain, all_gone)
            .await
            .is_err()
        {
            tracing::warn!(
                open = self.tasks.len(),
                "drain timeout: closed the remaining connections"
            );
            self.tasks.shutdown().await;
        }
    }
}

/// Errors of one connection, not of the listening socket.
fn is_clients_fault(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}
