//! The texts of SASL XOAUTH2, <https://developers.google.com/gmail/imap/xoauth2-protocol>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::secret::Secret;
use crate::transport::http::plain;

/// The longest challenge that is looked at, in base64 (RFC 4954 §4.3: a line of at most 12,288
/// octets).
const LONGEST_CHALLENGE: usize = 12_288;

/// The initial response of `AUTH XOAUTH2`, in base64; as secret as the token inside, so never to be
/// logged.
///
/// It may be longer than the 512 octets of an ordinary command line; RFC 4954 §4 allows 12,288, so
/// it is sent uncut.
pub fn xoauth2_initial(user: &str, token: &Secret) -> String {
    STANDARD.encode(format!(
        "user={user}\x01auth=Bearer {}\x01\x01",
        token.expose()
    ))
}

/// Why a server refuses a token: the JSON that it sends base64-encoded behind 334, before the 535.
///
/// The client has to answer with an empty line and then gets the 535.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// A status like HTTP's: `400` for a malformed request, `401` for a token that is not taken.
    pub status: String,
    /// The schemes that the server takes.
    pub schemes: String,
    /// The scope that a token needs.
    pub scope: String,
}

impl Challenge {
    /// Reads the text behind `334 `; nothing when it is no such challenge. Each field has at most
    /// 200 characters and no control characters.
    pub fn decode(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() || text.len() > LONGEST_CHALLENGE {
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
        write!(
            f,
            "the server does not take the token (status {}",
            self.status
        )?;
        if !self.scope.is_empty() {
            write!(f, ", it wants the scope {}", self.scope)?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_challenge_is_none() {
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
