//! Standard Webhooks: id, timestamp and body, signed together
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).
//!
//! `v1` is HMAC-SHA256 with a shared secret, `v1a` is Ed25519 with a public key. A key verifies
//! only signatures of its version, so that a public key cannot be used as a shared secret.
//! Signatures of other versions are skipped. The older header names (`svix-id` …) are equivalent.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{hmac, signature};

use crate::domain::Timestamp;

/// Maximum number of signatures that are tried per request.
const MAX_SIGNATURES: usize = 16;

/// A key for verification.
#[derive(Clone, PartialEq, Eq)]
pub enum SigningKey {
    /// The bytes of a shared secret.
    Shared(Vec<u8>),
    /// An Ed25519 public key.
    Public([u8; 32]),
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Shared(_) => "Shared(***)",
            Self::Public(_) => "Public(…)",
        })
    }
}

/// The text is not a Standard Webhooks key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not a Standard Webhooks key (expected `whsec_…` with at least 16 bytes in base64, or `whpk_…` with 32 bytes)"
)]
pub struct InvalidKey;

impl SigningKey {
    /// Parses `whsec_…` (prefix optional) or `whpk_…`.
    ///
    /// # Errors
    /// For anything else. Private keys (`whsk_…`) are rejected: they belong to the sender.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let text = text.trim();
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| InvalidKey);
        if let Some(public) = text.strip_prefix("whpk_") {
            return decode(public)?
                .try_into()
                .map(Self::Public)
                .map_err(|_| InvalidKey);
        }
        let bytes = decode(text.strip_prefix("whsec_").unwrap_or(text))?;
        if (16..=1_024).contains(&bytes.len()) {
            Ok(Self::Shared(bytes))
        } else {
            Err(InvalidKey)
        }
    }

    /// Whether a signature (`v1,…`) fits `message`. Truncated signatures are wrong.
    fn accepts(&self, signed: &str, message: &[u8]) -> bool {
        let Some((version, text)) = signed.split_once(',') else {
            return false;
        };
        let Ok(given) = STANDARD.decode(text) else {
            return false;
        };
        match (self, version) {
            (Self::Shared(bytes), "v1") => {
                hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, bytes), message, &given).is_ok()
            }
            (Self::Public(bytes), "v1a") => {
                signature::UnparsedPublicKey::new(&signature::ED25519, bytes)
                    .verify(message, &given)
                    .is_ok()
            }
            _ => false,
        }
    }
}

/// The signature headers of a request.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// `webhook-id`.
    pub id: &'a str,
    /// `webhook-timestamp`.
    pub timestamp: &'a str,
    /// `webhook-signature`: space-separated signatures.
    pub signatures: &'a str,
}

impl<'a> Signed<'a> {
    /// Reads the three headers, under either naming.
    pub fn find(headers: &'a reqwest::header::HeaderMap) -> Option<Self> {
        let text = |name: String| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .filter(|text| !text.is_empty())
        };
        ["webhook", "svix"].into_iter().find_map(|brand| {
            let header = |name| text(format!("{brand}-{name}"));
            Some(Self {
                id: header("id")?,
                timestamp: header("timestamp")?,
                signatures: header("signature")?,
            })
        })
    }

    /// Whether the time is within `window` of now.
    pub fn is_fresh(&self, now: Timestamp, window: Duration) -> bool {
        super::is_fresh(self.timestamp, now, window)
    }

    /// Whether a signature of this body fits one of the keys. All pairs are tried, in constant
    /// time.
    pub fn verify_any(&self, keys: &[SigningKey], body: &[u8]) -> bool {
        let message = [
            self.id.as_bytes(),
            b".",
            self.timestamp.as_bytes(),
            b".",
            body,
        ]
        .concat();
        let signatures = self
            .signatures
            .split(' ')
            .filter(|signed| !signed.is_empty())
            .take(MAX_SIGNATURES);
        signatures
            .flat_map(|signed| keys.iter().map(move |key| (key, signed)))
            .fold(false, |right, (key, signed)| {
                right | key.accepts(signed, &message)
            })
    }
}
