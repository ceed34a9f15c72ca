//! Header values in ASCII: folded if they are plain, else encoded-words in base64 (RFC 5322 §2.2.3,
//! RFC 2047).
//!
//! QQ accepts a sender's name only in base64.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::domain::Mailbox;

/// The longest line that holds an encoded-word (RFC 2047 §2).
const LINE: usize = 76;
/// The length of an encoded-word besides its base64.
const FRAME: usize = "=?UTF-8?B??=".len();
/// The longest word in plain text, so that a line with the header's name stays below 998.
const LONGEST_WORD: usize = 900;
/// The longest name in plain text or quotes. A longer one is encoded, because encoded-words can be
/// folded anywhere.
const LONGEST_PHRASE: usize = 60;

/// Free text such as a subject, after `column` octets of `Name: `.
///
/// Control characters, including line breaks, become spaces.
pub(super) fn unstructured(text: &str, column: usize) -> String {
    let text = cleaned(text);
    let text = text.trim_matches(' ');
    let mut out = String::with_capacity(text.len() + text.len() / 2 + 16);
    if is_printable(text)
        && !text.contains("  ")
        && text.split(' ').all(|word| word.len() <= LONGEST_WORD)
    {
        fold(text, column, &mut out);
    } else {
        encoded_words(text, column, &mut out);
    }
    out
}

/// `address` or `name <address>` (RFC 5322 §3.4), after `column` octets.
pub(super) fn mailbox(name: Option<&str>, address: &str, column: usize) -> String {
    let name = cleaned(name.unwrap_or_default());
    let name = name.trim_matches(' ');
    if name.is_empty() {
        return address.to_owned();
    }
    let mut out = String::with_capacity(name.len() * 2 + address.len() + 32);
    if name.len() > LONGEST_PHRASE || !is_printable(name) || name.contains("  ") {
        encoded_words(name, column, &mut out);
    } else if name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b" !#$%&'*+-/=?^_`{|}~".contains(&byte))
    {
        out.push_str(name);
    } else {
        quoted(name, &mut out);
    }
    let used = out
        .rfind('\n')
        .map_or(column + out.len(), |end| out.len() - end - 1);
    out.push_str(if used + address.len() + 3 > LINE {
        "\r\n <"
    } else {
        " <"
    });
    out.push_str(address);
    out.push('>');
    out
}

/// Several mailboxes, one per line, after `column` octets.
pub(super) fn mailboxes(list: &[Mailbox], column: usize) -> String {
    let one = |(index, own): (usize, &Mailbox)| {
        mailbox(
            own.name.as_deref(),
            own.address.as_str(),
            if index == 0 { column } else { 1 },
        )
    };
    list.iter()
        .enumerate()
        .map(one)
        .collect::<Vec<_>>()
        .join(",\r\n ")
}

/// The characters of `text` that are allowed within the angle brackets of a Message-ID or
/// Content-ID, at most 250 octets.
pub(super) fn identifier(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_ascii_graphic() && !"<>()\\\",;:[]".contains(*c))
        .take(250)
        .collect()
}

/// A file name of letters, digits, `.`, `-` and `_`, at most 100 octets, which needs no encoding
/// (lettre issue 626).
pub(super) fn file_name(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || ".-_".contains(c) {
                c
            } else {
                '_'
            }
        })
        .take(100)
        .collect()
}

fn cleaned(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        Cow::Owned(text.replace(char::is_control, " "))
    } else {
        Cow::Borrowed(text)
    }
}

/// Whether a text is printable ASCII without anything that looks like an encoded-word.
fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..0x7F).contains(&byte)) && !text.contains("=?")
}

/// Breaks lines before a space if they would exceed 76 octets, but not after the header's name.
fn fold(text: &str, mut column: usize, out: &mut String) {
    for (index, word) in text.split(' ').enumerate() {
        if index > 0 {
            if column + 1 + word.len() > LINE {
                out.push_str("\r\n");
                column = 0;
            }
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += word.len();
    }
}

/// One encoded-word per line, of whole characters each (RFC 2047 §5).
fn encoded_words(text: &str, mut column: usize, out: &mut String) {
    let mut rest = text;
    while !rest.is_empty() {
        let available = LINE.saturating_sub(column + FRAME) / 4 * 3;
        let (word, tail) = rest.split_at(rest.floor_char_boundary(available));
        if !word.is_empty() {
            out.push_str("=?UTF-8?B?");
            STANDARD.encode_string(word, out);
            out.push_str("?=");
        }
        if !tail.is_empty() {
            out.push_str("\r\n ");
            column = 1;
        }
        rest = tail;
    }
}

fn quoted(name: &str, out: &mut String) {
    out.push('"');
    for c in name.chars() {
        if c == '"' || c == '\\' {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}
