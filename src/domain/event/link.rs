//! Links that a mail may carry.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::Image;

/// Characters that a path segment does not carry as they are (RFC 3986 §3.3); `&` is encoded for
/// the sake of HTML.
const NOT_IN_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// A link that a mail may carry: absolute, http or https, with a host, without login data, at most
/// 4,096 octets, percent-encoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Link(String);

/// The text is no link that a mail may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be an absolute http or https link of at most 4096 bytes, without user name and password"
)]
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
        let plain = matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some_and(|host| !host.is_empty());
        let canonical = url.as_str();
        if plain
            && url.username().is_empty()
            && url.password().is_none()
            && canonical.len() <= Self::MAX_LEN
        {
            Ok(Self(canonical.to_owned()))
        } else {
            Err(InvalidLink)
        }
    }

    /// The link as text: ASCII, percent-encoded.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows the host: that is where a secret stands.
    pub fn after_host(&self) -> &str {
        let path = self
            .0
            .match_indices('/')
            .nth(2)
            .map_or(self.0.len(), |(at, _)| at + 1);
        self.0.get(path..).unwrap_or_default()
    }

    /// The same host with `***` for everything that follows it.
    #[must_use]
    pub fn masked(mut self) -> Self {
        // After `https://` the first slash ends the host; a canonical link has one.
        let path = self
            .0
            .match_indices('/')
            .nth(2)
            .map_or(self.0.len(), |(at, _)| at + 1);
        self.0.truncate(path);
        self.0.push_str("***");
        self
    }

    /// This link with a path put after its own, without its query; `None` when the path climbs
    /// (`..`), is empty, or the link would be too long.
    #[must_use]
    pub fn join(&self, path: &str) -> Option<String> {
        let base = self
            .0
            .split(['?', '#'])
            .next()
            .unwrap_or_default()
            .trim_end_matches('/');
        let mut link = String::with_capacity(base.len() + path.len() + 1);
        link.push_str(base);
        for part in path
            .trim()
            .split(['/', '\\'])
            .filter(|part| !part.is_empty() && *part != ".")
        {
            if part == ".." {
                return None;
            }
            link.push('/');
            link.extend(utf8_percent_encode(part, NOT_IN_SEGMENT));
        }
        (link.len() > base.len() && link.len() <= Self::MAX_LEN).then_some(link)
    }
}

impl Image {
    /// The picture's own link, or one made of the public address and the local path.
    pub fn link(&self, public_url: Option<&Link>) -> Option<Cow<'_, str>> {
        match (&self.url, &self.local_path, public_url) {
            (Some(link), ..) => Some(Cow::Borrowed(link.as_str())),
            (None, Some(path), Some(base)) => base.join(path).map(Cow::Owned),
            _ => None,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_path_becomes_a_link_that_cannot_climb() {
        let base = Link::parse("https://img.example.com/files/?token=x").unwrap();
        let join = |base: &str, path| Link::parse(base).unwrap().join(path);
        assert_eq!(
            base.join("/static/a b#1%.jpg").unwrap(),
            "https://img.example.com/files/static/a%20b%231%25.jpg"
        );
        assert_eq!(
            join("https://x.org", "images\\夜.png").unwrap(),
            "https://x.org/images/%E5%A4%9C.png"
        );
        assert_eq!(base.join("/static/../../etc/passwd"), None);
        assert_eq!(base.join("//"), None);
        assert_eq!(
            join("https://x.org", "//evil.example/a.png").unwrap(),
            "https://x.org/evil.example/a.png"
        );
    }
}
