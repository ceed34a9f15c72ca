//! Receives request bodies: tracks progress, cuts off stalled senders, and deals with bodies that a
//! handler leaves unread.
//!
//! hyper closes a connection without notice if a request was not read to its end, so that the
//! client's next request gets no response. [`Unread::drain`] therefore reads a short rest, or has
//! the response announce that the connection closes.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Request, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::time::Sleep;

use super::connection_state::{ConnectionState, Phase};

/// Maximum number of unread bytes that are read to keep a connection open.
const MAX_UNREAD: u64 = 64 * 1_024;
/// Time limit for that, before the response.
const UNREAD_TIME: Duration = Duration::from_millis(500);

/// Why a body ends early.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// The body arrives too slowly.
    #[error("the body arrives too slowly")]
    Stalled,
    /// The sender disconnected or sent an invalid body.
    #[error(transparent)]
    Broken(#[from] hyper::Error),
}

/// The part of a body that a handler left unread.
#[derive(Debug, Default)]
enum Rest {
    #[default]
    Nothing,
    /// The body broke off, so the start of the next request is unknown.
    Broken,
    Unread {
        incoming: Incoming,
        /// Whether the handler had started to read.
        begun: bool,
    },
}

#[derive(Debug, Default)]
struct Left(Mutex<Rest>);

impl Left {
    fn put(&self, rest: Rest) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = rest;
    }

    fn take(&self) -> Rest {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request body that tracks its progress.
pub(super) struct Arriving {
    incoming: Option<Incoming>,
    begun: bool,
    state: Arc<ConnectionState>,
    stall: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    left: Arc<Left>,
}

/// Handles the unread part of a body.
pub(super) struct Unread {
    state: Arc<ConnectionState>,
    stall: Duration,
    left: Arc<Left>,
    /// Whether the sender waits for `100 Continue` (RFC 9110 §10.1.1).
    awaits_leave: bool,
}

/// Wraps a request's body. `stall` is how far it may fall behind the minimum rate.
pub(super) fn watch(
    request: Request<Incoming>,
    state: &Arc<ConnectionState>,
    stall: Duration,
) -> (Request<Arriving>, Unread) {
    let left = Arc::<Left>::default();
    let awaits_leave = request.headers().contains_key(header::EXPECT);
    let arriving = |incoming| Arriving {
        incoming: Some(incoming),
        begun: false,
        state: Arc::clone(state),
        stall,
        timer: None,
        left: Arc::clone(&left),
    };
    let request = request.map(arriving);
    (
        request,
        Unread {
            state: Arc::clone(state),
            stall,
            left,
            awaits_leave,
        },
    )
}

impl Unread {
    /// Reads the rest of the body if it is short. Returns whether the connection can be kept.
    pub(super) async fn drain(self) -> bool {
        let (incoming, begun) = match self.left.take() {
            Rest::Nothing => return true,
            Rest::Broken => return false,
            Rest::Unread { incoming, begun } => (incoming, begun),
        };
        if incoming.size_hint().lower() > MAX_UNREAD || (self.awaits_leave && !begun) {
            return false;
        }
        let mut rest = Arriving {
            incoming: Some(incoming),
            begun: true,
            state: self.state,
            stall: self.stall,
            timer: None,
            left: Arc::default(),
        };
        let reading = async {
            let mut size = 0;
            while let Some(frame) = rest.frame().await {
                let Ok(frame) = frame else { return false };
                size += frame
                    .data_ref()
                    .map_or(0, |data| u64::try_from(data.len()).unwrap_or(u64::MAX));
                if size > MAX_UNREAD {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(UNREAD_TIME, reading)
            .await
            .unwrap_or(false)
    }
}

impl Arriving {
    /// Waits for more bytes until the body is too far behind the minimum rate.
    fn poll_delay(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        if self.state.phase() != Phase::Body {
            self.state.enter(Phase::Body);
        }
        let deadline = tokio::time::Instant::from_std(self.state.on_pace_until() + self.stall);
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx).map(|()| BodyError::Stalled)
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        this.begun = true;
        let Some(incoming) = &mut this.incoming else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(incoming).poll_frame(cx);
        if let Poll::Ready(frame) = &polled {
            match frame {
                Some(Ok(frame)) => this.state.arrived(frame.data_ref().map_or(0, Bytes::len)),
                Some(Err(_)) => {
                    this.incoming = None;
                    this.left.put(Rest::Broken);
                }
                None => this.incoming = None,
            }
            this.state.enter(Phase::Busy);
        }
        match polled {
            Poll::Ready(frame) => Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from))),
            Poll::Pending => this.poll_delay(cx).map(|stalled| Some(Err(stalled))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if let Some(incoming) = self
            .incoming
            .take()
            .filter(|incoming| !incoming.is_end_stream())
        {
            self.left.put(Rest::Unread {
                incoming,
                begun: self.begun,
            });
        }
    }
}
