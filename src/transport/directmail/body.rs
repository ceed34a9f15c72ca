//! The body of a call, which is not sent once the fence of its mail is over.
//!
//! Connecting takes up to ten seconds, so the fence is asked when the connection takes the body. Without
//! its body, DirectMail does not act on a call.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::clock::{Fence, FenceOver};

/// A body in one piece, until it has been sent.
pub(super) struct FencedBody {
    rest: Option<Bytes>,
    fence: Fence,
}

impl FencedBody {
    pub(super) fn new(body: String, fence: Fence) -> Self {
        Self {
            rest: Some(body.into()),
            fence,
        }
    }
}

impl Body for FencedBody {
    type Data = Bytes;
    type Error = FenceOver;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, FenceOver>>> {
        let checked = self.fence.check();
        let body = self.rest.take();
        Poll::Ready(body.map(|body| checked.map(|()| Frame::data(body))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.rest.as_ref().map_or(0, Bytes::len);
        SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
    }
}

/// Whether a call failed because the fence was over.
pub(super) fn is_lease_over(error: &reqwest::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if inner.is::<FenceOver>() {
            return true;
        }
        source = inner.source();
    }
    false
}
