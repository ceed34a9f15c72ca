//! Makes untrusted text fit for display: cleaned, measured in columns, shortened at character
//! boundaries.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

/// Zero-width joiner: joins two emoji into one.
pub const JOINER: char = '\u{200D}';

/// Whether a character is never shown: control characters, explicit bidirectional controls
/// (U+202A–202E, U+2066–2069), byte-order and annotation marks. The implicit marks U+200E, U+200F
/// and U+061C affect only themselves and are kept.
pub(super) fn unwanted(c: char) -> bool {
    if matches!(c, ' '..='~' | '\u{4E00}'..='\u{9FFF}') {
        return false;
    }
    c.is_control()
        || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}')
}

pub(super) fn line_end(c: char) -> bool {
    matches!(
        c,
        '\n' | '\r' | '\u{B}' | '\u{C}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// One line of at most `limit` characters: white space collapsed, unwanted characters removed.
/// `None` if nothing remains.
pub fn line(text: &str, limit: usize) -> Option<Cow<'_, str>> {
    let text = text.trim();
    let (kept, cut) = first_chars(text, limit);
    let plain = !cut
        && !kept.contains("  ")
        && kept
            .chars()
            .all(|c| c == ' ' || !(c.is_whitespace() || unwanted(c)));
    if plain {
        return if kept.is_empty() {
            None
        } else {
            Some(Cow::Borrowed(kept))
        };
    }
    let mut line = String::with_capacity(kept.len());
    for c in kept.chars() {
        if c.is_whitespace() || line_end(c) {
            if !line.is_empty() && !line.ends_with(' ') {
                line.push(' ');
            }
        } else if !unwanted(c) {
            line.push(c);
        }
    }
    line.truncate(line.trim_end().len());
    match (line.is_empty(), cut) {
        (true, _) => None,
        (false, true) => Some(Cow::Owned(line + "…")),
        (false, false) => Some(Cow::Owned(line)),
    }
}

/// Lines of at most `limit` characters in total: line ends become `\n`, runs of empty lines become
/// one, unwanted characters are removed. Also returns the number of characters cut. `None` if
/// nothing remains.
pub fn block(text: &str, limit: usize) -> Option<(Cow<'_, str>, usize)> {
    let text = text.trim();
    let (kept, cut) = first_chars(text, limit);
    let left_out = if cut {
        text.get(kept.len()..).unwrap_or_default().chars().count()
    } else {
        0
    };
    let mut ends = 0;
    let plain = kept.chars().all(|c| {
        ends = if c == '\n' { ends + 1 } else { 0 };
        ends < 3 && (c == '\n' || !(unwanted(c) || line_end(c)))
    });
    if plain {
        return if kept.is_empty() {
            None
        } else {
            Some((Cow::Borrowed(kept), left_out))
        };
    }
    let mut lines = String::with_capacity(kept.len());
    let mut before = ' ';
    for c in kept.chars() {
        if line_end(c) {
            let second_half = c == '\n' && before == '\r';
            if !second_half && !lines.ends_with("\n\n") {
                lines.push('\n');
            }
        } else if c == '\t' {
            lines.push_str("    ");
        } else if !unwanted(c) {
            lines.push(c);
        }
        before = c;
    }
    let lines = lines.trim();
    if lines.is_empty() {
        None
    } else {
        Some((Cow::Owned(lines.to_owned()), left_out))
    }
}

/// The text without invisible control and bidirectional characters.
pub fn visible(text: &str) -> Cow<'_, str> {
    let stays = |c: char| matches!(c, '\n' | '\t') || !unwanted(c);
    if text.chars().all(stays) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.chars().filter(|c| stays(*c)).collect())
    }
}

/// The first `limit` characters, or fewer so that no sequence is split, and whether anything was
/// cut.
pub fn first_chars(text: &str, limit: usize) -> (&str, bool) {
    if text.len() <= limit {
        return (text, false);
    }
    match text.char_indices().nth(limit) {
        Some((end, _)) => (whole(text, end), true),
        None => (text, false),
    }
}

/// The part of `text` before `end`, moved back so that accents, variation selectors and joined
/// emoji stay whole.
fn whole(text: &str, end: usize) -> &str {
    let mut head = text.get(..end).unwrap_or(text);
    let mut next = text.get(end..).and_then(|rest| rest.chars().next());
    for _ in 0..12 {
        let Some(last) = head.chars().next_back() else {
            break;
        };
        let splits = last == JOINER || next.is_some_and(|c| columns_of(c) == 0);
        if !splits {
            return head;
        }
        head = head.get(..head.len() - last.len_utf8()).unwrap_or_default();
        next = Some(last);
    }
    text.get(..end).unwrap_or(text)
}

/// Shortens `text` to `limit` columns, ending in an ellipsis.
pub fn shorten(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit || columns(text) <= limit {
        return Cow::Borrowed(text);
    }
    let room = limit.saturating_sub(1);
    let mut used = 0;
    let mut end = 0;
    for (index, c) in text.char_indices() {
        used += columns_of(c);
        if used > room {
            end = index;
            break;
        }
    }
    Cow::Owned([whole(text, end).trim_end(), "…"].concat())
}

/// Display width of `text` in a terminal or monospace view.
pub fn columns(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.chars().map(columns_of).sum()
    }
}

/// Display width of a character: 0 for combining marks, 2 for wide characters, otherwise 1.
pub fn columns_of(c: char) -> usize {
    // Skin tones are part of the emoji before them.
    if ('\u{1F3FB}'..='\u{1F3FF}').contains(&c) {
        0
    } else {
        c.width().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_drops_line_ends_and_bidi_controls() {
        assert_eq!(
            line("a\r\nBcc: x@y.z\u{0}\u{202E}b", 100).unwrap(),
            "a Bcc: x@y.zb"
        );
        assert_eq!(line("  \u{2066}\r\n ", 100), None);
        assert!(matches!(
            line("夜间批量", 100),
            Some(Cow::Borrowed("夜间批量"))
        ));
    }

    #[test]
    fn block_keeps_its_lines_and_counts_cut_characters() {
        assert_eq!(
            block("a\r\nb\r\r\r\rc\t\u{7}d", 100).unwrap(),
            ("a\nb\n\nc    d".into(), 0)
        );
        assert_eq!(block(&"字".repeat(1_000), 600).unwrap().1, 400);
        assert_eq!(block("\u{202E}\u{0}", 600), None);
    }

    #[test]
    fn text_is_never_cut_inside_a_character() {
        let family = "👨\u{200D}👩\u{200D}👧";
        assert_eq!(first_chars(&format!("ab{family}"), 4), ("ab", true));
        assert_eq!(first_chars("ae\u{301}x", 2), ("a", true));
        assert_eq!(shorten("一二三四五", 7), "一二三…");
        assert_eq!(shorten("abc", 3), "abc");
    }

    #[test]
    fn chinese_counts_two_columns() {
        assert_eq!(
            (columns("图片 ok"), columns("e\u{301}"), columns("🐱")),
            (7, 1, 2)
        );
    }
}
