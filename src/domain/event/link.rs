//! Links that are allowed in mails.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

/// Characters that are encoded in a path segment (RFC 3986 §3.3). `&` is encoded because of HTML.
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

/// A link that is allowed in mails: an absolute http or https URL with a host, without credentials,
/// at most 4,096 octets, percent-encoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Link(String);

/// The text is not a link that is allowed in mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be an absolute http or https link of at most 4096 bytes, without user name and password"
)]
pub struct InvalidLink;

impl Link {
    /// Maximum length, in octets.
    pub const MAX_LEN: usize = 4_096;

    /// Parses and normalizes an absolute link.
    ///
    /// # Errors
    /// If it has another scheme, no host, credentials, or is too long.
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

    /// The part after the host, which may contain a secret.
    pub fn after_host(&self) -> &str {
        self.0.get(self.path_start()..).unwrap_or_default()
    }

    /// A canonical link has a slash after the host, the third one.
    fn path_start(&self) -> usize {
        let slash = self.0.match_indices('/').nth(2);
        slash.map_or(self.0.len(), |(at, _)| at + 1)
    }

    /// The link with `***` instead of everything after the host.
    #[must_use]
    pub fn masked(mut self) -> Self {
        self.0.truncate(self.path_start());
        self.0.push_str("***");
        self
    }

    /// Appends a path to the link's path and drops its query. `None` if the path is empty or
    /// contains `..`, or if the link would be too long.
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
    fn joined_path_is_encoded_and_cannot_climb() {
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
