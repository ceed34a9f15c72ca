//! Whether a request comes from whom it should: over the raw bytes, before anything is parsed, in a
//! time that does not tell how near a guess was.

mod fal;
pub(super) mod hex;
mod hmac_body;
pub mod jwks;
pub mod standard;

use std::time::Duration;

use crate::domain::Timestamp;
use crate::secret::Secret;
use jwks::{JwksCache, KeySource};
use reqwest::header::HeaderMap;
use standard::Signed;
use standard::SigningKey;

/// A way of proving, as the configuration names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `standard-webhooks`: HMAC-SHA256 or Ed25519 over id, time and body (standardwebhooks.com).
    StandardWebhooks,
    /// `hmac-sha256`: over the body, in hex or base64, in this header.
    Hmac(&'static str),
    /// `header`: the secret itself, in this header.
    Header(&'static str),
    /// `bearer`: the secret itself, as `Authorization: Bearer`.
    Bearer,
    /// `path`: the secret itself, as the last part of the URL; or as `Authorization: Bearer`.
    Path,
    /// `fal`: Ed25519 by the keys that fal.ai publishes.
    Fal,
}

impl Method {
    /// The words of the configuration.
    pub const NAMES: &[&str] = &[
        "standard-webhooks",
        "hmac-sha256",
        "header",
        "bearer",
        "path",
        "fal",
    ];

    /// The way of this name; `header` is where a signature or secret stands for the ways that let
    /// one choose.
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

/// How a hook's sender proves who it is, with everything that is needed to see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verifier {
    /// The rules of `server.tokens`, as for `POST /v1/events`.
    ServerTokens,
    /// Not at all: somebody wrote `unverified = true`.
    Nothing,
    /// One of the secrets as the last part of the URL or as a bearer token.
    Path(Vec<Secret>),
    /// One of the secrets as a bearer token.
    Bearer(Vec<Secret>),
    /// One of the secrets in a header.
    Header {
        /// The header, in small letters.
        header: String,
        /// The secrets.
        secrets: Vec<Secret>,
    },
    /// Standard Webhooks by one of the keys.
    StandardWebhooks(Vec<SigningKey>),
    /// Ed25519 as fal.ai signs, by one of these keys.
    Fal(KeySource),
    /// HMAC-SHA256 over the body by one of the secrets.
    Hmac {
        /// The header, in small letters.
        header: String,
        /// The secrets.
        secrets: Vec<Secret>,
        /// Whether a request without the header is let in all the same (`unverified = true` beside
        /// a secret).
        optional: bool,
    },
}

impl Verifier {
    /// Whether [`body()`] proves the sender, rather than what came before the body or nothing.
    pub fn proves_by_body(&self, headers: &HeaderMap) -> bool {
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

/// Why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyError {
    /// It came to an address that is none: with a secret where none belongs, without one, or with a
    /// wrong one.
    NotFound,
    /// It does not prove whom it comes from.
    Unauthorized,
    /// Nobody can tell: the keys of its service are not to be had.
    KeysUnavailable,
}

/// Whether seconds since 1970, written as text, are within `window` of now, before or after.
pub(super) fn is_fresh(timestamp: &str, now: Timestamp, window: Duration) -> bool {
    let digits =
        (1..=12).contains(&timestamp.len()) && timestamp.bytes().all(|b| b.is_ascii_digit());
    let Some(seconds) = timestamp.parse::<i64>().ok().filter(|_| digits) else {
        return false;
    };
    let apart = (now.as_millis().div_euclid(1_000) - seconds).unsigned_abs();
    apart <= window.as_secs()
}

/// Says of a request what can be said before its body is read: whether it is worth reading.
///
/// # Errors
/// When it comes to an address that is none, or certainly proves nothing.
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

/// Whether nothing that a request brings proves whom it comes from, and it is let in all the same:
/// somebody wrote `unverified = true`.
pub fn is_unproven(verifier: &Verifier, headers: &HeaderMap) -> bool {
    match verifier {
        Verifier::Nothing => true,
        Verifier::Hmac {
            header, optional, ..
        } => *optional && !headers.contains_key(header.as_str()),
        _ => false,
    }
}

/// Says whether the body is its sender's; `keys` holds those that its service publishes, where it
/// does.
///
/// # Errors
/// When it is not, or not certainly.
pub async fn body(
    verifier: &Verifier,
    keys: Option<&JwksCache>,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<(), VerifyError> {
    let right = match verifier {
        // What these ask for was seen before the body was read.
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

/// Looks at a signature by published keys; they are fetched again when none of them explains it,
/// for they may have been changed.
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
        // The keys may have been changed meanwhile: its service should try again.
        Err(VerifyError::KeysUnavailable)
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = text(headers, "authorization")?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

/// Whether a secret is one of these. Every one is compared, so that the time does not tell which
/// was near.
fn one_of(secrets: &[Secret], given: Option<&str>) -> bool {
    given.is_some_and(|given| {
        secrets
            .iter()
            .fold(false, |known, secret| known | secret.matches(given))
    })
}
