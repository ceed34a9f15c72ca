//! Links that a mail may carry.

use serde::{Deserialize, Serialize};

/// A link that a mail may carry: absolute, http or https, with a host, without login data, at most 4,096 octets, percent-encoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Link(String);

/// The text is no link that a mail may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an absolute http or https link of at most 4096 bytes, without user name and password")]
pub struct InvalidLink;

impl Link {
    /// The most octets that a link may have.
    pub const MAX_LEN: usize = 4_096;

    /// Reads an absolute link and writes it in its canonical form.
    ///
    /// # Errors
    /// When it has another scheme, no host, login data, or is too long.
    pub fn parse(text: &str) -> Result<Self, InvalidLink> {
        let text = text.trim();
        if text.len() > Self::MAX_LEN || text.chars().any(char::is_control) {
            return Err(InvalidLink);
        }
        let url = url::Url::parse(text).map_err(|_| InvalidLink)?;
        let plain = matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.is_empty());
        let canonical = url.as_str();
        if plain && url.username().is_empty() && url.password().is_none() && canonical.len() <= Self::MAX_LEN {
            Ok(Self(canonical.to_owned()))
        } else {
            Err(InvalidLink)
        }
    }

    /// The link as text: ASCII, percent-encoded.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Link {
    type Error = InvalidLink;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Link> for String {
    fn from(link: Link) -> Self {
        link.0
    }
}
