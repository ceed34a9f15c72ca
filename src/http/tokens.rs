//! Bearer tokens: what each may do, and how a text is recognised as one. Pure.

use std::fmt;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap};
use serde::{Deserialize, Serialize};

use crate::domain::MailKind;
use crate::domain::named::named;
use crate::encoding::hex;
use crate::routing::Allowed;
use crate::secret::Secret;

named! {
    /// A scope of a token.
    Scope {
        /// Post events and messages.
        Post = "post",
        /// Read events and deliveries, with masked addresses and without contents.
        Read = "read",
        /// Read everything, retry and cancel deliveries.
        Operate = "operate",
        /// Read `/metrics`.
        Metrics = "metrics",
    }
}

/// The SHA-256 digest of a token. Comparing digests takes the same time wherever they differ.
#[derive(Clone, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of this token.
    pub fn of(token: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(
            ring::digest::digest(&ring::digest::SHA256, token.as_bytes()).as_ref(),
        );
        Self(bytes)
    }

    /// Parses 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        hex::decode(text)?.try_into().map(Self).ok()
    }

    /// Compares in constant time.
    pub fn matches(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(&other.0)
            .fold(0, |sum, (one, two)| sum | (one ^ two))
            == 0
    }
}

/// Not printed: a weak token could be recovered from its digest.
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The token of `Authorization: Bearer` (RFC 6750 §2.1).
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

/// A rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Number of requests and events, also as a burst…
    pub number: u32,
    /// …per this duration.
    pub per: Duration,
}

/// One `[[server.token]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The name, as shown in records, logs and metrics.
    pub name: String,
    /// Digest of the token.
    pub digest: Digest,
    /// The token itself, if the configuration contains it; used by our command line.
    pub value: Option<Secret>,
    /// The scopes.
    pub may: Vec<Scope>,
    /// The kinds of email it may post; empty means all.
    pub kinds: Vec<MailKind>,
    /// The recipients it may name; empty means any.
    pub to: Vec<Allowed>,
    /// The rate limit.
    pub rate: Option<Rate>,
}

impl Token {
    /// Whether the token has a scope. `operate` includes `read`.
    pub fn may(&self, scope: Scope) -> bool {
        self.may.contains(&scope) || (scope == Scope::Read && self.may.contains(&Scope::Operate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_parse_from_hex_and_are_never_printed() {
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(Digest::from_hex(hex).unwrap().matches(&Digest::of("abc")));
        assert!(
            Digest::from_hex(&hex.to_uppercase())
                .unwrap()
                .matches(&Digest::of("abc"))
        );
        assert!(!Digest::of("abd").matches(&Digest::of("abc")));
        for text in [
            "",
            "ba78",
            &hex[1..],
            &hex.replace('b', "g"),
            &format!("{hex}00"),
            &"ü".repeat(32),
        ] {
            assert_eq!(Digest::from_hex(text), None, "{text}");
        }
        assert_eq!(format!("{:?}", Digest::of("abc")), "***");
    }
}
