//! Mailboxes (`Name <address>`) and lists of them in the syntax of RFC 5322 §3.4: quoted names,
//! comments and groups.

use std::collections::HashSet;
use std::str::FromStr;

use super::{AddressError, Recipient};

/// Separators of list entries, in half and full width.
const SEPARATORS: [char; 5] = [',', ';', '，', '；', '、'];
/// Maximum length of a name, in characters.
const MAX_NAME: usize = 200;

/// An address with an optional display name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// The display name, at most 200 characters, without control characters.
    pub name: Option<String>,
    /// The address.
    pub address: Recipient,
}

impl Mailbox {
    /// Parses `address`, `Name <address>` or `address (comment)`. The name may be quoted.
    ///
    /// # Errors
    /// The rule that the text violates.
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

    /// Replaces the name; an empty one removes it.
    ///
    /// # Errors
    /// If the name has control characters (line breaks could inject headers) or more than 200
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

/// An address list, parsed entry by entry, so that an invalid entry does not affect the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressList {
    /// The mailboxes in order, without duplicates (ignoring case).
    pub mailboxes: Vec<Mailbox>,
    /// The position (from 0) and fault of each invalid entry.
    pub faults: Vec<(usize, AddressError)>,
}

impl AddressList {
    /// Parses a list in the syntax of RFC 5322 §3.4, including groups. Outside quotes and comments,
    /// semicolons and the full-width `，` `；` `、` are separators, too. A line break within the list
    /// makes it one fault.
    pub fn read(text: &str) -> Self {
        Self::read_all([text])
    }

    /// Parses several lists as one, such as the items of an array.
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

    /// The addresses, if all entries are valid.
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

/// Whether a character is a line break or another control character, which addresses and names
/// cannot contain.
pub(crate) fn is_line_end(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Tracks quotes, comments and angle brackets while a text is scanned.
#[derive(Debug, Default)]
struct Scan {
    quoted: bool,
    escaped: bool,
    comments: usize,
    angle: bool,
}

impl Scan {
    /// Consumes a character; returns whether it is outside all of them.
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

/// Parses everything that a mailbox may consist of, and keeps the address.
impl Recipient {
    /// Parses one address. `Name <address>` and `address (comment)` are accepted; the name is
    /// dropped.
    ///
    /// # Errors
    /// The rule that the text violates. The error does not contain the text.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        Mailbox::parse(text).map(|mailbox| mailbox.address)
    }

    /// Parses an address list whose entries must all be valid; see [`AddressList`] for lists with
    /// faults.
    ///
    /// # Errors
    /// The position (from 0) and fault of each invalid entry.
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

/// The non-blank entries of a list. The name of a group (`Team: a@x.org, b@x.org;`) is not an entry.
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
        // An unclosed quote or comment invalidates only its own entry.
        list.extend(rest.split(SEPARATORS));
    } else {
        list.push(rest);
    }
    list.retain(|entry| !entry.trim().is_empty());
    list
}

/// The position of the angle bracket before the address.
fn angle(text: &str) -> Option<usize> {
    let mut scan = Scan::default();
    text.char_indices()
        .find(|(_, c)| !scan.step(*c) && scan.angle)
        .map(|(at, _)| at)
}

/// Removes comments, which may be nested (RFC 5322 §3.2.2).
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

/// Decodes a display name: quoted strings lose their quotes and backslashes (RFC 5322 §3.2.4),
/// anything else is unchanged.
fn phrase(text: &str) -> String {
    let text = text.trim();
    let mut words = String::with_capacity(text.len());
    let (mut quoted, mut chars) = (false, text.chars());
    while let Some(c) = chars.next() {
        match c {
            '"' => quoted = !quoted,
            '\\' if quoted => words.extend(chars.next()),
            _ if quoted || c.is_whitespace() => words.push(c),
            // Only partly quoted: the quotes belong to the name.
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
    fn invalid_entry_does_not_affect_the_others() {
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
    fn display_names_are_decoded_once() {
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
