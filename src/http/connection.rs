//! Serves one connection.

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
use super::connection_state::{ConnectionState, Phase, Signal};
use super::shares::{Share, Shares};
use super::stream::{Stream, TimeoutStream};
use super::{Limits, Peer, Problem, Proxies, Refusals, Sender, Why};

/// Maximum size of a request's head, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// `Retry-After` for an address that uses all its connections, in seconds.
const RETRY: u16 = 1;

/// State shared by all connections.
pub(super) struct Context {
    pub(super) router: Router,
    pub(super) limits: Limits,
    pub(super) refusals: Refusals,
    pub(super) proxies: Proxies,
    pub(super) shares: Arc<Shares>,
}

/// Serves one connection; `_share` is released with it.
pub(super) async fn serve_connection(
    stream: Stream,
    peer: Peer,
    context: Arc<Context>,
    state: Arc<ConnectionState>,
    _share: Option<Share>,
) {
    let limits = context.limits;
    // Allocate nothing for a client that sends nothing.
    tokio::select! {
        _ = state.signalled() => return,
        ready = tokio::time::timeout(limits.first_byte, stream.first_byte()) => if !matches!(ready, Ok(Ok(()))) { return },
    }
    let shared = Arc::clone(&state);
    let of_requests = Arc::clone(&context);
    let service = service_fn(move |request| {
        shared.begin_request();
        let (context, shared) = (Arc::clone(&of_requests), Arc::clone(&shared));
        async move { Ok::<_, Infallible>(respond(&context, request, peer, &shared).await) }
    });
    let io = TokioIo::new(TimeoutStream::new(stream, Arc::clone(&state), limits));
    let mut connection = pin!(
        http1::Builder::new()
            .half_close(true)
            .max_buf_size(MAX_HEAD)
            .serve_connection(io, service)
    );
    loop {
        tokio::select! {
            biased;
            signal = state.signalled() => match (signal, state.phase()) {
                (Signal::None, _) => {}
                (Signal::Yield, Phase::Busy) => state.decline(),
                (Signal::Yield, _) => return,
                (Signal::Finish, _) => connection.as_mut().graceful_shutdown(),
            },
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    if error.is_parse() {
                        context.refusals.count(Why::Malformed, Some(peer));
                    }
                    tracing::debug!(%error, "connection closed early");
                }
                return;
            }
        }
    }
}

/// Answers one request. The response announces if the connection will be closed.
async fn respond(
    context: &Context,
    request: Request<Incoming>,
    peer: Peer,
    state: &Arc<ConnectionState>,
) -> Response<Body> {
    let sender = Sender::of(peer, request.headers(), &context.proxies, state);
    let forwarded_for = sender.counted_as();
    let share = forwarded_for.and_then(|address| context.shares.acquire(address));
    let (mut request, unread) = arrival::watch(request, state, context.limits.stall);
    let mut response = if forwarded_for.is_some() && share.is_none() {
        drop(request);
        Problem::unavailable("too many concurrent requests from this address", RETRY)
            .because(Why::Connections)
            .into_response()
    } else {
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(sender);
        answer(context.router.clone(), request).await
    };
    if !unread.drain().await {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    context.refusals.count_response(&response, peer);
    state.enter(Phase::Idle);
    response
}

/// Calls the router. A panic in a handler becomes a 500.
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
            tracing::error!("handler panicked; responded with 500");
            Problem::internal().into_response()
        }
    }
}
