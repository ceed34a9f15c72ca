//! Texts from outside on their way to a terminal: what could steer it or disguise a line is shown
//! as an escape.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

/// Whether a terminal may act on a character, show the characters around it elsewhere, or show
/// nothing for it: C0 and C1 controls, the controls of text direction, line and paragraph
/// separators, invisible characters. Joiners stay: scripts and emoji need them.
const fn steers(c: char) -> bool {
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

/// The text with such characters as `\u009b`, which is right in JSON as well. Line feeds and tabs
/// stay.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if text.chars().any(steers) {
        Cow::Owned(escape(text, |_| false))
    } else {
        Cow::Borrowed(text)
    }
}

/// The same, but that our colours and weights (`ESC [ … m`) stay.
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

/// Whether a code selects a colour or weight of the foreground. Others hide text.
fn is_style(code: &str) -> bool {
    code.is_empty()
        || matches!(
            code.parse::<u8>(),
            Ok(0..=4 | 22..=24 | 31..=36 | 39 | 91..=96)
        )
}

fn escape(text: &str, stays: impl Fn(&str) -> bool) -> String {
    let mut plain = String::with_capacity(text.len() + 16);
    for (at, c) in text.char_indices() {
        if steers(c) && !stays(text.get(at..).unwrap_or_default()) {
            // Writing to a String cannot fail.
            write!(plain, "\\u{:04x}", u32::from(c)).unwrap_or_default();
        } else {
            plain.push(c);
        }
    }
    plain
}

/// A writer for a terminal: texts are escaped, colours stay.
#[derive(Debug)]
pub struct Styled<W>(pub W);

impl<W: io::Write> io::Write for Styled<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // `write!` hands over whole texts.
        self.0
            .write_all(escaped_but_styles(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A writer for log lines, each written as a whole: escaped as in [`Styled`], and a line end within
/// an entry is `\n`, so that none can look like two.
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
    fn what_steers_a_terminal_is_escaped_and_all_else_stays() {
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
    fn a_log_entry_is_one_line() {
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
