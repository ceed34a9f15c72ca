//! Reads whole replies, each within a time limit. [`super::writing`] writes.

use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::timeout;

use super::reply::{self, Line, MAX_LINE, MAX_REPLY};
use crate::domain::Reply;

/// Why there is no reply.
#[derive(Debug)]
pub(super) enum ReadError {
    /// No reply within the limit.
    TimedOut(Duration),
    /// The server closed the connection.
    Closed,
    /// The connection was lost.
    Broken(io::Error),
    /// The reply is not SMTP, or exceeds the limits.
    NotSmtp(&'static str),
    /// Unencrypted bytes followed the reply to STARTTLS.
    UnexpectedBytes,
    /// The server has replied to a command not sent yet.
    OutOfStep,
    /// The lease of the mail was over before all of it was written.
    LeaseOver,
}

impl ReadError {
    /// Whether the connection was closed, as may happen to an idle one.
    pub(super) const fn is_gone(&self) -> bool {
        matches!(self, Self::Closed | Self::Broken(_))
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(limit) => write!(f, "no reply within {} s", limit.as_secs_f32()),
            Self::Closed => f.write_str("the server closed the connection without a reply"),
            Self::Broken(error) => write!(f, "the connection was lost: {error}"),
            Self::NotSmtp(why) => write!(f, "the server's reply is not SMTP: {why}"),
            Self::OutOfStep => f.write_str("the server replied before it was asked, so replies and commands are out of step"),
            Self::LeaseOver => f.write_str("the lease of the mail is over"),
            Self::UnexpectedBytes => f.write_str("unencrypted bytes followed the reply to STARTTLS; an attacker may have injected them"),
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        // rustls reports an end without close_notify as this kind; it is common.
        if error.kind() == io::ErrorKind::UnexpectedEof {
            Self::Closed
        } else {
            Self::Broken(error)
        }
    }
}

/// Parses the replies in `bytes`, as from a server that sends them and closes the connection. For
/// fuzzing.
pub fn replies(bytes: &[u8]) -> Vec<Reply> {
    let mut connection = Connection::new(tokio::io::join(bytes, tokio::io::sink()));
    let mut replies = Vec::new();
    // A slice is always ready. A reply has at least four bytes; an incomplete refusal at the end
    // would be returned again and again.
    while replies.len() <= bytes.len() / 4 {
        let read = pin!(connection.next_reply()).poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Ok(code)) = read else { break };
        replies.push(reply::reply(code, connection.lines()));
    }
    replies
}

/// A stream with a buffer for what was read beyond the last reply.
#[derive(Debug)]
pub(super) struct Connection<S> {
    pub(super) stream: S,
    inbox: Vec<u8>,
    /// Start of the unread part of `inbox`.
    start: usize,
    /// The texts of the last reply's lines, joined by `\n`.
    lines: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            inbox: Vec::with_capacity(1024),
            start: 0,
            lines: Vec::with_capacity(256),
        }
    }

    /// The stream. Drops what was read ahead, so check [`Connection::has_unexpected_bytes`] first.
    pub(super) fn into_stream(self) -> S {
        self.stream
    }

    /// Whether anything was read beyond the last reply.
    pub(super) const fn has_unexpected_bytes(&self) -> bool {
        self.start < self.inbox.len()
    }

    /// The texts of the last reply's lines, joined by `\n`.
    pub(super) fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// Fails if more than `owed` replies have arrived, or the connection is closed. Does not wait.
    ///
    /// A reply that arrives before its command belongs to another one. If it were taken for the
    /// reply to the next command, a mail could be reported as sent that the server has not received.
    pub(super) async fn check_in_step(&mut self, owed: usize) -> Result<(), ReadError> {
        let mut ended = None;
        std::future::poll_fn(|context| {
            while ended.is_none() && self.inbox.len() - self.start <= MAX_REPLY {
                let mut space = [0; 512];
                let mut buffer = ReadBuf::new(&mut space);
                match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                    Poll::Pending => break,
                    Poll::Ready(Err(error)) => ended = Some(ReadError::from(error)),
                    Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                        ended = Some(ReadError::Closed);
                    }
                    Poll::Ready(Ok(())) => self.inbox.extend_from_slice(buffer.filled()),
                }
            }
            Poll::Ready(())
        })
        .await;
        let unread = self.inbox.get(self.start..).unwrap_or_default();
        let too_many = if owed == 0 {
            !unread.is_empty()
        } else {
            reply::count(unread) > owed
        };
        match ended {
            _ if too_many => Err(ReadError::OutOfStep),
            Some(error) if owed == 0 => Err(error),
            _ => Ok(()),
        }
    }

    /// Reads one reply with all its lines within `limit`. Its text is then in
    /// [`Connection::lines`].
    pub(super) async fn read_reply(&mut self, limit: Duration) -> Result<u16, ReadError> {
        timeout(limit, self.next_reply())
            .await
            .unwrap_or(Err(ReadError::TimedOut(limit)))
    }

    async fn next_reply(&mut self) -> Result<u16, ReadError> {
        self.lines.clear();
        let mut code = None;
        loop {
            let end = match self.line_end().await {
                Ok(end) => end,
                Err(error) if error.is_gone() => return self.incomplete_refusal(code).ok_or(error),
                Err(error) => return Err(error),
            };
            let bytes = self.inbox.get(self.start..end).unwrap_or_default();
            let Line {
                code: this,
                last,
                text,
            } = reply::line(bytes.trim_ascii_end())
                .ok_or(ReadError::NotSmtp("a line has no code"))?;
            if code.is_some_and(|code| code != this) {
                return Err(ReadError::NotSmtp(
                    "the lines of one reply have different codes",
                ));
            }
            if self.lines.len() + text.len() > MAX_REPLY {
                return Err(ReadError::NotSmtp("the reply is longer than 64 KiB"));
            }
            if code.replace(this).is_some() {
                self.lines.push(b'\n');
            }
            self.lines.extend_from_slice(text);
            self.start = end;
            if last {
                return Ok(this);
            }
        }
    }

    /// The code of an incomplete reply after which the server has closed the connection, if it is a
    /// refusal. An incomplete success does not count.
    fn incomplete_refusal(&mut self, code: Option<u16>) -> Option<u16> {
        let fragment = self.inbox.get(self.start..).unwrap_or_default();
        if let Some(line) = reply::line(fragment.trim_ascii_end())
            .filter(|line| code.is_none_or(|code| code == line.code))
        {
            if code.is_some() {
                self.lines.push(b'\n');
            }
            self.lines.extend_from_slice(line.text);
            return Some(line.code).filter(|code| *code >= 400);
        }
        code.filter(|code| *code >= 400)
    }

    /// Reads until there is a whole line at `start`, and returns the position after it.
    async fn line_end(&mut self) -> Result<usize, ReadError> {
        let mut searched = self.start;
        loop {
            let unread = self.inbox.get(searched..).unwrap_or_default();
            if let Some(offset) = unread.iter().position(|byte| *byte == b'\n') {
                return Ok(searched + offset + 1);
            }
            if self.inbox.len() - self.start > MAX_LINE {
                return Err(ReadError::NotSmtp("a line is longer than 4 KiB"));
            }
            if self.start > 0 {
                self.inbox.drain(..self.start);
                self.start = 0;
            }
            searched = self.inbox.len();
            if self.stream.read_buf(&mut self.inbox).await? == 0 {
                return Err(ReadError::Closed);
            }
        }
    }

    /// Discards what the server sends until it closes the connection.
    pub(super) async fn drain(&mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        loop {
            self.inbox.clear();
            self.start = 0;
            if self.stream.read_buf(&mut self.inbox).await? == 0 {
                return Ok(());
            }
        }
    }
}
