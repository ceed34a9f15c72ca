//! Mailboxes (`Name <address>`) and lists of them, read as RFC 5322 §3.4 writes them: quoted names,
//! comments and groups.

use std::collections::HashSet;
use std::str::FromStr;

use super::{AddressError, Recipient};

/// What separates the entries of a list, in half and full width.
const SEPARATORS: [char; 5] = [',', ';', '，', '；', '、'];
/// The most characters of a name.
const MAX_NAME: usize = 200;

/// An address and, where one was given, the name to show for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// The name that the reader sees; no control characters, at most 200 characters.
    pub name: Option<String>,
    /// The address.
    pub address: Recipient,
}

impl Mailbox {
    /// Reads `address`, `Name <address>` or `address (comment)`; the name may be quoted.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if text.chars().any(is_line_end) {
            return Err(AddressError::LineEnd);
        }
        let Some(open) = angle(text) else {
            return Recipient::bare(without_comments(text)?.trim()).map(|address| Self {
                name: None,
                address,
            });
        };
        let (name, rest) = text.split_at(open);
        let (inside, after) = rest
            .get(1..)
            .and_then(|rest| rest.split_once('>'))
            .ok_or(AddressError::Character)?;
        if !without_comments(after)?.trim().is_empty() {
            return Err(AddressError::Character);
        }
        let address = Recipient::bare(without_comments(inside)?.trim())?;
        Self {
            name: None,
            address,
        }
        .with_name(Some(&phrase(name)))
    }

    /// The same address with another name; an empty one removes the name.
    ///
    /// # Errors
    /// When the name has control characters (line breaks could forge headers) or more than 200
    /// characters.
    pub fn with_name(mut self, name: Option<&str>) -> Result<Self, AddressError> {
        self.name = name
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::to_owned);
        match &self.name {
            Some(name) if name.chars().any(is_line_end) => Err(AddressError::LineEnd),
            Some(name) if name.chars().count() > MAX_NAME => Err(AddressError::TooLong),
            _ => Ok(self),
        }
    }
}

/// An address list, read entry by entry, so that a malformed entry does not hide the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressList {
    /// The mailboxes in order, each address once (without regard to case).
    pub mailboxes: Vec<Mailbox>,
    /// The position (from 0) and fault of each entry that is no address.
    pub faults: Vec<(usize, AddressError)>,
}

impl AddressList {
    /// Reads a list as RFC 5322 §3.4 writes it, groups included. Semicolons and the full-width `，`
    /// `；` `、` separate as well, outside quotes and comments. A line end anywhere but at the ends
    /// makes the whole list a fault.
    pub fn read(text: &str) -> Self {
        Self::read_all([text])
    }

    /// Reads several lists as one, as the items of an array.
    pub fn read_all<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut list = Self::default();
        let mut known = HashSet::new();
        let mut position = 0;
        for text in texts {
            let text = text.trim();
            let entries = if text.chars().any(is_line_end) {
                vec![text]
            } else {
                entries(text)
            };
            for entry in entries {
                match Mailbox::parse(entry) {
                    Ok(mailbox) if known.insert(mailbox.address.as_str().to_ascii_lowercase()) => {
                        list.mailboxes.push(mailbox);
                    }
                    Ok(_) => {}
                    Err(fault) => list.faults.push((position, fault)),
                }
                position += 1;
            }
        }
        list
    }

    /// The addresses, when every entry is one.
    ///
    /// # Errors
    /// The faults.
    pub fn recipients(self) -> Result<Vec<Recipient>, Vec<(usize, AddressError)>> {
        if self.faults.is_empty() {
            Ok(self
                .mailboxes
                .into_iter()
                .map(|mailbox| mailbox.address)
                .collect())
        } else {
            Err(self.faults)
        }
    }
}

/// Whether a character ends a line or is a control character: none belongs into an address or a
/// name.
pub(crate) fn is_line_end(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Follows quotes, comments and angle brackets through a text.
#[derive(Debug, Default)]
struct Scan {
    quoted: bool,
    escaped: bool,
    comments: usize,
    angle: bool,
}

impl Scan {
    /// Takes the next character and says whether it stands outside all of them.
    fn step(&mut self, c: char) -> bool {
        if std::mem::take(&mut self.escaped) {
            return false;
        }
        match c {
            '\\' if self.quoted || self.comments > 0 => self.escaped = true,
            '"' if self.comments == 0 => self.quoted = !self.quoted,
            _ if self.quoted => {}
            '(' => self.comments += 1,
            ')' if self.comments > 0 => self.comments -= 1,
            _ if self.comments > 0 => {}
            '<' => self.angle = true,
            '>' => self.angle = false,
            _ => return !self.angle,
        }
        false
    }

    fn is_open(&self) -> bool {
        self.quoted || self.comments > 0 || self.angle
    }
}

/// Parsing accepts everything that a mailbox may consist of; therefore it is here.
impl Recipient {
    /// Reads one address; `Name <address>` and `address (comment)` are accepted, and the name is
    /// dropped.
    ///
    /// # Errors
    /// Says which rule the text breaks; the text itself is never repeated.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        Mailbox::parse(text).map(|mailbox| mailbox.address)
    }

    /// Reads an address list in which every entry must be right; see [`AddressList`] for lists that
    /// may have faults.
    ///
    /// # Errors
    /// The position (from 0) and fault of each entry that is no address.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, Vec<(usize, AddressError)>> {
        AddressList::read(text).recipients()
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

/// The entries of a list that are not blank. A group's name (`Team: a@x.org, b@x.org;`) is not an
/// entry.
fn entries(text: &str) -> Vec<&str> {
    let last_end = text.rfind([';', '；']).unwrap_or(0);
    let (mut list, mut start, mut scan, mut may_be_name) = (Vec::new(), 0, Scan::default(), true);
    for (at, c) in text.char_indices() {
        may_be_name &= c != '@' && c != '<';
        if !scan.step(c) {
            continue;
        }
        let named = text.get(start..at).is_some_and(|name| !name.is_empty());
        if SEPARATORS.contains(&c) {
            list.extend(text.get(start..at));
        } else if c != ':' || !may_be_name || !named || at >= last_end {
            may_be_name &= c != ':';
            continue;
        }
        (start, may_be_name) = (at + c.len_utf8(), true);
    }
    let rest = text.get(start..).unwrap_or_default();
    if scan.is_open() {
        // A quote or comment that never ends: only its own entry is lost.
        list.extend(rest.split(SEPARATORS));
    } else {
        list.push(rest);
    }
    list.retain(|entry| !entry.trim().is_empty());
    list
}

/// Where the angle bracket before the address stands.
fn angle(text: &str) -> Option<usize> {
    let mut scan = Scan::default();
    text.char_indices()
        .find(|(_, c)| !scan.step(*c) && scan.angle)
        .map(|(at, _)| at)
}

/// The text without comments, which may be nested (RFC 5322 §3.2.2).
fn without_comments(text: &str) -> Result<String, AddressError> {
    let mut scan = Scan::default();
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        let inside = scan.comments > 0;
        scan.step(c);
        if !inside && scan.comments == 0 {
            plain.push(c);
        }
    }
    if scan.comments > 0 {
        Err(AddressError::Character)
    } else {
        Ok(plain)
    }
}

/// A display name as people see it: quoted strings without their quotes and backslashes (RFC 5322
/// §3.2.4), anything else as it is written.
fn phrase(text: &str) -> String {
    let text = text.trim();
    let mut words = String::with_capacity(text.len());
    let (mut quoted, mut chars) = (false, text.chars());
    while let Some(c) = chars.next() {
        match c {
            '"' => quoted = !quoted,
            '\\' if quoted => words.extend(chars.next()),
            _ if quoted || c.is_whitespace() => words.push(c),
            // Not all of it is quoted: quotes are part of such a name.
            _ => return text.to_owned(),
        }
    }
    if quoted {
        text.to_owned()
    } else {
        words.trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<String>, Vec<usize>) {
        let list = AddressList::read(text);
        (
            list.mailboxes
                .iter()
                .map(|mailbox| mailbox.address.to_string())
                .collect(),
            list.faults.iter().map(|(index, _)| *index).collect(),
        )
    }

    #[test]
    fn lists_are_split_outside_quotes_comments_and_brackets() {
        for (text, wanted) in [
            ("\"Doe, Jane\" <jane@x.org>", vec!["jane@x.org"]),
            (
                "\"Doe; \\\"J\\\", Jane\" <jane@x.org>, b@x.org",
                vec!["jane@x.org", "b@x.org"],
            ),
            (
                "Jane (Sales, EU) <jane@x.org>; b@x.org (Bob, Jr (the younger))",
                vec!["jane@x.org", "b@x.org"],
            ),
            (
                "\"张，三；\" <z@x.org>、李四 <l@x.org>，w@x.org；",
                vec!["z@x.org", "l@x.org", "w@x.org"],
            ),
            (
                "Team: a@x.org, \"B, C\" <b@x.org>;, c@x.org",
                vec!["a@x.org", "b@x.org", "c@x.org"],
            ),
            ("undisclosed-recipients:;", vec![]),
            ("Al :) <a@x.org>", vec!["a@x.org"]),
            ("a@x.org, A@X.ORG,, ", vec!["a@x.org"]),
            ("john(the boss)@x.org", vec!["john@x.org"]),
        ] {
            assert_eq!(
                read(text),
                (wanted.iter().map(ToString::to_string).collect(), vec![]),
                "{text}"
            );
        }
    }

    #[test]
    fn a_malformed_entry_leaves_the_others() {
        let found = |text| read(text);
        assert_eq!(
            found("ok@x.org, bad, c@x.org"),
            (vec!["ok@x.org".to_owned(), "c@x.org".to_owned()], vec![1])
        );
        assert_eq!(
            found("\"Doe <d@x.org, ok@x.org"),
            (vec!["ok@x.org".to_owned()], vec![0])
        );
        assert_eq!(found("@a.org,@b.org:user@x.org"), (vec![], vec![0, 1]));
        assert_eq!(found("@b.org:user@x.org;"), (vec![], vec![0]));
        assert_eq!(found("mailto:a@x.org"), (vec![], vec![0]));
        assert_eq!(found("a@x.org\nb@x.org"), (vec![], vec![0]));
    }

    #[test]
    fn names_are_read_once_and_only_once() {
        for (text, name) in [
            ("绘影 <me@qq.com>", Some("绘影")),
            ("\"Al \\\"Boss\\\" B\" <a@b.cd>", Some("Al \"Boss\" B")),
            ("\"back\\\\slash\" <a@b.cd>", Some("back\\slash")),
            ("Al \"Boss\" B <a@b.cd>", Some("Al \"Boss\" B")),
            ("\"A\" \"B\" <a@b.cd>", Some("A B")),
            ("Al (dev) <a@b.cd> (work)", Some("Al (dev)")),
            ("<a@b.cd>", None),
            ("\"\" <a@b.cd>", None),
            ("me@qq.com", None),
        ] {
            assert_eq!(
                Mailbox::parse(text).unwrap().name.as_deref(),
                name,
                "{text}"
            );
        }
        for text in [
            "a\r\nBcc: b@c.de <me@qq.com>",
            "A <a@b.cd> <c@d.ef>",
            "A <a@b.cd> b",
            "A <<a@b.cd>>",
            "a@b.cd (",
            "A <a@b.cd",
        ] {
            assert!(Mailbox::parse(text).is_err(), "{text:?}");
        }
    }
}
