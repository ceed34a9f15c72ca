//! The form of a reply that is compared with the rows: lines joined, prefixes removed.

use crate::domain::Reply;

/// A reply, ready to be compared with rows.
#[derive(Debug)]
pub(super) struct NormalizedReply<'a> {
    pub(super) code: u16,
    /// The enhanced code; empty if there is none.
    pub(super) enhanced: &'a str,
    /// The text on one line, with single spaces.
    pub(super) text: String,
}

impl<'a> NormalizedReply<'a> {
    /// Takes the enhanced code from the reply's field, else from the first line that begins with
    /// one. It is ignored if its class differs from the code's first digit (RFC 3463 §3.1).
    pub(super) fn of(reply: &'a Reply) -> Self {
        let mut text = String::with_capacity(reply.text.len());
        let mut enhanced = reply.enhanced.as_deref().unwrap_or_default();
        for line in reply.text.lines() {
            let line = without_code(line, reply.code);
            let (status, words) = leading_status(line).unwrap_or(("", line));
            if enhanced.is_empty() {
                enhanced = status;
            }
            for word in words.split_whitespace() {
                if !text.is_empty() {
                    text.push(' ');
                }
                text.push_str(word);
            }
        }
        let class = enhanced
            .split('.')
            .next()
            .and_then(|class| class.parse::<u16>().ok());
        Self {
            code: reply.code,
            enhanced: if class == Some(reply.code / 100) {
                enhanced
            } else {
                ""
            },
            text,
        }
    }

    /// Whether the text contains `needle`, ignoring ASCII case.
    pub(super) fn contains(&self, needle: &str) -> bool {
        contains(&self.text, needle)
    }
}

/// Whether `text` contains `needle`, ignoring ASCII case.
pub(super) fn contains(text: &str, needle: &str) -> bool {
    needle.is_empty()
        || text
            .as_bytes()
            .windows(needle.len())
            .any(|part| part.eq_ignore_ascii_case(needle.as_bytes()))
}

/// Removes `550-` or `550 ` from a line, if that is the reply's code.
fn without_code(line: &str, code: u16) -> &str {
    let line = line.trim_start();
    let Some((digits, rest)) = line.split_at_checked(3) else {
        return line;
    };
    if digits.parse() == Ok(code) {
        rest.strip_prefix(['-', ' ']).unwrap_or(line)
    } else {
        line
    }
}

/// Splits an enhanced code (`5.7.1`, RFC 3463) off a line; `None` if it does not begin with one.
pub(in crate::transport) fn leading_status(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start();
    let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let mut parts = 0;
    let numbers = first.split('.').all(|part| {
        parts += 1;
        (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    });
    (numbers && parts == 3).then_some((first, rest))
}
