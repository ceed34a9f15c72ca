//! Email addresses.

use std::fmt;

use icu_normalizer::ComposingNormalizerBorrowed;
use serde::{Deserialize, Serialize};

/// Maximum length of an address, in octets (RFC 5321 §4.5.3.1.3, without the angle brackets).
const MAX_ADDRESS: usize = 254;
/// Maximum length of the local part, in octets (RFC 5321 §4.5.3.1.1).
const MAX_LOCAL: usize = 64;
/// Maximum length of the domain, in octets (RFC 5321 §4.5.3.1.2, RFC 1035 §2.3.4).
const MAX_DOMAIN: usize = 253;

/// Why a text is not an acceptable address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The text is empty.
    #[error("the address is empty; write it as name@example.com")]
    Empty,
    /// The `@`, the local part or the domain is missing.
    #[error("an address needs a name, one @ and a domain, as in name@example.com")]
    Shape,
    /// A character that RFC 5321 allows only in quotes, or not at all.
    #[error(
        "the address has a character that is not allowed; write it as name@example.com, without blanks or quotes"
    )]
    Character,
    /// A line break or another control character, which could inject a header or a recipient.
    #[error("line ends and control characters are not allowed in addresses")]
    LineEnd,
    /// A source route (`@relay:user@example.com`), which asks a server to relay the mail.
    #[error("a route through another server is not allowed; write the address as name@example.com")]
    Route,
    /// The part after the `@` is not a domain name.
    #[error("the part after the @ is not a domain name")]
    Domain,
    /// Longer than RFC 5321 allows.
    #[error(
        "the address is longer than the mail standard allows (64 octets before the @, 254 in all)"
    )]
    TooLong,
}

/// The address of a recipient: `local@domain`, with the domain in ASCII and lower case.
///
/// At most 254 octets, 64 of them before the `@` (RFC 5321 §4.5.3.1). The grammar is stricter than
/// the standard: no quoted local part, no address literal, no source route. A local part outside
/// ASCII is normalized to NFC and needs a server with SMTPUTF8 (RFC 6531).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Recipient(String);

impl Recipient {
    /// Parses an address without name and comments.
    pub(super) fn bare(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if text.starts_with('@') && text.contains(':') {
            return Err(AddressError::Route);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::Shape)?;
        if local.is_empty() || domain.is_empty() {
            return Err(AddressError::Shape);
        }
        // Equal names have one form (RFC 6531 §3.1, RFC 5198 §3).
        let local = ComposingNormalizerBorrowed::new_nfc().normalize(local);
        check_local(&local)?;
        let domain = ascii_domain(domain)?;
        let address = format!("{local}@{domain}");
        if local.len() > MAX_LOCAL || address.len() > MAX_ADDRESS {
            return Err(AddressError::TooLong);
        }
        Ok(Self(address))
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The domain, in ASCII and lower case.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// The local part, as written.
    pub fn local(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(local, _)| local)
    }

    /// Whether the local part needs SMTPUTF8 (RFC 6531 §3.2).
    pub fn needs_smtputf8(&self) -> bool {
        !self.0.is_ascii()
    }

    /// Whether both addresses are equal, ignoring case.
    pub fn same_mailbox(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }

    /// The address for logs: `u***@example.com`.
    pub fn masked(&self) -> String {
        let first = self.0.chars().next().unwrap_or('*');
        format!("{first}***@{}", self.domain())
    }
}

/// Checks the dot-string of RFC 5321. Characters outside ASCII are allowed (RFC 6531 §3.3) unless
/// they are invisible or resemble a special character of ASCII.
fn check_local(local: &str) -> Result<(), AddressError> {
    let allowed = |c: char| {
        c.is_ascii_alphanumeric()
            || "!#$%&'*+-/=?^_`{|}~.".contains(c)
            || (!c.is_ascii() && is_visible(c) && !resembles_special(c))
    };
    if !local.chars().all(allowed)
        || local.starts_with('.')
        || local.ends_with('.')
        || local.contains("..")
    {
        return Err(AddressError::Character);
    }
    Ok(())
}

/// Whether a character outside ASCII is visible: not a control, white-space, format or private-use
/// character. The joiners U+200C and U+200D are allowed, because Persian and Indic scripts need
/// them.
fn is_visible(c: char) -> bool {
    let hidden = matches!(u32::from(c), 0xAD | 0x61C | 0x180B..=0x180F | 0x200B | 0x200E..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0xFE00..=0xFE0F)
        || matches!(u32::from(c), 0x115F..=0x1160 | 0x3164 | 0xFFA0 | 0xFEFF | 0xFFF0..=0xFFFD | 0xFDD0..=0xFDEF | 0xE000..=0xF8FF | 0xE_0000..=0x10_FFFF);
    !hidden && !c.is_control() && !c.is_whitespace() && u32::from(c) & 0xFFFE != 0xFFFE
}

/// Whether a server that normalizes to NFKC would read a special character of ASCII, such as `@` for
/// `＠`.
fn resembles_special(c: char) -> bool {
    let mut buffer = [0; 4];
    let folded = ComposingNormalizerBorrowed::new_nfkc().normalize(c.encode_utf8(&mut buffer));
    folded
        .bytes()
        .any(|byte| byte.is_ascii() && !byte.is_ascii_alphanumeric())
}

fn ascii_domain(domain: &str) -> Result<String, AddressError> {
    let ascii = idna::domain_to_ascii_strict(domain).map_err(|_| AddressError::Domain)?;
    let label_ok = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if ascii.is_empty() || ascii.len() > MAX_DOMAIN || !ascii.split('.').all(label_ok) {
        return Err(AddressError::Domain);
    }
    Ok(ascii)
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Prints the masked form, so that a stray `{:?}` in a log does not leak the address.
impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl From<Recipient> for String {
    fn from(recipient: Recipient) -> Self {
        recipient.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_parsed_with_or_without_a_name() {
        assert_eq!(
            Recipient::parse("User@Example.COM").unwrap().as_str(),
            "User@example.com"
        );
        assert_eq!(
            Recipient::parse(" Bob <bob@example.com> ")
                .unwrap()
                .as_str(),
            "bob@example.com"
        );
        assert_eq!(
            Recipient::parse("a@邮件.中国").unwrap().domain(),
            "xn--5nq051n.xn--fiqs8s"
        );
        assert_eq!(Recipient::parse("u@x.org").unwrap().masked(), "u***@x.org");
    }

    #[test]
    fn local_parts_outside_ascii_are_normalized() {
        assert_eq!(
            Recipient::parse("संपर्क@डाटामेल.भारत").unwrap().as_str(),
            "संपर्क@xn--c2bd4bq1db8d.xn--h2brj9c"
        );
        assert_eq!(
            Recipient::parse("Jose\u{301}@example.com").unwrap().local(),
            "Jos\u{e9}"
        );
        for local in ["用户", "ผู้ใช้", "مستخدم", "δοκιμή", "👋", "می\u{200C}خواهم"]
        {
            assert_eq!(
                Recipient::parse(&format!("{local}@example.com"))
                    .unwrap()
                    .local(),
                local
            );
        }
    }

    #[test]
    fn invalid_and_dangerous_addresses_are_rejected() {
        for text in [
            "",
            "a",
            "@b.c",
            "a@",
            "a b@c.d",
            "a@b c",
            "a@b\r\nBcc: x@y.z",
            "\"a b\"@c.d",
            "a..b@c.d",
            ".a@c.d",
            "a@-b.c",
            "a@[127.0.0.1]",
            "a@b..c",
            "<a@b.c",
            "a@b@c.d",
            "@relay.org:user@c.d",
            "<@a.org,@b.org:user@c.d>",
            "\"user\"@c.d",
            "user@[1.2.3.4]",
            "user@c.d.",
            "user\u{202E}@c.d",
            "user\u{FF05}evil.org@c.d",
            "user\u{FF20}evil.org@c.d",
            "us\u{200B}er@c.d",
        ] {
            assert!(Recipient::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(
            Recipient::parse(&format!("{}@b.c", "x".repeat(65))),
            Err(AddressError::TooLong)
        );
    }

    #[test]
    fn list_accepts_fullwidth_commas_and_drops_duplicates() {
        let list = Recipient::parse_list("a@x.org，b@x.org, A@X.ORG;").unwrap();
        assert_eq!(
            list.iter().map(Recipient::as_str).collect::<Vec<_>>(),
            ["a@x.org", "b@x.org"]
        );
        assert_eq!(
            Recipient::parse_list("a@x.org, nonsense").unwrap_err(),
            vec![(1, AddressError::Shape)]
        );
    }
}
