//! Bearer tokens: what each may do, and how a text is recognised as one. Pure.

use std::fmt;
use std::time::Duration;

use crate::domain::MailKind;
use crate::routing::Allowed;
use crate::secret::Secret;

/// One right that a token may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Post events and messages.
    Post,
    /// Read events and deliveries, with short addresses and without contents.
    Read,
    /// Read everything, retry and cancel deliveries.
    Operate,
    /// Read `/metrics`.
    Metrics,
}

impl Scope {
    /// Every right.
    pub const ALL: [Self; 4] = [Self::Post, Self::Read, Self::Operate, Self::Metrics];

    /// Its name in `may`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Post => "post",
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Metrics => "metrics",
        }
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

    /// Reads 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digit = |digit: &u8| char::from(*digit).to_digit(16);
            let [high, low] = pair else { return None };
            *byte = u8::try_from(digit(high)? * 16 + digit(low)?).ok()?;
        }
        Some(Self(bytes))
    }

    /// Whether both are the same, in a time that does not depend on where they differ.
    pub fn matches(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(&other.0)
            .fold(0, |sum, (one, two)| sum | (one ^ two))
            == 0
    }
}

/// Shows nothing: a weak token could be found by its digest.
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How often a token may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// So many requests and events, also at once…
    pub number: u32,
    /// …in this time.
    pub per: Duration,
}

/// One `[[server.token]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its name: in the records of its events, in logs and metrics.
    pub name: String,
    /// By what it is recognised.
    pub digest: Digest,
    /// The token itself, where the configuration has it; our own command line sends it.
    pub value: Option<Secret>,
    /// What it may do.
    pub may: Vec<Scope>,
    /// Which mails it may post; empty means all.
    pub kinds: Vec<MailKind>,
    /// Which recipients it may name; empty means any.
    pub to: Vec<Allowed>,
    /// How often it may be used.
    pub rate: Option<Rate>,
}

impl Token {
    /// Whether it may do this. Who may operate may read as well.
    pub fn may(&self, scope: Scope) -> bool {
        self.may.contains(&scope) || (scope == Scope::Read && self.may.contains(&Scope::Operate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_from_hex_and_never_shown() {
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
