//! The accept loop: takes connections, bounds them, ends them in order.
//!
//! `axum::serve` has no time limit for headers, no bound on connections and no deadline for
//! draining; hence our own. When all connections are in use, those that make no progress (no first
//! byte, a head or body that does not arrive, no next request) give way to new ones, and beyond
//! loopback no address holds more than half of them, so that nobody can lock a producer out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::connection::{self, Context};
use super::seat::{Order, Rank, Seat};
use super::shares::{self, Share, Shares};
use super::stream::Stream;
use super::{Listener, Proxies, Refusals, Why, files};
use crate::telemetry::log_limit::{LogLimit, Verdict};

/// The pause after the system refused a connection (out of files, out of memory).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// While all connections are in use: how often it is looked who can give way.
const LOOK: Duration = Duration::from_millis(5);
/// `ENFILE` and `EMFILE`: the system, or this process, may open no more files.
const OUT_OF_FILES: [i32; 2] = [23, 24];
/// How many connections make room at a time, at most an eighth of all.
const ROOM: usize = 64;

/// What a connection may cost. Every wait on a client is bounded here or, for bodies, in
/// [`super::body`].
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most connections at a time. The default, 768, fits under the usual limit of 1,024 open
    /// files.
    pub connections: usize,
    /// Until the first byte of a new connection.
    pub first_byte: Duration,
    /// From the first byte of a request to the end of its head.
    pub head: Duration,
    /// How far a request's body may fall behind 1 KiB a second, also while nobody else needs the
    /// connection.
    pub stall: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// Until the client takes the next piece of an answer.
    pub write: Duration,
    /// From the stop signal until everything is cut off.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connections: 768,
            first_byte: seconds(10),
            head: seconds(10),
            stall: seconds(5),
            idle: seconds(60),
            write: seconds(30),
            drain: seconds(10),
        }
    }
}

impl Limits {
    /// The default, with no more connections than the process may have open files for.
    pub fn fitting() -> Self {
        let limits = Self::default();
        Self {
            connections: files::connections(limits.connections),
            ..limits
        }
    }
}

/// Serves `router` on `listener` until `stop`; then closes the socket, answers what has begun and
/// returns after `limits.drain` at the latest.
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
    let mut house = House {
        context,
        start: Instant::now(),
        seats: HashMap::new(),
        tasks: JoinSet::new(),
        looked: None,
        failures: LogLimit::new(),
    };
    loop {
        house.tidy();
        let full = house.seats.len() >= limits.connections.max(1);
        if full {
            house.make_room();
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            // Meanwhile somebody may have been quiet long enough to give way.
            () = tokio::time::sleep(LOOK), if full => {}
            Some(done) = house.tasks.join_next_with_id() => house.leave(&done),
            connection = listener.accept(), if !full => match connection {
                Ok(stream) => house.enter(stream),
                Err(error) if is_clients_fault(&error) => {}
                Err(error) => {
                    house.refused_by_system(&error);
                    house.make_room();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    house.close().await;
}

/// Everybody who is in.
struct House {
    context: Arc<Context>,
    start: Instant,
    seats: HashMap<Id, Arc<Seat>>,
    tasks: JoinSet<()>,
    /// When it was last looked who can give way; that walks over all of them.
    looked: Option<Instant>,
    failures: LogLimit,
}

impl House {
    fn enter(&mut self, stream: Stream) {
        // A connection without addresses is gone already.
        let Ok(peer) = stream.peer() else { return };
        let Context {
            proxies, refusals, ..
        } = &*self.context;
        // What a trusted proxy forwards is counted request by request.
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
        let seat = Arc::new(Seat::new(self.start, counted_as));
        let task = self.tasks.spawn(connection::attend(
            stream,
            peer,
            Arc::clone(&self.context),
            Arc::clone(&seat),
            share,
        ));
        self.seats.insert(task.id(), seat);
    }

    /// One of the connections that an address may have, if need be in place of one that makes no
    /// progress.
    fn share(&self, address: IpAddr) -> Option<Share> {
        let shares = &self.context.shares;
        let is_its_own = |seat: &Seat| seat.counted_as() == Some(address);
        shares.take(address).or_else(|| {
            if self.dismiss(1, is_its_own) > 0 {
                shares.exchange(address)
            } else {
                None
            }
        })
    }

    fn leave(&mut self, done: &Result<(Id, ()), tokio::task::JoinError>) {
        let id = match done {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        self.seats.remove(&id);
    }

    fn tidy(&mut self) {
        while let Some(done) = self.tasks.try_join_next_with_id() {
            self.leave(&done);
        }
    }

    /// Asks some of those who make no progress to go, unless enough are going already.
    fn make_room(&mut self) {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return;
        }
        self.looked = Some(Instant::now());
        let leaving = self.seats.values().filter(|seat| seat.is_leaving()).count();
        let most = (self.context.limits.connections / 8).clamp(1, ROOM);
        self.dismiss(most.saturating_sub(leaving), |_| true);
    }

    /// Asks up to `most` of the connections that `among` selects to close, longest without progress
    /// first, and returns how many it asked.
    ///
    /// Authenticated senders are spared as long as others can go, but not more than a quarter of
    /// all connections of them: stalled ones would otherwise pile up until hardly any are left for
    /// everybody else to pass through.
    fn dismiss(&self, most: usize, among: impl Fn(&Seat) -> bool) -> usize {
        let now = Instant::now();
        let candidates = self.seats.values().filter(|seat| among(seat));
        let ranked: Vec<_> = candidates
            .filter_map(|seat| Some((seat.rank()?, seat)))
            .collect();
        let (proven, mut unproven): (Vec<_>, Vec<_>) =
            ranked.into_iter().partition(|(rank, _)| rank.proven);
        let spared = if unproven.is_empty() {
            0
        } else {
            (self.context.limits.connections / 4).max(1)
        };
        let is_due = |(rank, _): &(Rank, _)| rank.is_due(now);
        let mut stalled: Vec<_> = proven.into_iter().filter(is_due).collect();
        stalled.sort_unstable_by_key(|(rank, _)| *rank);
        stalled.truncate(stalled.len().saturating_sub(spared));
        unproven.retain(is_due);
        unproven.sort_unstable_by_key(|(rank, _)| *rank);
        let asked = unproven.into_iter().chain(stalled).take(most);
        asked.map(|(_, seat)| seat.ask(Order::MakeRoom)).count()
    }

    /// Says at most once a minute that the system gives no more connections.
    fn refused_by_system(&self, error: &std::io::Error) {
        if error
            .raw_os_error()
            .is_some_and(|code| OUT_OF_FILES.contains(&code))
        {
            self.context.refusals.count(Why::Descriptors, None);
        } else if let Verdict::Log(refused) = self.failures.count() {
            tracing::warn!(%error, refused, open = self.seats.len(), "connections could not be accepted");
        }
    }

    async fn close(mut self) {
        self.seats.values().for_each(|seat| seat.ask(Order::Finish));
        let all_gone = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.context.limits.drain, all_gone)
            .await
            .is_err()
        {
            tracing::warn!(
                open = self.tasks.len(),
                "connections were cut off at the end of the drain time"
            );
            self.tasks.shutdown().await;
        }
    }
}

/// Errors that belong to one connection, not to the listening socket.
fn is_clients_fault(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}
