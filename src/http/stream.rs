//! A byte stream with a timeout on every wait.
//!
//! hyper's header timeout also closes kept-alive connections between two requests and costs a timer
//! per request, and it does not bound clients that do not read their responses. These timeouts
//! apply below hyper, with one timer per connection that is reset only when it fires early.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Sleep;

use super::connection_state::{ConnectionState, Phase};
use super::{Limits, Peer};

/// How long to read from a closing connection, so that the client reads the response before a TCP
/// reset discards it.
const LINGER: Duration = Duration::from_secs(2);

/// An accepted connection.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// The addresses of both ends.
    pub(super) fn peer(&self) -> io::Result<Peer> {
        match self {
            Self::Tcp(stream) => Ok(Peer::Tcp {
                remote: stream.peer_addr()?,
                local: stream.local_addr()?,
            }),
            Self::Unix(_) => Ok(Peer::Unix),
        }
    }

    /// Waits for data or the end, without reading.
    pub(super) async fn first_byte(&self) -> io::Result<()> {
        match self {
            // `readable` alone may be true without a byte.
            Self::Tcp(stream) => stream.peek(&mut [0]).await.map(drop),
            Self::Unix(stream) => stream.readable().await,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Sockets do not buffer.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// A connection with timeouts.
#[derive(Debug)]
pub(super) struct TimeoutStream {
    stream: Stream,
    state: Arc<ConnectionState>,
    limits: Limits,
    reading: Pin<Box<Sleep>>,
    writing: Option<Pin<Box<Sleep>>>,
    closing: Option<Pin<Box<Sleep>>>,
}

impl TimeoutStream {
    /// Applies timeouts to a connection.
    pub(super) fn new(stream: Stream, state: Arc<ConnectionState>, limits: Limits) -> Self {
        let reading = Box::pin(tokio::time::sleep(limits.head));
        Self {
            stream,
            state,
            limits,
            reading,
            writing: None,
            closing: None,
        }
    }

    /// When the client has to send something; `None` while a request is handled (its body has its
    /// own limit).
    fn read_deadline(&self) -> Option<Instant> {
        let limit = match self.state.phase() {
            Phase::Fresh => self.limits.first_byte,
            Phase::Head => self.limits.head,
            Phase::Idle => self.limits.idle,
            Phase::Busy | Phase::Body => return None,
        };
        Some(self.state.since() + limit)
    }

    fn poll_read_time(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(deadline) = self.read_deadline().map(tokio::time::Instant::from_std) else {
            return Poll::Pending;
        };
        // Resetting the timer when it fires early is cheaper than resetting it for every request.
        if self.reading.deadline() > deadline {
            self.reading.as_mut().reset(deadline);
        }
        while self.reading.as_mut().poll(cx).is_ready() {
            if tokio::time::Instant::now() >= deadline {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.reading.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    fn poll_write_time<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let limit = self.limits.write;
        let timer = self
            .writing
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        timer
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for TimeoutStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
            Poll::Pending => this.poll_read_time(cx),
            ready @ Poll::Ready(_) => {
                if buf.filled().len() > before
                    && matches!(this.state.phase(), Phase::Fresh | Phase::Idle)
                {
                    this.state.enter(Phase::Head);
                }
                ready
            }
        }
    }
}

impl AsyncWrite for TimeoutStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_write(cx, bytes) {
            Poll::Pending => this.poll_write_time(cx),
            ready @ Poll::Ready(_) => {
                this.writing = None;
                ready
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_write_vectored(cx, slices) {
            Poll::Pending => this.poll_write_time(cx),
            ready @ Poll::Ready(_) => {
                this.writing = None;
                ready
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    /// Shuts down writing, then reads until the client closes too, for [`LINGER`] at most.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.closing.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        let timer = this
            .closing
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        if timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut space = [0; 4_096];
        loop {
            let mut buf = ReadBuf::new(&mut space);
            // An error means that the client is gone.
            if ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buf)).is_err()
                || buf.filled().is_empty()
            {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
