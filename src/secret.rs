//! Passwords and tokens, held so that they cannot be shown by accident.

use secrecy::{ExposeSecret, SecretString};

/// A secret text. `Debug` and `Display` show `***`; memory is wiped on drop.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The secret itself, for the one place that sends or compares it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether `other` is the same text, in a time that does not depend on where they differ.
    pub fn matches(&self, other: &str) -> bool {
        let digest = |text: &str| ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        let (ours, theirs) = (digest(self.expose()), digest(other));
        let differing = ours
            .as_ref()
            .iter()
            .zip(theirs.as_ref())
            .fold(0, |sum, (a, b)| sum | (a ^ b));
        differing == 0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl std::fmt::Display for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other.expose())
    }
}

impl Eq for Secret {}
