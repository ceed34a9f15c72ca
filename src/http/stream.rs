//! A connection's bytes with a time limit on every wait.
//!
//! hyper's own header time limit also cuts kept-alive connections that rest between two requests,
//! and costs a timer for every request; nothing in it bounds a client that does not read its
//! answers. So the limits stand here, below hyper: one timer for each connection, set again only
//! when it has run out and the wait is not over.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Sleep;

use super::Peer;
use super::seat::{Phase, Seat};
use super::serve::Limits;

/// How long a closing connection is read on for what its client still sends, so that the client
/// comes to read the answer and is not met by a reset that destroys it.
const LINGER: Duration = Duration::from_secs(2);

/// An accepted connection.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Both ends.
    pub(super) fn peer(&self) -> io::Result<Peer> {
        match self {
            Self::Tcp(stream) => Ok(Peer::Tcp {
                remote: stream.peer_addr()?,
                local: stream.local_addr()?,
            }),
            Self::Unix(_) => Ok(Peer::Unix),
        }
    }

    /// Waits until there is something to read, or the end; reads nothing.
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
        // Sockets hold nothing back.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// A connection that cannot keep us waiting.
#[derive(Debug)]
pub(super) struct Timed {
    stream: Stream,
    seat: Arc<Seat>,
    limits: Limits,
    reading: Pin<Box<Sleep>>,
    writing: Option<Pin<Box<Sleep>>>,
    closing: Option<Pin<Box<Sleep>>>,
}

impl Timed {
    /// Puts the limits on a connection.
    pub(super) fn new(stream: Stream, seat: Arc<Seat>, limits: Limits) -> Self {
        let reading = Box::pin(tokio::time::sleep(limits.head));
        Self {
            stream,
            seat,
            limits,
            reading,
            writing: None,
            closing: None,
        }
    }

    /// Until when the client has to send something; none while a request is served (its body has a
    /// limit of its own).
    fn read_deadline(&self) -> Option<Instant> {
        let limit = match self.seat.phase() {
            Phase::Fresh => self.limits.first_byte,
            Phase::Head => self.limits.head,
            Phase::Idle => self.limits.idle,
            Phase::Busy | Phase::Body => return None,
        };
        Some(self.seat.since() + limit)
    }

    fn poll_read_time(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(deadline) = self.read_deadline().map(tokio::time::Instant::from_std) else {
            return Poll::Pending;
        };
        // A timer that rings too early is set again when it rings; that is cheaper than setting it
        // for every request.
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

impl AsyncRead for Timed {
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
                    && matches!(this.seat.phase(), Phase::Fresh | Phase::Idle)
                {
                    this.seat.enter(Phase::Head);
                }
                ready
            }
        }
    }
}

impl AsyncWrite for Timed {
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

    /// Says that nothing more comes, then reads until the client has said the same, for [`LINGER`]
    /// at most.
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
            // An error here only says that the client is gone, which is what we wait for.
            if ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buf)).is_err()
                || buf.filled().is_empty()
            {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
