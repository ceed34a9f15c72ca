//! Keeps the last lines of a command's output as a terminal would show them: bounded in size, and
//! always valid text.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::i18n::terminal_encoding;
use crate::encoding;

/// Maximum number of lines.
const MAX_LINES: usize = 20;
/// Maximum number of characters of all lines; the mail's limit for an error.
const MAX_CHARS: usize = 1_000;
/// Maximum number of bytes kept of one line: enough for the characters above and for control
/// sequences.
const MAX_LINE: usize = 8 * MAX_CHARS;

/// The end of an output that arrives through several [`Line`]s.
#[derive(Debug, Default)]
pub(super) struct Tail(Mutex<VecDeque<String>>);

/// The current, incomplete line of one stream.
pub(super) struct Line<'a> {
    tail: &'a Tail,
    bytes: Vec<u8>,
}

impl Tail {
    /// Adds a stream; an incomplete line counts when the stream ends.
    pub(super) fn line(&self) -> Line<'_> {
        Line {
            tail: self,
            bytes: Vec::new(),
        }
    }

    /// The last lines; empty if nothing was printed.
    pub(super) fn text(&self) -> String {
        let lines = self.lines();
        let mut room = MAX_CHARS;
        let mut kept = Vec::new();
        for line in lines.iter().rev() {
            let length = line.chars().count() + 1;
            if length > room {
                // A line that does not fit is dropped, except for the end of the last one.
                if kept.is_empty() {
                    kept.push(last_chars(line, MAX_CHARS));
                }
                break;
            }
            room -= length;
            kept.push(line.as_str());
        }
        kept.reverse();
        kept.join("\n").trim_matches('\n').to_owned()
    }

    fn add(&self, line: &[u8]) {
        let mut lines = self.lines();
        if lines.len() == MAX_LINES {
            lines.pop_front();
        }
        lines.push_back(shown(&encoding::decode(line, terminal_encoding())));
    }

    fn lines(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line<'_> {
    /// Consumes the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let mut parts = bytes.split(|byte| *byte == b'\n');
        let unfinished = parts.next_back().unwrap_or_default();
        for part in parts {
            self.extend(part);
            self.tail.add(&self.bytes);
            self.bytes.clear();
        }
        self.extend(unfinished);
    }

    fn extend(&mut self, part: &[u8]) {
        self.bytes.extend_from_slice(
            part.get(part.len().saturating_sub(MAX_LINE)..)
                .unwrap_or_default(),
        );
        self.bytes
            .drain(..self.bytes.len().saturating_sub(MAX_LINE));
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            self.tail.add(&self.bytes);
        }
    }
}

fn last_chars(line: &str, count: usize) -> &str {
    line.char_indices()
        .rev()
        .nth(count - 1)
        .map_or(line, |(from, _)| line.get(from..).unwrap_or_default())
}

/// A line as a terminal shows it in the end: without text overwritten after a carriage return,
/// escape sequences (ECMA-48 section 5.4) and other control characters.
fn shown(line: &str) -> String {
    let line = line.trim_end_matches('\r');
    let line = line
        .rsplit('\r')
        .find(|part| !part.trim().is_empty())
        .unwrap_or(line);
    let mut text = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\u{1B}' => skip_sequence(&mut chars),
            '\u{9B}' => skip_until(&mut chars, |c| ('@'..='~').contains(&c)),
            '\u{8}' => _ = text.pop(),
            '\t' => text.push('\t'),
            _ if char.is_control() => {}
            _ => text.push(char),
        }
    }
    text.truncate(text.trim_end().len());
    text
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Skips the rest of an escape sequence: a control sequence up to its final byte, a string (title,
/// link) up to its terminator, or one character.
fn skip_sequence(chars: &mut Chars<'_>) {
    match chars.next() {
        Some('[') => skip_until(chars, |c| ('@'..='~').contains(&c)),
        Some(']' | 'P' | 'X' | '^' | '_') => {
            skip_until(chars, |c| matches!(c, '\u{7}' | '\u{9C}' | '\u{1B}'));
            chars.next_if_eq(&'\\');
        }
        Some('(' | ')' | '*' | '+' | '#' | '%' | ' ') => _ = chars.next(),
        _ => {}
    }
}

fn skip_until(chars: &mut Chars<'_>, last: impl Fn(char) -> bool) {
    for char in chars.by_ref() {
        if last(char) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tail of one stream, fed byte by byte and as a whole; both must agree.
    fn end_of(bytes: &[u8]) -> String {
        let (whole, single) = (Tail::default(), Tail::default());
        whole.line().push(bytes);
        {
            let mut line = single.line();
            bytes.chunks(1).for_each(|byte| line.push(byte));
        }
        assert_eq!(whole.text(), single.text());
        whole.text()
    }

    #[test]
    fn last_twenty_lines_are_kept_including_an_incomplete_one() {
        let lines: Vec<String> = (1..=50).map(|number| format!("line {number}")).collect();
        assert_eq!(end_of(lines.join("\n").as_bytes()), lines[30..].join("\n"));
        assert_eq!(
            end_of(format!("{}\n", lines.join("\n")).as_bytes()),
            lines[30..].join("\n")
        );
        assert_eq!(
            (end_of(b""), end_of(b"\n\n"), end_of(b"a\n\nb\n\n")),
            (String::new(), String::new(), "a\n\nb".to_owned())
        );
    }

    #[test]
    fn text_over_the_limit_is_cut_at_the_beginning() {
        let lines: Vec<String> = (0..20)
            .map(|number| format!("{number:02}{}", "x".repeat(97)))
            .collect();
        assert_eq!(end_of(lines.join("\n").as_bytes()), lines[10..].join("\n"));
        let long = format!("{}the end", "猫".repeat(100_000));
        let kept = end_of(long.as_bytes());
        assert_eq!(
            (kept.chars().count(), kept.ends_with("猫the end")),
            (MAX_CHARS, true)
        );
        assert_eq!(end_of(format!("{long}\nshort").as_bytes()), "short");
    }

    #[test]
    fn invalid_utf8_becomes_valid_text() {
        assert_eq!(end_of(b"caf\xE9 \xFF\0!"), "caf\u{FFFD} \u{FFFD}!");
        // Starts inside a character.
        let cut = end_of(&"猫".repeat(MAX_LINE).into_bytes()[1..]);
        assert!(cut.chars().all(|c| c == '猫' || c == '\u{FFFD}'), "{cut}");
    }

    #[test]
    fn line_is_reduced_to_its_final_terminal_output() {
        assert_eq!(end_of(b"\x1B[1;31merror\x1B[0m: \x1B]8;;https://e.com\x1B\\no\x1B]8;;\x07 memory\x1B(B\r\n"), "error: no memory");
        assert_eq!(end_of(b" 10%\r 50%\r100%\r\n"), "100%");
        assert_eq!(end_of(b"10%\r50%\r"), "50%");
        assert_eq!(end_of(b"abd\x08c\tx \x07 \n"), "abc\tx");
        assert_eq!(end_of(b"\x1B[2K\x1B["), "");
    }

    #[test]
    fn two_streams_meet_line_by_line() {
        let tail = Tail::default();
        let (mut out, mut err) = (tail.line(), tail.line());
        out.push(b"first ");
        err.push(b"warning\n");
        out.push(b"half\nlast");
        drop(err);
        drop(out);
        assert_eq!(tail.text(), "warning\nfirst half\nlast");
    }
}
