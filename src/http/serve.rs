//! The accept loop: takes connections, bounds them, ends them in order.
//!
//! `axum::serve` has no time limit for headers, no bound on connections and no deadline for draining; hence our own. Where all seats are
//! taken, connections that send nothing make room for new ones, so that idlers never lock a producer out.

use std::collections::HashMap;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::seat::{Order, Phase, Seat};
use super::stream::{Stream, Timed};
use super::{Listener, Problem, Refusals, files};

/// The most bytes of a request's head.
const MAX_HEAD: usize = 64 * 1024;
/// The pause after the system refused a connection (out of files, out of memory).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a connection that never sent anything keeps its seat while others wait for one.
const FRESH_GRACE: Duration = Duration::from_millis(100);
/// The same for one that rests between requests or sends its head slowly.
const IDLE_GRACE: Duration = Duration::from_secs(1);
/// How many connections make room at a time.
const ROOM: usize = 32;

/// What a connection may cost. Every wait on a client is bounded here or, for bodies, in [`super::body`].
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most connections at a time. The default, 768, fits under the usual limit of 1,024 open files.
    pub connections: usize,
    /// Until the first byte of a new connection.
    pub first_byte: Duration,
    /// From the first byte of a request to the end of its head.
    pub head: Duration,
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
        Self { connections: 768, first_byte: seconds(10), head: seconds(10), idle: seconds(60), write: seconds(30), drain: seconds(10) }
    }
}

impl Limits {
    /// The default, with no more connections than the process may have open files for.
    pub fn fitting() -> Self {
        let limits = Self::default();
        Self { connections: files::connections(limits.connections), ..limits }
    }
}

/// Serves `router` on `listener` until `stop`; then closes the socket, answers what has begun and returns after `limits.drain` at the latest.
pub async fn serve(listener: Listener, router: Router, limits: Limits, refusals: Refusals, stop: CancellationToken) {
    let mut house = House { router: router.with_state(()), limits, refusals, start: Instant::now(), seats: HashMap::new(), tasks: JoinSet::new() };
    loop {
        house.tidy();
        let full = house.seats.len() >= limits.connections.max(1);
        if full {
            house.make_room();
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            // While the house is full, a seat may also become free because its holder has been quiet long enough.
            () = tokio::time::sleep(FRESH_GRACE), if full => {}
            Some(done) = house.tasks.join_next_with_id() => house.leave(&done),
            connection = listener.accept(), if !full => match connection {
                Ok(stream) => house.enter(stream),
                Err(error) if is_clients_fault(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, open = house.seats.len(), "a connection could not be accepted");
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
    router: Router,
    limits: Limits,
    refusals: Refusals,
    start: Instant,
    seats: HashMap<Id, Arc<Seat>>,
    tasks: JoinSet<()>,
}

impl House {
    fn enter(&mut self, stream: Stream) {
        let seat = Arc::new(Seat::new(self.start));
        let task = self.tasks.spawn(attend(stream, self.router.clone(), self.limits, self.refusals.clone(), Arc::clone(&seat)));
        self.seats.insert(task.id(), seat);
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

    /// Asks those who have been quiet longest to go.
    fn make_room(&self) {
        let quiet = |seat: &&Arc<Seat>| match seat.phase() {
            Phase::Busy => false,
            Phase::Fresh => seat.since().elapsed() >= FRESH_GRACE,
            Phase::Head | Phase::Idle => seat.since().elapsed() >= IDLE_GRACE,
        };
        let mut seats: Vec<&Arc<Seat>> = self.seats.values().filter(quiet).collect();
        seats.sort_unstable_by_key(|seat| seat.since());
        seats.iter().take(ROOM).for_each(|seat| seat.ask(Order::MakeRoom));
    }

    async fn close(mut self) {
        self.seats.values().for_each(|seat| seat.ask(Order::Finish));
        let all_gone = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.limits.drain, all_gone).await.is_err() {
            tracing::warn!(open = self.tasks.len(), "connections were cut off at the end of the drain time");
            self.tasks.shutdown().await;
        }
    }
}

/// Errors that belong to one connection, not to the listening socket.
fn is_clients_fault(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// One connection, from its first byte to its end.
async fn attend(stream: Stream, router: Router, limits: Limits, refusals: Refusals, seat: Arc<Seat>) {
    // Nothing is allocated for a client that says nothing.
    tokio::select! {
        _ = seat.asked() => return,
        ready = tokio::time::timeout(limits.first_byte, stream.first_byte()) => if !matches!(ready, Ok(Ok(()))) { return },
    }
    // A connection without addresses is gone.
    let Ok(peer) = stream.peer() else { return };
    let place = Arc::clone(&seat);
    let service = service_fn(move |mut request: Request<Incoming>| {
        place.enter(Phase::Busy);
        request.extensions_mut().insert(peer);
        let (answered, refusals, place) = (answer(router.clone(), request), refusals.clone(), Arc::clone(&place));
        async move {
            let response = answered.await;
            refusals.count_response(&response, peer);
            place.enter(Phase::Idle);
            Ok::<_, Infallible>(response)
        }
    });
    let io = TokioIo::new(Timed::new(stream, Arc::clone(&seat), limits));
    let mut connection = pin!(http1::Builder::new().half_close(true).max_buf_size(MAX_HEAD).serve_connection(io, service));
    loop {
        tokio::select! {
            biased;
            order = seat.asked() => match (order, seat.phase()) {
                (Order::MakeRoom, Phase::Busy) | (Order::Stay, _) => {}
                (Order::MakeRoom, _) => return,
                (Order::Finish, _) => connection.as_mut().graceful_shutdown(),
            },
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
        }
    }
}

/// One request. A handler that panics costs its own answer, nothing else.
async fn answer(mut router: Router, request: Request<Incoming>) -> Response<Body> {
    let mut handler = pin!(Service::call(&mut router, request));
    let caught = std::future::poll_fn(|cx| match std::panic::catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(_) => std::task::Poll::Ready(Err(())),
    });
    match caught.await {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        Err(()) => {
            tracing::error!("a handler panicked; its request was answered with 500");
            Problem::internal().into_response()
        }
    }
}
