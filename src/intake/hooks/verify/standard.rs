//! Standard Webhooks: `webhook-id`, `webhook-timestamp` and the body, signed together
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).
//!
//! `v1` is HMAC-SHA256 by a shared secret, `v1a` Ed25519 by a public key; each key checks
//! signatures of its own version only, so that nobody can offer a shared secret's bytes as a public
//! key. Signatures of other versions are skipped. The names of an older brand (`svix-id` …) mean
//! the same.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{hmac, signature};

use crate::domain::Timestamp;

/// The most signatures of one request that are looked at.
const MAX_SIGNATURES: usize = 16;

/// A key that signatures are checked with.
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

/// The text is no key of Standard Webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "is none of Standard Webhooks: whsec_ and base64 of at least 16 bytes (without whsec_ too), or whpk_ and base64 of 32 bytes"
)]
pub struct InvalidKey;

impl SigningKey {
    /// Reads `whsec_…` (also without that prefix) or `whpk_…`.
    ///
    /// # Errors
    /// When it is neither. A private key (`whsk_…`) is none either: it belongs to the sender.
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

    /// Whether one signature (`v1,…`) over `message` is right. Lengths are compared first: a
    /// cut-off signature is wrong.
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

/// What a request says of its signature.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// `webhook-id`.
    pub id: &'a str,
    /// `webhook-timestamp`.
    pub timestamp: &'a str,
    /// `webhook-signature`: signatures with blanks between them.
    pub signatures: &'a str,
}

impl<'a> Signed<'a> {
    /// Finds the three headers, under one brand's names or the other's.
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

    /// Whether its time is near enough to `now`.
    pub fn is_fresh(&self, now: Timestamp, window: Duration) -> bool {
        super::is_fresh(self.timestamp, now, window)
    }

    /// Whether one of its signatures over this body is right by one of the keys. Every pair is
    /// tried, whichever comes first.
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
