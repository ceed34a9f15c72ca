//! Parses replies. Neither their encoding nor their length is trusted.
//!
//! QQ sends its refusals in GBK, and their text is what the operator needs most. A line that is not
//! valid UTF-8 is therefore decoded as GB18030, a superset of GBK.

use encoding_rs::GB18030;

use crate::domain::Reply;
use crate::transport::explain::leading_status;

/// The longest line accepted. RFC 5321 §4.5.3.1.5 allows 512 octets; some servers send more.
pub(super) const MAX_LINE: usize = 4 * 1024;
/// The longest reply accepted, all lines together.
pub(super) const MAX_REPLY: usize = 64 * 1024;
/// The maximum length of a [`Reply`]'s text, in characters.
const MAX_TEXT: usize = 1_000;

/// One line of a reply: `250-text`, `250 text` or a bare `250` (RFC 5321 §4.2).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) code: u16,
    pub(super) last: bool,
    pub(super) text: &'a [u8],
}

/// Parses a line without its line end; `None` if it is not SMTP.
pub(super) fn line(bytes: &[u8]) -> Option<Line<'_>> {
    let (digits, rest) = bytes.split_at_checked(3)?;
    let code = digits.iter().try_fold(0u16, |code, byte| {
        byte.is_ascii_digit()
            .then(|| code * 10 + u16::from(byte - b'0'))
    })?;
    let (last, text) = match rest.split_first() {
        None => (true, rest),
        Some((b' ', text)) => (true, text),
        Some((b'-', text)) => (false, text),
        Some(_) => return None,
    };
    (200..600)
        .contains(&code)
        .then_some(Line { code, last, text })
}

/// The number of complete replies in `bytes`.
pub(super) fn count(bytes: &[u8]) -> usize {
    let lines = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| line.ends_with(b"\n"));
    lines
        .filter_map(|text| line(text.trim_ascii_end()))
        .filter(|line| line.last)
        .count()
}

/// Builds a [`Reply`] from a code and the texts of the lines, joined by `\n`.
pub(super) fn reply(code: u16, lines: &[u8]) -> Reply {
    let class = (code / 100).to_string();
    let mut enhanced: Option<String> = None;
    let mut text = String::with_capacity(lines.len().min(MAX_TEXT));
    for (index, line) in lines.split(|byte| *byte == b'\n').enumerate() {
        let line = decode(line);
        let mut words = line.as_str();
        // An enhanced code of another class is not one (RFC 3463 §3.1).
        if let Some((status, rest)) = leading_status(words)
            .filter(|(status, _)| status.split('.').next() == Some(class.as_str()))
        {
            enhanced.get_or_insert_with(|| status.to_owned());
            words = rest;
        }
        if index > 0 {
            text.push('\n');
        }
        text.push_str(words.trim_end());
    }
    if let Some((end, _)) = text.char_indices().nth(MAX_TEXT) {
        text.truncate(end);
    }
    text.truncate(text.trim_end().len());
    Reply {
        code,
        enhanced,
        text,
    }
}

fn decode(line: &[u8]) -> String {
    let text = match std::str::from_utf8(line) {
        Ok(text) => text.to_owned(),
        Err(_) => GB18030.decode_without_bom_handling(line).0.into_owned(),
    };
    if text.chars().any(char::is_control) {
        text.replace(char::is_control, "")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_parsed_with_and_without_text() {
        assert_eq!(
            line(b"250 ok"),
            Some(Line {
                code: 250,
                last: true,
                text: b"ok"
            })
        );
        assert_eq!(
            line(b"250-SIZE 1"),
            Some(Line {
                code: 250,
                last: false,
                text: b"SIZE 1"
            })
        );
        assert_eq!(
            line(b"250"),
            Some(Line {
                code: 250,
                last: true,
                text: b""
            })
        );
        for bad in [
            &b"25"[..],
            b"2x0 ok",
            b"250_ok",
            b"999 no",
            b"150 no",
            b"\x15\x03\x01",
            b"",
        ] {
            assert_eq!(line(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn only_complete_replies_are_counted() {
        assert_eq!(count(b"250-a\r\n250 b\r\n354 go\r\n250 not yet"), 2);
        assert_eq!(
            (count(b""), count(b"250-a\r\n"), count(b"noise\r\n250\r\n")),
            (0, 0, 1)
        );
    }

    #[test]
    fn gbk_and_utf8_are_both_understood() {
        let gbk = GB18030.encode("Error: 请使用授权码登录").0;
        assert_eq!(reply(535, &gbk).text, "Error: 请使用授权码登录");
        assert_eq!(
            reply(535, "Error: 请使用授权码登录".as_bytes()).text,
            "Error: 请使用授权码登录"
        );
    }

    #[test]
    fn enhanced_code_is_removed_from_each_line_if_its_class_fits() {
        let parsed = reply(
            550,
            b"5.4.5 Daily user sending limit exceeded.\n5.4.5 See https://x.y",
        );
        assert_eq!(parsed.enhanced.as_deref(), Some("5.4.5"));
        assert_eq!(
            parsed.text,
            "Daily user sending limit exceeded.\nSee https://x.y"
        );
        assert_eq!(reply(550, b"4.2.2 full").enhanced, None);
        assert_eq!(reply(250, b"2.0.0").enhanced.as_deref(), Some("2.0.0"));
        assert_eq!(reply(250, b"1.2.3.4 hello").enhanced, None);
        assert_eq!(reply(550, b"5.7.1234 x").enhanced, None);
    }

    #[test]
    fn text_is_limited_and_has_no_control_characters() {
        let parsed = reply(550, &b"a\x1b[31m\x07b\r".repeat(500));
        assert!(parsed.text.starts_with("a[31mba[31mb"));
        assert_eq!(parsed.text.chars().count(), 1_000);
    }
}
