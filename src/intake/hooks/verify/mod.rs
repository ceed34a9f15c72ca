//! Authenticates webhook requests: over the raw bytes, before anything is parsed, in constant time.

mod fal;
mod hmac_body;
pub mod jwks;
pub mod standard;

use std::time::Duration;

use crate::domain::Timestamp;
use crate::http::tokens::bearer;
use crate::secret::Secret;
use jwks::{JwksCache, KeySource};
use reqwest::header::HeaderMap;
use standard::Signed;
use standard::SigningKey;

/// A method of verification, as the configuration names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `standard-webhooks`: HMAC-SHA256 or Ed25519 over id, time and body (standardwebhooks.com).
    StandardWebhooks,
    /// `hmac-sha256`: over the body, in hex or base64, in this header.
    Hmac(&'static str),
    /// `header`: the secret in this header.
    Header(&'static str),
    /// `bearer`: the secret as `Authorization: Bearer`.
    Bearer,
    /// `path`: the secret as the last segment of the URL, or as `Authorization: Bearer`.
    Path,
    /// `fal`: Ed25519 with keys that fal.ai publishes.
    Fal,
}

impl Method {
    /// The names in the configuration.
    pub const NAMES: &[&str] = &[
        "standard-webhooks",
        "hmac-sha256",
        "header",
        "bearer",
        "path",
        "fal",
    ];

    /// The method with this name, with its default header.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "standard-webhooks" => Some(Self::StandardWebhooks),
            "hmac-sha256" => Some(Self::Hmac("x-signature")),
            "header" => Some(Self::Header("x-token")),
            "bearer" => Some(Self::Bearer),
            "path" => Some(Self::Path),
            "fal" => Some(Self::Fal),
            _ => None,
        }
    }
}

/// A method of verification with its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verifier {
    /// The tokens of the server, as for `POST /v1/events`.
    ServerTokens,
    /// No verification (`unverified = true`).
    Nothing,
    /// A secret as the last segment of the URL or as a bearer token.
    Path(Vec<Secret>),
    /// A secret as a bearer token.
    Bearer(Vec<Secret>),
    /// A secret in a header.
    Header {
        /// The header, in lower case.
        header: String,
        /// The secrets.
        secrets: Vec<Secret>,
    },
    /// Standard Webhooks with one of these keys.
    StandardWebhooks(Vec<SigningKey>),
    /// Ed25519 as fal.ai signs, with one of these keys.
    Fal(KeySource),
    /// HMAC-SHA256 over the body with one of the secrets.
    Hmac {
        /// The header, in lower case.
        header: String,
        /// The secrets.
        secrets: Vec<Secret>,
        /// Whether requests without the header are accepted (`unverified = true` beside a secret).
        optional: bool,
    },
}

impl Verifier {
    /// Whether [`body()`] authenticates the sender, as opposed to [`admit`].
    pub fn authenticates_by_body(&self, headers: &HeaderMap) -> bool {
        match self {
            Self::StandardWebhooks(_) | Self::Fal(_) => true,
            Self::Hmac { header, .. } => headers.contains_key(header.as_str()),
            Self::ServerTokens
            | Self::Nothing
            | Self::Path(_)
            | Self::Bearer(_)
            | Self::Header { .. } => false,
        }
    }
}

/// Why a request is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyError {
    /// No such URL: a secret is missing, wrong or unexpected.
    NotFound,
    /// The signature or secret is missing or wrong.
    Unauthorized,
    /// The published keys are unavailable, so the signature cannot be verified.
    KeysUnavailable,
}

/// Whether a Unix time, as text, is within `window` of now.
pub(super) fn is_fresh(timestamp: &str, now: Timestamp, window: Duration) -> bool {
    let digits =
        (1..=12).contains(&timestamp.len()) && timestamp.bytes().all(|b| b.is_ascii_digit());
    let Some(seconds) = timestamp.parse::<i64>().ok().filter(|_| digits) else {
        return false;
    };
    let apart = (now.as_millis().div_euclid(1_000) - seconds).unsigned_abs();
    apart <= window.as_secs()
}

/// Checks everything that does not need the body.
///
/// # Errors
/// If the URL does not exist, or the request certainly fails verification.
pub fn admit(
    verifier: &Verifier,
    in_path: Option<&str>,
    headers: &HeaderMap,
    now: Timestamp,
    window: Duration,
) -> Result<(), VerifyError> {
    let right = match verifier {
        Verifier::Path(secrets) => {
            return if one_of(secrets, in_path.or_else(|| bearer(headers))) {
                Ok(())
            } else {
                Err(VerifyError::NotFound)
            };
        }
        _ if in_path.is_some() => return Err(VerifyError::NotFound),
        Verifier::ServerTokens | Verifier::Nothing => true,
        Verifier::Bearer(secrets) => one_of(secrets, bearer(headers)),
        Verifier::Header { header, secrets } => one_of(secrets, text(headers, header)),
        Verifier::StandardWebhooks(_) => {
            Signed::find(headers).is_some_and(|signed| signed.is_fresh(now, window))
        }
        Verifier::Fal(_) => {
            fal::Signed::find(headers).is_some_and(|signed| signed.is_fresh(now, window))
        }
        Verifier::Hmac {
            header, optional, ..
        } => headers.contains_key(header.as_str()) || *optional,
    };
    if right {
        Ok(())
    } else {
        Err(VerifyError::Unauthorized)
    }
}

/// Whether a request is accepted without authentication (`unverified = true`).
pub fn is_unauthenticated(verifier: &Verifier, headers: &HeaderMap) -> bool {
    match verifier {
        Verifier::Nothing => true,
        Verifier::Hmac {
            header, optional, ..
        } => *optional && !headers.contains_key(header.as_str()),
        _ => false,
    }
}

/// Verifies the body's signature. `keys` are the service's published keys, if it has any.
///
/// # Errors
/// If the signature is wrong or cannot be verified.
pub async fn body(
    verifier: &Verifier,
    keys: Option<&JwksCache>,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<(), VerifyError> {
    let right = match verifier {
        // [`admit`] has checked these.
        Verifier::ServerTokens
        | Verifier::Nothing
        | Verifier::Path(_)
        | Verifier::Bearer(_)
        | Verifier::Header { .. } => true,
        Verifier::StandardWebhooks(keys) => {
            Signed::find(headers).is_some_and(|signed| signed.verify_any(keys, body))
        }
        Verifier::Fal(_) => return published(keys, headers, body, now).await,
        Verifier::Hmac {
            header,
            secrets,
            optional,
        } => match text(headers, header) {
            Some(given) => hmac_body::verify_any(secrets, given, body),
            None => *optional && !headers.contains_key(header.as_str()),
        },
    };
    if right {
        Ok(())
    } else {
        Err(VerifyError::Unauthorized)
    }
}

/// Verifies a signature with published keys. If no key fits, they are fetched again, because they
/// may have been rotated.
async fn published(
    keys: Option<&JwksCache>,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<(), VerifyError> {
    let (Some(ring), Some(signed)) = (keys, fal::Signed::find(headers)) else {
        return Err(VerifyError::Unauthorized);
    };
    if signed.verify_any(&ring.keys(now).await.keys, body) {
        return Ok(());
    }
    let known = ring.keys_again(now).await;
    if signed.verify_any(&known.keys, body) {
        Ok(())
    } else if known.confirmed {
        Err(VerifyError::Unauthorized)
    } else {
        // The keys may have been rotated: the service should retry.
        Err(VerifyError::KeysUnavailable)
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Compares a secret with all of these, in constant time.
fn one_of(secrets: &[Secret], given: Option<&str>) -> bool {
    given.is_some_and(|given| {
        secrets
            .iter()
            .fold(false, |known, secret| known | secret.matches(given))
    })
}
