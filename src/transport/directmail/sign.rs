//! Aliyun's RPC signature (<https://help.aliyun.com/document_detail/29442.html>).
//!
//! The API defines it as HMAC-SHA1, for which no practical attack is known.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

use crate::secret::Secret;

const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// The parameters in the form that is signed and sent: sorted by name, percent-encoded, joined as
/// `k=v&k=v`. Sorts `params`.
///
/// Followed by `&Signature=…`, it is the form body of a POST.
pub fn canonical<V: AsRef<str>>(params: &mut [(&str, V)]) -> String {
    params.sort_by(|a, b| a.0.cmp(b.0));
    let mut text = String::with_capacity(
        params
            .iter()
            .map(|(name, value)| name.len() + value.as_ref().len() * 2 + 2)
            .sum(),
    );
    for (name, value) in params {
        if !text.is_empty() {
            text.push('&');
        }
        text.extend(percent_encode(name));
        text.push('=');
        text.extend(percent_encode(value.as_ref()));
    }
    text
}

/// The string to sign: method, path and canonical parameters.
pub fn string_to_sign(method: &str, canonical: &str) -> String {
    let mut text = String::with_capacity(canonical.len() * 3 / 2);
    text.push_str(method);
    text.push_str("&%2F&");
    text.extend(percent_encode(canonical));
    text
}

/// The signature in base64. Like any value, it must be percent-encoded to be sent.
pub fn signature(secret: &Secret, string_to_sign: &str) -> String {
    let key = format!("{}&", secret.expose());
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
    STANDARD.encode(ring::hmac::sign(&key, string_to_sign.as_bytes()))
}

/// Percent-encodes everything but `A-Za-z0-9-_.~`.
pub fn percent_encode(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, RESERVED)
}
