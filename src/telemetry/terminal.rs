//! Escapes untrusted text for terminals: characters that control the terminal or disguise a line.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

/// Whether a character can control a terminal, reorder text or be invisible: C0 and C1 controls,
/// bidirectional controls, line and paragraph separators, zero-width characters. Joiners are
/// allowed, because scripts and emoji need them.
const fn is_unsafe(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{AD}'
        | '\u{61C}'
        | '\u{180E}'
        | '\u{200B}'
        | '\u{200E}'
        | '\u{200F}'
        | '\u{2028}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}'
        | '\u{FEFF}'
        | '\u{FFF9}'..='\u{FFFB}' => true,
        _ => c.is_ascii_control() || (c as u32 >= 0x80 && c as u32 <= 0x9F),
    }
}

/// Escapes unsafe characters as `\u009b`, which is also valid in JSON. Keeps line feeds and tabs.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_unsafe) {
        Cow::Owned(escape(text, |_| false))
    } else {
        Cow::Borrowed(text)
    }
}

/// Like [`escaped`], but keeps our own colours and weights (`ESC [ … m`).
fn escaped_but_styles(text: &str) -> String {
    escape(text, |rest| {
        rest.strip_prefix("\u{1b}[")
            .and_then(|rest| {
                rest.split_once(|c: char| c != ';' && !c.is_ascii_digit())
                    .filter(|(codes, _)| {
                        rest.get(codes.len()..).unwrap_or_default().starts_with('m')
                    })
            })
            .is_some_and(|(codes, _)| codes.split(';').all(is_style))
    })
}

/// Whether a code selects a foreground colour or weight. Other codes can hide text.
fn is_style(code: &str) -> bool {
    code.is_empty()
        || matches!(
            code.parse::<u8>(),
            Ok(0..=4 | 22..=24 | 31..=36 | 39 | 91..=96)
        )
}

fn escape(text: &str, keep: impl Fn(&str) -> bool) -> String {
    let mut plain = String::with_capacity(text.len() + 16);
    for (at, c) in text.char_indices() {
        if is_unsafe(c) && !keep(text.get(at..).unwrap_or_default()) {
            // Writing to a `String` cannot fail.
            write!(plain, "\\u{:04x}", u32::from(c)).unwrap_or_default();
        } else {
            plain.push(c);
        }
    }
    plain
}

/// A writer for a terminal that escapes unsafe characters and keeps colours.
#[derive(Debug)]
pub struct Styled<W>(pub W);

impl<W: io::Write> io::Write for Styled<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // `write!` passes whole strings, so no character is split.
        self.0
            .write_all(escaped_but_styles(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A writer for log entries, one per call: escapes like [`Styled`], and also line feeds within an
/// entry, so that one entry cannot look like two.
#[derive(Debug)]
pub struct LogLines<W>(pub W);

impl<W: io::Write> io::Write for LogLines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let entry = text.strip_suffix('\n').unwrap_or(&text);
        let end = text.get(entry.len()..).unwrap_or_default();
        let line = [&escaped_but_styles(entry).replace('\n', "\\n"), end].concat();
        self.0.write_all(line.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn only_unsafe_characters_are_escaped() {
        assert_eq!(
            escaped("a\u{9b}31m\u{1b}]0;x\u{7}\r\u{202E}b\u{2066}\u{2028}\u{61C}\u{7f}"),
            "a\\u009b31m\\u001b]0;x\\u0007\\u000d\\u202eb\\u2066\\u2028\\u061c\\u007f"
        );
        assert_eq!(
            escaped("a\u{200B}b\u{2060}c\u{AD}d\u{FEFF}e\u{FFF9}"),
            "a\\u200bb\\u2060c\\u00add\\ufeffe\\ufff9"
        );
        for text in ["plain\n\ttext", "图片 👩\u{200D}👧 é", ""] {
            assert!(matches!(escaped(text), Cow::Borrowed(same) if same == text));
        }
        let json = escaped(r#"{"a":"_"}"#).replace('_', "\u{9b}\u{202E}");
        let back: serde_json::Value = serde_json::from_str(&escaped(&json)).unwrap();
        assert_eq!(back, serde_json::json!({"a": "\u{9b}\u{202E}"}));
    }

    #[test]
    fn log_entry_is_one_line() {
        let mut out = Vec::new();
        LogLines(&mut out)
            .write_all("\u{1b}[2mWARN\u{1b}[0m a\nINFO forged\r\u{9b}2J\n".as_bytes())
            .unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\u{1b}[2mWARN\u{1b}[0m a\\nINFO forged\\u000d\\u009b2J\n"
        );
    }

    #[test]
    fn styles_that_hide_text_are_escaped() {
        for codes in ["8", "30", "40", "0;8", "38;5;0", "7", "1;"] {
            let text = format!("\u{1b}[{codes}mtext");
            let kept = escaped_but_styles(&text) == text;
            assert_eq!(kept, codes == "1;", "{codes}");
        }
    }
}
