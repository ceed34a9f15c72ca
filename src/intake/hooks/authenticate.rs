//! Authenticates webhook requests.

use axum::body::Body;
use axum::http::{HeaderMap, Method, StatusCode, header};
use tracing::debug;

use super::Settings;
use super::handler::HookRequest;
use super::verify::{self, Verifier, VerifyError};
use crate::http::body::{self, Received};
use crate::http::tokens::Scope;
use crate::http::{Caller, Problem, Why};
use crate::intake::ApiState;

/// `Retry-After` if a service's keys are unavailable, in seconds.
const RETRY: u16 = 5;

/// The same response for an unknown hook and a wrong secret. A request that carries a secret may be
/// a guess.
pub(super) fn unknown(secret: Option<&str>, headers: &HeaderMap) -> Problem {
    let guess = secret.is_some() || headers.contains_key(header::AUTHORIZATION);
    Problem::not_found("unknown webhook address, or a wrong secret").because(if guess {
        Why::HookSecret
    } else {
        Why::HookAddress
    })
}

impl HookRequest {
    /// Verifies everything that does not need the body.
    pub(super) fn admit(&self, secret: Option<&str>) -> Result<Caller, Problem> {
        let Settings {
            verifier,
            replay_window,
            ..
        } = self.settings();
        if matches!(verifier, Verifier::ServerTokens) {
            // As on every other route. The hook's name is not secret, and these senders can be
            // given a token.
            if secret.is_some() {
                return Err(unknown(secret, &self.headers));
            }
            let caller =
                self.state
                    .access
                    .check(&Method::POST, &self.headers, self.visitor, Scope::Post)?;
            self.state.access.mark_authenticated(&self.sender);
            return Ok(caller);
        }
        verify::admit(
            verifier,
            secret,
            &self.headers,
            self.state.intake.wall(),
            *replay_window,
        )
        .map_err(|refused| self.refused(refused, secret))?;
        if verify::is_unauthenticated(verifier, &self.headers) {
            // The sender is not authenticated, so at least keep out web pages of other origins.
            self.visitor.check_host()?;
            self.visitor.check_origin()?;
        }
        if matches!(
            verifier,
            Verifier::Path(_) | Verifier::Bearer(_) | Verifier::Header { .. }
        ) {
            self.sender.mark_authenticated();
        }
        Ok(Caller::default())
    }

    /// The response to a failed verification. It does not say what failed.
    fn refused(&self, refused: VerifyError, secret: Option<&str>) -> Problem {
        match refused {
            VerifyError::NotFound => unknown(secret, &self.headers),
            VerifyError::Unauthorized => {
                let why = match self.settings().verifier {
                    Verifier::Bearer(_) | Verifier::Header { .. } => Why::HookSecret,
                    _ => Why::HookProof,
                };
                debug!(
                    hook = self.settings().name,
                    "webhook verification failed"
                );
                Problem::new(
                    StatusCode::UNAUTHORIZED,
                    "webhook verification failed: missing or wrong signature or secret",
                )
                .because(why)
            }
            VerifyError::KeysUnavailable => Problem::unavailable(
                "the public keys of the service are unavailable, so the signature cannot be verified; nothing was stored",
                RETRY,
            )
            .because(Why::HookKeys),
        }
    }

    /// Reads the body and verifies its signature.
    pub(super) async fn read(&self, body: Body) -> Result<Received, Problem> {
        let ApiState { access, intake, .. } = &self.state;
        let Settings {
            verifier, max_body, ..
        } = self.settings();
        let most = max_body.unwrap_or(access.max_body());
        let mut body = body::read_at_most(access, &self.sender, &self.headers, body, most).await?;
        let keys = self.hook.keys.as_ref();
        let mut checked =
            verify::body(verifier, keys, &self.headers, body.as_sent(), intake.wall()).await;
        if checked == Err(VerifyError::Unauthorized) && body.as_sent() != &*body {
            // Some services sign before they compress.
            checked = verify::body(verifier, keys, &self.headers, &body, intake.wall()).await;
        }
        checked.map_err(|refused| self.refused(refused, None))?;
        if verifier.authenticates_by_body(&self.headers) {
            body.mark_authenticated();
        }
        Ok(body)
    }
}
