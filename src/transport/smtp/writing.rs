//! Writes commands and messages, each within a time limit, and nothing once the mail's fence is over.
//!
//! A write may wait for a slow server, and the fence may end meanwhile. So it is asked each time that
//! bytes can go to the stream, not only when the write begins.

use std::future::poll_fn;
use std::mem::take;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::framing::{Connection, ReadError};
use crate::clock::Fence;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Writes all of `bytes` within `limit`.
    pub(super) async fn write(
        &mut self,
        bytes: &[u8],
        limit: Duration,
        fence: &Fence,
    ) -> Result<(), ReadError> {
        let writing = async {
            let mut rest = bytes;
            while !rest.is_empty() {
                let written = self.write_some(rest, fence).await?;
                rest = rest.get(written..).unwrap_or_default();
            }
            self.flush(fence).await
        };
        timeout(limit, writing)
            .await
            .map_err(|_| ReadError::TimedOut(limit))?
    }

    /// Writes a payload. `limit` is the longest time without progress. Up to `owed` replies may
    /// arrive during the write. The flag in the error tells whether all bytes had been written to
    /// the stream; if not, the final dot cannot have arrived.
    pub(super) async fn write_payload(
        &mut self,
        payload: &[u8],
        owed: usize,
        limit: Duration,
        fence: &Fence,
    ) -> Result<(), (ReadError, bool)> {
        let mut rest = payload;
        while !rest.is_empty() {
            if rest.len() < payload.len() {
                self.check_in_step(owed)
                    .await
                    .map_err(|error| (error, false))?;
            }
            let written = timeout(limit, self.write_some(rest, fence))
                .await
                .unwrap_or(Err(ReadError::TimedOut(limit)))
                .map_err(|error| (error, false))?;
            rest = rest.get(written..).unwrap_or_default();
        }
        let flushed = timeout(limit, self.flush(fence)).await;
        flushed
            .unwrap_or(Err(ReadError::TimedOut(limit)))
            .map_err(|error| {
                let complete = !matches!(error, ReadError::LeaseOver);
                (error, complete)
            })
    }

    /// Writes at least one byte.
    async fn write_some(&mut self, bytes: &[u8], fence: &Fence) -> Result<usize, ReadError> {
        let written = poll_fn(|context| {
            if fence.is_over() {
                return Poll::Ready(Err(ReadError::LeaseOver));
            }
            Pin::new(&mut self.stream)
                .poll_write(context, bytes)
                .map_err(ReadError::from)
        });
        match written.await? {
            0 => Err(ReadError::Closed),
            written => Ok(written),
        }
    }

    /// Writes what the stream has kept back.
    ///
    /// The first try belongs to the last write, which may have written everything, the final dot
    /// included. TLS that then still keeps something back has not written the end of its last record,
    /// and without it the server cannot read the dot.
    async fn flush(&mut self, fence: &Fence) -> Result<(), ReadError> {
        let mut is_first = true;
        poll_fn(|context| {
            if !take(&mut is_first) && fence.is_over() {
                return Poll::Ready(Err(ReadError::LeaseOver));
            }
            Pin::new(&mut self.stream)
                .poll_flush(context)
                .map_err(ReadError::from)
        })
        .await
    }
}
