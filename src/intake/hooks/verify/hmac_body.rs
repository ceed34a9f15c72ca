//! HMAC-SHA256 over the body alone, in a header of its own: GitHub's `X-Hub-Signature-256`,
//! `X-BFL-Signature` and the like.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use super::hex;
use crate::secret::Secret;

/// Whether the header's value, in hex (with or without `sha256=` before it) or base64, is the
/// body's by one of the secrets.
pub(super) fn verify_any(secrets: &[Secret], given: &str, body: &[u8]) -> bool {
    let Some(given) = decode(given) else {
        return false;
    };
    let right = |secret: &Secret| {
        hmac::verify(
            &hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes()),
            body,
            &given,
        )
        .is_ok()
    };
    secrets
        .iter()
        .fold(false, |known, secret| known | right(secret))
}

/// The 32 bytes of a signature; every other length is none.
fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_prefix("sha256=").unwrap_or(text);
    let bytes = if text.len() == 64 {
        hex::decode(text)
    } else {
        STANDARD.decode(text).ok()
    };
    bytes.filter(|bytes| bytes.len() == 32)
}
