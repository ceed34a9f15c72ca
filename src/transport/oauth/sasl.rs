//! Messages of SASL XOAUTH2 (<https://developers.google.com/gmail/imap/xoauth2-protocol>).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::secret::Secret;
use crate::transport::http::plain;

/// The longest challenge that is decoded, in base64 (RFC 4954 §4.3: a line of at most 12,288
/// octets).
const MAX_CHALLENGE: usize = 12_288;

/// The initial response of `AUTH XOAUTH2`, in base64. It contains the token, so it must not be
/// logged.
///
/// It may exceed the 512 octets of a command line; RFC 4954 §4 allows 12,288.
pub fn xoauth2_initial(user: &str, token: &Secret) -> String {
    STANDARD.encode(format!(
        "user={user}\x01auth=Bearer {}\x01\x01",
        token.expose()
    ))
}

/// Why a server refuses a token: JSON in base64, which it sends with the code 334.
///
/// The client must answer with an empty line; the 535 follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// An HTTP status: `400` for a malformed request, `401` for a refused token.
    pub status: String,
    /// Schemes that the server accepts.
    pub schemes: String,
    /// Scope that the token must have.
    pub scope: String,
}

impl Challenge {
    /// Decodes the text after `334 `; `None` if it is not such a challenge. Fields are limited to
    /// 200 characters, without control characters.
    pub fn decode(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_CHALLENGE {
            return None;
        }
        let bytes = STANDARD.decode(text).ok()?;
        let value: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
        let field = |name: &str| match value.get(name) {
            Some(serde_json::Value::String(text)) => plain(text, 200),
            Some(serde_json::Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let challenge = Self {
            status: field("status"),
            schemes: field("schemes"),
            scope: field("scope"),
        };
        (!challenge.status.is_empty()).then_some(challenge)
    }
}

impl std::fmt::Display for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the server refuses the token (status {}", self.status)?;
        if !self.scope.is_empty() {
            write!(f, ", it requires the scope {}", self.scope)?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_challenges_are_not_decoded() {
        for text in [
            "",
            "not base64!",
            "bm90IGpzb24=",
            "e30=",
            &"A".repeat(20_000),
        ] {
            assert_eq!(Challenge::decode(text), None, "{text:.40}");
        }
    }
}
