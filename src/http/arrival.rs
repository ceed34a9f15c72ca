//! A request's body on its way in: its progress is noted, a sender that stalls is cut off, and what
//! a handler leaves unread is looked after.
//!
//! hyper closes a connection whose request was not read to its end, without saying so; a client
//! that sends its next request there gets no answer. So [`Unread::settle`] reads what little is
//! left, or has the answer say that the connection closes.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Request, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::time::Sleep;

use super::seat::{Phase, Seat};

/// The most bytes of a body nobody wanted that are read, so that its connection can be kept.
const MAX_UNREAD: u64 = 64 * 1_024;
/// How long that may take, before the answer.
const UNREAD_TIME: Duration = Duration::from_millis(500);

/// Why a body ends before its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// Its bytes arrive too slowly, or not at all.
    #[error("the body arrives too slowly")]
    Stalled,
    /// Its sender hung up, or sent something that is not a body.
    #[error(transparent)]
    Broken(#[from] hyper::Error),
}

/// What a handler left of a body.
#[derive(Debug, Default)]
enum Rest {
    #[default]
    Nothing,
    /// The body broke off, so that nobody knows where the next request begins.
    Broken,
    Unread {
        incoming: Incoming,
        /// Whether the handler had begun to read.
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

/// A request's body as handlers get it.
pub(super) struct Arriving {
    incoming: Option<Incoming>,
    begun: bool,
    seat: Arc<Seat>,
    stall: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    left: Arc<Left>,
}

/// What becomes of the part of a body that its handler did not read.
pub(super) struct Unread {
    seat: Arc<Seat>,
    stall: Duration,
    left: Arc<Left>,
    /// Whether the sender waits for `100 Continue` before it sends anything (RFC 9110 §10.1.1).
    awaits_leave: bool,
}

/// Puts the body of a request under watch; it may fall behind the minimum rate by `stall`.
pub(super) fn watch(
    request: Request<Incoming>,
    seat: &Arc<Seat>,
    stall: Duration,
) -> (Request<Arriving>, Unread) {
    let left = Arc::<Left>::default();
    let awaits_leave = request.headers().contains_key(header::EXPECT);
    let arriving = |incoming| Arriving {
        incoming: Some(incoming),
        begun: false,
        seat: Arc::clone(seat),
        stall,
        timer: None,
        left: Arc::clone(&left),
    };
    let request = request.map(arriving);
    (
        request,
        Unread {
            seat: Arc::clone(seat),
            stall,
            left,
            awaits_leave,
        },
    )
}

impl Unread {
    /// Reads what is left of the body, if it is little; says whether the connection can be kept.
    pub(super) async fn settle(self) -> bool {
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
            seat: self.seat,
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
    /// Waits for the sender, until it is too far behind the minimum rate.
    fn poll_delay(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        if self.seat.phase() != Phase::Body {
            self.seat.enter(Phase::Body);
        }
        let deadline = tokio::time::Instant::from_std(self.seat.kept_up() + self.stall);
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
                Some(Ok(frame)) => this.seat.arrived(frame.data_ref().map_or(0, Bytes::len)),
                Some(Err(_)) => {
                    this.incoming = None;
                    this.left.put(Rest::Broken);
                }
                None => this.incoming = None,
            }
            this.seat.enter(Phase::Busy);
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
