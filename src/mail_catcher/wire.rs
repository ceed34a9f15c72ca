//! Lines on a byte stream: bounded, timed, and strict about line ends.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// Maximum length of a content line: 998 characters, CRLF, and a stuffed dot (RFC 5321 sections
/// 4.5.3.1.6 and 4.5.2).
const MAX_TEXT_LINE: usize = 1001;
/// Maximum length of a command line; more than the 512 octets of RFC 5321 section 4.5.3.1.4,
/// because AUTH and SMTPUTF8 need more.
const MAX_COMMAND_LINE: usize = 12 * 1024;
/// Size of one read.
const CHUNK: usize = 16 * 1024;
/// Buffered replies are sent at the latest when they reach this many bytes.
const MAX_HELD: usize = 16 * 1024;

/// Why a session cannot continue.
#[derive(Debug)]
pub(super) enum WireError {
    /// The connection is closed or broken.
    Closed,
    /// The client was silent for too long.
    Silent,
    /// A bare CR or LF. Servers disagree on whether it ends a line, which allows SMTP smuggling, so
    /// the connection is closed.
    BareLineEnd,
    /// A line exceeds its limit.
    LongLine,
}

impl From<io::Error> for WireError {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

/// The content of a mail.
#[derive(Debug)]
pub(super) enum Content {
    /// All of it, dots unstuffed, each line with its CRLF.
    Whole(Vec<u8>),
    /// Too large; it was read to its end and discarded.
    TooLarge,
}

/// The server's side of a session: reads lines, writes replies.
#[derive(Debug)]
pub(super) struct Wire<S> {
    stream: S,
    input: BytesMut,
    output: Vec<u8>,
    idle: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S, idle: Duration) -> Self {
        Self {
            stream,
            input: BytesMut::new(),
            output: Vec::new(),
            idle,
        }
    }

    /// Appends a reply line; replies are sent together before waiting for the client.
    pub(super) fn say(&mut self, line: &str) {
        self.output.extend_from_slice(line.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    /// The next command line without its CRLF.
    pub(super) async fn command(&mut self) -> Result<Bytes, WireError> {
        self.line(MAX_COMMAND_LINE).await
    }

    /// Reads a mail's content up to the line with a single dot (RFC 5321 section 4.1.1.4), at most
    /// `max` bytes.
    pub(super) async fn content(&mut self, max: usize) -> Result<Content, WireError> {
        let mut kept = Vec::new();
        let mut too_large = false;
        loop {
            let line = self.line(MAX_TEXT_LINE).await?;
            if &*line == b"." {
                return Ok(if too_large {
                    Content::TooLarge
                } else {
                    Content::Whole(kept)
                });
            }
            let text = line.strip_prefix(b".").unwrap_or(&line);
            too_large = too_large || kept.len() + text.len() + 2 > max;
            if too_large {
                kept = Vec::new();
            } else {
                kept.extend_from_slice(text);
                kept.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Sends the buffered replies.
    pub(super) async fn flush(&mut self) -> Result<(), WireError> {
        if !self.output.is_empty() {
            timeout(self.idle, self.stream.write_all(&self.output))
                .await
                .map_err(|_| WireError::Silent)??;
            self.output.clear();
        }
        Ok(())
    }

    /// Sends the buffered replies and closes. Drains the client's data for a moment, because
    /// closing with unread data resets the connection and the client would not see the reply.
    pub(super) async fn close(mut self) {
        if self.flush().await.is_err() || self.stream.shutdown().await.is_err() {
            return;
        }
        let mut rest = [0; 4096];
        let drain =
            async { while matches!(self.stream.read(&mut rest).await, Ok(read) if read > 0) {} };
        // The outcome does not matter.
        timeout(Duration::from_secs(1), drain).await.ok();
    }

    async fn line(&mut self, max: usize) -> Result<Bytes, WireError> {
        let mut searched = 0;
        loop {
            if let Some(at) = self
                .input
                .iter()
                .skip(searched)
                .position(|byte| *byte == b'\n')
                .map(|at| at + searched)
            {
                let mut line = self.input.split_to(at + 1).freeze();
                line.truncate(at);
                let Some((b'\r', text)) = line.split_last() else {
                    return Err(WireError::BareLineEnd);
                };
                if text.contains(&b'\r') {
                    return Err(WireError::BareLineEnd);
                }
                if at >= max {
                    return Err(WireError::LongLine);
                }
                line.truncate(at - 1);
                return Ok(line);
            }
            searched = self.input.len();
            if searched > max {
                return Err(WireError::LongLine);
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), WireError> {
        self.flush().await?;
        self.input.reserve(CHUNK);
        let read = timeout(self.idle, self.stream.read_buf(&mut self.input))
            .await
            .map_err(|_| WireError::Silent)??;
        if read == 0 {
            Err(WireError::Closed)
        } else {
            Ok(())
        }
    }

    /// Whether the buffered replies should be sent although more commands are available.
    pub(super) fn is_full(&self) -> bool {
        self.output.len() > MAX_HELD
    }
}
