//! What is known about a caller before its token is read.

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;

use super::{Peer, Problem, Why};

/// What the connection and the head say about the caller, an extension of every request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Visitor {
    /// The addresses of the connection.
    pub peer: Option<Peer>,
    pub(super) host_is_ours: bool,
    pub(super) origin_is_ours: bool,
}

impl Visitor {
    /// Checks that `Host` is ours.
    ///
    /// # Errors
    /// 421 for any other name.
    pub fn check_host(self) -> Result<(), Problem> {
        let advice = "unknown Host: use a loopback name or the listening address, add the name to server.hosts, or send a token";
        if self.host_is_ours {
            Ok(())
        } else {
            Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, advice).because(Why::Host))
        }
    }

    /// Checks that the request does not come from a web page of another origin.
    ///
    /// # Errors
    /// 403 if it does.
    pub fn check_origin(self) -> Result<(), Problem> {
        let advice = "request from a web page of another origin; configure server.tokens and send one, or add the page's host to server.hosts";
        if self.origin_is_ours {
            Ok(())
        } else {
            Err(Problem::new(StatusCode::FORBIDDEN, advice).because(Why::Origin))
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = std::convert::Infallible;

    /// Without `guard`, nothing is ours.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get().copied().unwrap_or_default())
    }
}
