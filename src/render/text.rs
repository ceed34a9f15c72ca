//! Text from outside made fit to be shown: cleaned, measured in columns, shortened without breaking
//! a character apart.

use std::borrow::Cow;

/// Joins two pictographs into one; what follows it belongs to what stands before.
pub const JOINER: char = '\u{200D}';

/// What is not shown at all: control characters, characters that turn the direction of their
/// surroundings (U+202A–202E, U+2066–2069), byte-order and annotation marks. The implicit marks
/// U+200E, U+200F and U+061C affect only themselves and stay.
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

/// One line of at most `limit` characters: white space of any kind becomes single blanks, what is
/// unwanted goes. `None` when nothing remains.
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

/// Lines of at most `limit` characters in all: line ends become `\n`, more than one empty line
/// becomes one, what is unwanted goes. With it comes the number of characters that were left out.
/// `None` when nothing remains.
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

/// A text as it was given, but for what cannot be seen and could turn it around.
pub fn visible(text: &str) -> Cow<'_, str> {
    let stays = |c: char| matches!(c, '\n' | '\t') || !unwanted(c);
    if text.chars().all(stays) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.chars().filter(|c| stays(*c)).collect())
    }
}

/// The first `limit` characters, or fewer where that would cut a sequence apart, and whether
/// anything was cut off.
pub fn first_chars(text: &str, limit: usize) -> (&str, bool) {
    if text.len() <= limit {
        return (text, false);
    }
    match text.char_indices().nth(limit) {
        Some((end, _)) => (whole(text, end), true),
        None => (text, false),
    }
}

/// The part of `text` before `end`, moved back so that accents, variation marks and joined
/// pictographs stay whole.
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

/// `text` in at most `limit` columns, an ellipsis standing for what is cut off.
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

/// How many columns a terminal or a fixed-width mail view gives to `text`.
pub fn columns(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.chars().map(columns_of).sum()
    }
}

/// 0 for marks that sit on the character before them, 2 for Chinese, Japanese, Korean and
/// pictographs, otherwise 1. The ranges follow Unicode's East Asian Width (UAX #11, W and F),
/// rounded to whole blocks.
pub fn columns_of(c: char) -> usize {
    match u32::from(c) {
        // Most of what comes, first.
        0..0x300 => 1,
        0x4E00..0xA000 | 0xFF01..0xFF60 => 2,
        c if is_wide(c) => 2,
        c if is_mark(c) => 0,
        _ => 1,
    }
}

fn is_mark(c: u32) -> bool {
    matches!(c, 0x300..=0x36F | 0x483..=0x489 | 0x591..=0x5BD | 0x610..=0x61A | 0x64B..=0x65F | 0x670 | 0x1AB0..=0x1AFF | 0x1DC0..=0x1DFF)
        || matches!(c, 0x200B..=0x200F | 0x2060..=0x2064 | 0x20D0..=0x20FF | 0xFE00..=0xFE0F | 0xFE20..=0xFE2F | 0x1_F3FB..=0x1_F3FF | 0xE_0000..=0xE_01EF)
}

fn is_wide(c: u32) -> bool {
    matches!(c, 0x1100..=0x115F | 0x2E80..=0x303E | 0x3041..=0xA4CF | 0xA960..=0xA97F | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF | 0xFE30..=0xFE6F)
        || matches!(c, 0xFF00..=0xFF60 | 0xFFE0..=0xFFE6 | 0x1_F300..=0x1_F64F | 0x1_F680..=0x1_F6FF | 0x1_F900..=0x1_F9FF | 0x1_FA70..=0x1_FAFF)
        || matches!(c, 0x2_0000..=0x3_FFFD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_loses_what_could_forge_a_header_or_turn_the_text_around() {
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
    fn a_block_keeps_its_lines_and_says_how_much_was_left_out() {
        assert_eq!(
            block("a\r\nb\r\r\r\rc\t\u{7}d", 100).unwrap(),
            ("a\nb\n\nc    d".into(), 0)
        );
        assert_eq!(block(&"字".repeat(1_000), 600).unwrap().1, 400);
        assert_eq!(block("\u{202E}\u{0}", 600), None);
    }

    #[test]
    fn nothing_is_cut_inside_a_character() {
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
