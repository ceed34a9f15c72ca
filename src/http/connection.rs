//! One connection, from its first byte to its end.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, header};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tower::Service;

use super::arrival::{self, Arriving};
use super::seat::{Order, Phase, Seat};
use super::shares::{Share, Shares};
use super::stream::{Stream, Timed};
use super::{Limits, Peer, Problem, Proxies, Refusals, Sender, Why};

/// The most bytes of a request's head.
const MAX_HEAD: usize = 64 * 1024;
/// Seconds until an address that has all its connections in use may try again.
const RETRY: u16 = 1;

/// What all connections work with.
pub(super) struct Context {
    pub(super) router: Router,
    pub(super) limits: Limits,
    pub(super) refusals: Refusals,
    pub(super) proxies: Proxies,
    pub(super) shares: Arc<Shares>,
}

/// Serves one connection; `_share` is given back with it.
pub(super) async fn attend(
    stream: Stream,
    peer: Peer,
    context: Arc<Context>,
    seat: Arc<Seat>,
    _share: Option<Share>,
) {
    let limits = context.limits;
    // Nothing is allocated for a client that says nothing.
    tokio::select! {
        _ = seat.asked() => return,
        ready = tokio::time::timeout(limits.first_byte, stream.first_byte()) => if !matches!(ready, Ok(Ok(()))) { return },
    }
    let place = Arc::clone(&seat);
    let of_requests = Arc::clone(&context);
    let service = service_fn(move |request| {
        place.begin_request();
        let (context, place) = (Arc::clone(&of_requests), Arc::clone(&place));
        async move { Ok::<_, Infallible>(respond(&context, request, peer, &place).await) }
    });
    let io = TokioIo::new(Timed::new(stream, Arc::clone(&seat), limits));
    let mut connection = pin!(
        http1::Builder::new()
            .half_close(true)
            .max_buf_size(MAX_HEAD)
            .serve_connection(io, service)
    );
    loop {
        tokio::select! {
            biased;
            order = seat.asked() => match (order, seat.phase()) {
                (Order::Stay, _) => {}
                (Order::MakeRoom, Phase::Busy) => seat.stay(),
                (Order::MakeRoom, _) => return,
                (Order::Finish, _) => connection.as_mut().graceful_shutdown(),
            },
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    if error.is_parse() {
                        context.refusals.count(Why::Malformed, Some(peer));
                    }
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
        }
    }
}

/// Answers one request, and says so where the connection cannot be kept after it.
async fn respond(
    context: &Context,
    request: Request<Incoming>,
    peer: Peer,
    seat: &Arc<Seat>,
) -> Response<Body> {
    let sender = Sender::of(peer, request.headers(), &context.proxies, seat);
    let forwarded_for = sender.counted_as();
    let share = forwarded_for.and_then(|address| context.shares.take(address));
    let (mut request, unread) = arrival::watch(request, seat, context.limits.stall);
    let mut response = if forwarded_for.is_some() && share.is_none() {
        drop(request);
        Problem::unavailable("too many requests from this address are under way", RETRY)
            .because(Why::Connections)
            .into_response()
    } else {
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(sender);
        answer(context.router.clone(), request).await
    };
    if !unread.settle().await {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    context.refusals.count_response(&response, peer);
    seat.enter(Phase::Idle);
    response
}

/// Has the router answer. A handler that panics costs its own answer, nothing else.
async fn answer(mut router: Router, request: Request<Arriving>) -> Response<Body> {
    let mut handler = pin!(Service::call(&mut router, request));
    let caught = std::future::poll_fn(|cx| {
        match std::panic::catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => std::task::Poll::Ready(Err(())),
        }
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
