//! fal.ai: Ed25519 over request id, user id, time and the body's digest, with one of its published
//! keys (<https://docs.fal.ai/model-endpoints/webhooks#verifying-your-webhook>).

use std::time::Duration;

use reqwest::header::HeaderMap;
use ring::digest::{SHA256, digest};
use ring::signature;

use super::{is_fresh, text};
use crate::domain::Timestamp;
use crate::encoding::hex;

/// The signature headers of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signed<'a> {
    request: &'a str,
    user: &'a str,
    timestamp: &'a str,
    signature: &'a str,
}

impl<'a> Signed<'a> {
    /// Reads the four headers.
    pub(super) fn find(headers: &'a HeaderMap) -> Option<Self> {
        let header = |name| text(headers, name).filter(|text| !text.is_empty());
        Some(Self {
            request: header("x-fal-webhook-request-id")?,
            user: header("x-fal-webhook-user-id")?,
            timestamp: header("x-fal-webhook-timestamp")?,
            signature: header("x-fal-webhook-signature")?,
        })
    }

    /// Whether the time is recent and the signature has the right length.
    pub(super) fn is_fresh(&self, now: Timestamp, window: Duration) -> bool {
        is_fresh(self.timestamp, now, window) && self.signature.len() == 128
    }

    /// Whether the signature fits one of the keys.
    pub(super) fn verify_any(&self, keys: &[[u8; 32]], body: &[u8]) -> bool {
        let Some(signed) = hex::decode(self.signature) else {
            return false;
        };
        let message = [
            self.request,
            self.user,
            self.timestamp,
            &hex::encode(digest(&SHA256, body)),
        ]
        .join("\n");
        let right = |key: &[u8; 32]| {
            signature::UnparsedPublicKey::new(&signature::ED25519, key)
                .verify(message.as_bytes(), &signed)
                .is_ok()
        };
        keys.iter().any(right)
    }
}
