//! Mail addresses, parsed once: [`Recipient`] for where a mail goes, [`Mailbox`] for whom it comes from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The most octets that an address may have (RFC 5321 §4.5.3.1.3, less the angle brackets).
const MAX_ADDRESS: usize = 254;
/// The most octets before the `@` (RFC 5321 §4.5.3.1.1).
const MAX_LOCAL: usize = 64;
/// The most octets after the `@` (RFC 5321 §4.5.3.1.2, and RFC 1035 §2.3.4).
const MAX_DOMAIN: usize = 253;

/// Why a text is not an address that we mail to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is nothing.
    #[error("the address is empty; write it as name@example.com")]
    Empty,
    /// There is no `@`, or nothing on one side of it.
    #[error("an address needs a name, one @ and a domain, as in name@example.com")]
    Shape,
    /// A character that RFC 5321 allows only in quotes, or not at all.
    #[error("the address has a character that is not allowed; write it as name@example.com, without blanks, quotes or comments")]
    Character,
    /// The part after the `@` is no domain name.
    #[error("the part after the @ is not a domain name")]
    Domain,
    /// Longer than RFC 5321 allows.
    #[error("the address is longer than the mail standard allows (64 octets before the @, 254 in all)")]
    TooLong,
}

/// An address that a mail can be sent to: `local@domain`, the domain in ASCII form and lower case.
///
/// At most 254 octets, 64 before the `@` (RFC 5321 §4.5.3.1). The grammar is stricter than the standard's: no quoted local part, no comment,
/// no address literal. A local part outside ASCII is kept and needs a server with SMTPUTF8 (RFC 6531).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Recipient(String);

impl Recipient {
    /// Reads one address; `Name <address>` is taken too and the name dropped.
    ///
    /// # Errors
    /// Says which rule the text breaks; the text itself is never repeated.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        let bare = match (text.find('<'), text.strip_suffix('>')) {
            (Some(open), Some(rest)) => rest.get(open + 1..).unwrap_or_default().trim(),
            _ => text,
        };
        if bare.is_empty() {
            return Err(AddressError::Empty);
        }
        let (local, domain) = bare.rsplit_once('@').ok_or(AddressError::Shape)?;
        if local.is_empty() || domain.is_empty() {
            return Err(AddressError::Shape);
        }
        check_local(local)?;
        let domain = ascii_domain(domain)?;
        let address = format!("{local}@{domain}");
        if local.len() > MAX_LOCAL || address.len() > MAX_ADDRESS {
            return Err(AddressError::TooLong);
        }
        Ok(Self(address))
    }

    /// Reads a list with commas or semicolons, half- or full-width (`,` `，` `;` `；` `、`), or line breaks; a name twice stays once.
    ///
    /// # Errors
    /// The position (from 0) and fault of each entry that is no address.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, Vec<(usize, AddressError)>> {
        let parts = text.split([',', '，', ';', '；', '、', '\n']).map(str::trim).filter(|part| !part.is_empty());
        let mut list: Vec<Self> = Vec::new();
        let mut faults = Vec::new();
        for (index, part) in parts.enumerate() {
            match Self::parse(part) {
                Ok(recipient) if list.iter().any(|known| known.same_mailbox(&recipient)) => {}
                Ok(recipient) => list.push(recipient),
                Err(error) => faults.push((index, error)),
            }
        }
        if faults.is_empty() { Ok(list) } else { Err(faults) }
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part after the `@`, in ASCII and lower case.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// The part before the `@`, as it was written.
    pub fn local(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(local, _)| local)
    }

    /// Whether the local part needs SMTPUTF8 (RFC 6531 §3.2).
    pub fn needs_smtputf8(&self) -> bool {
        !self.0.is_ascii()
    }

    /// Whether both name the same mailbox for our purposes: the same address without regard to case.
    pub fn same_mailbox(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }

    /// The address as logs may show it: `u***@example.com`.
    pub fn masked(&self) -> String {
        let first = self.0.chars().next().unwrap_or('*');
        format!("{first}***@{}", self.domain())
    }
}

fn check_local(local: &str) -> Result<(), AddressError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c) || (!c.is_ascii() && c.is_alphanumeric());
    if !local.chars().all(allowed) || local.starts_with('.') || local.ends_with('.') || local.contains("..") {
        return Err(AddressError::Character);
    }
    Ok(())
}

fn ascii_domain(domain: &str) -> Result<String, AddressError> {
    let ascii = idna::domain_to_ascii_strict(domain).map_err(|_| AddressError::Domain)?;
    let label_ok = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
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

/// Shows the masked form, so that a stray `{:?}` in a log gives no address away.
impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl FromStr for Recipient {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Recipient {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Recipient> for String {
    fn from(recipient: Recipient) -> Self {
        recipient.0
    }
}

/// Whom a mail comes from: an address and, where one was given, a name to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// The name that the reader sees; no control characters, at most 200 characters.
    pub name: Option<String>,
    /// The address.
    pub address: Recipient,
}

impl Mailbox {
    /// Reads `address` or `Name <address>`, the name bare or in double quotes.
    ///
    /// # Errors
    /// Says which rule the address breaks; a name with control characters counts as a forbidden character.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let address = Recipient::parse(text)?;
        let name = text.find('<').and_then(|open| text.get(..open)).map(|name| name.trim().trim_matches('"').trim().to_owned());
        Self { name: None, address }.with_name(name.as_deref())
    }

    /// The same address with another name; an empty one takes the name away.
    ///
    /// # Errors
    /// When the name has control characters (line breaks could forge headers) or more than 200 characters.
    pub fn with_name(mut self, name: Option<&str>) -> Result<Self, AddressError> {
        self.name = name.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
        match &self.name {
            Some(name) if name.chars().any(char::is_control) => Err(AddressError::Character),
            Some(name) if name.chars().count() > 200 => Err(AddressError::TooLong),
            _ => Ok(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_or_without_a_name() {
        assert_eq!(Recipient::parse("User@Example.COM").unwrap().as_str(), "User@example.com");
        assert_eq!(Recipient::parse(" Bob <bob@example.com> ").unwrap().as_str(), "bob@example.com");
        assert_eq!(Recipient::parse("a@邮件.中国").unwrap().domain(), "xn--5nq051n.xn--fiqs8s");
        assert_eq!(Recipient::parse("u@x.org").unwrap().masked(), "u***@x.org");
    }

    #[test]
    fn what_could_forge_a_header_or_a_command_is_refused() {
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
        ] {
            assert!(Recipient::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(Recipient::parse(&format!("{}@b.c", "x".repeat(65))), Err(AddressError::TooLong));
    }

    #[test]
    fn a_list_takes_half_and_full_width_commas_and_drops_doubles() {
        let list = Recipient::parse_list("a@x.org，b@x.org, A@X.ORG;").unwrap();
        assert_eq!(list.iter().map(Recipient::as_str).collect::<Vec<_>>(), ["a@x.org", "b@x.org"]);
        assert_eq!(Recipient::parse_list("a@x.org, nonsense").unwrap_err(), vec![(1, AddressError::Shape)]);
    }

    #[test]
    fn a_mailbox_keeps_its_name() {
        let mailbox = Mailbox::parse("绘影 <me@qq.com>").unwrap();
        assert_eq!((mailbox.name.as_deref(), mailbox.address.as_str()), (Some("绘影"), "me@qq.com"));
        assert_eq!(Mailbox::parse("me@qq.com").unwrap().name, None);
        assert!(Mailbox::parse("a\r\nBcc: b@c.d <me@qq.com>").is_err());
    }
}
