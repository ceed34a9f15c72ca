//! HMAC-SHA256 over the body in a header: GitHub's `X-Hub-Signature-256`, `X-BFL-Signature` and the
//! like.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use crate::encoding::hex;
use crate::secret::Secret;

/// Whether the header's value, in hex (with or without `sha256=`) or base64, is the body's HMAC
/// with one of the secrets.
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

/// Decodes a signature of 32 bytes.
fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_prefix("sha256=").unwrap_or(text);
    let bytes = if text.len() == 64 {
        hex::decode(text)
    } else {
        STANDARD.decode(text).ok()
    };
    bytes.filter(|bytes| bytes.len() == 32)
}
