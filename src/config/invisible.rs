//! Invisible characters that are copied along with a value: white space of all widths, byte order
//! marks, bidirectional marks.

use super::message::{Message, message};

/// Whether a character is invisible: white space, or a format character that editors, chats and web
/// pages insert.
pub(super) fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180E}' | '\u{200B}'..='\u{200F}')
        || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}')
}

/// Removes invisible characters at both ends.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches(is_invisible)
}

/// Removes invisible characters from a secret, with a warning if there are any. The warning contains
/// code points, never the secret.
pub(super) fn cleaned(secret: &str) -> (String, Option<Message>) {
    // White space inside may be part of a pass phrase; a zero-width character cannot.
    let kept: String = trimmed(secret)
        .chars()
        .filter(|c| c.is_whitespace() || !is_invisible(*c))
        .collect();
    let removed = (kept.len() != secret.len()).then(|| {
        secret
            .chars()
            .find(|c| is_invisible(*c) && !kept.contains(*c))
            .unwrap_or(' ')
    });
    let odd = kept.chars().find(|c| c.is_whitespace() && *c != ' ');
    let warning = match (removed, odd) {
        (Some(c), _) => Some(message!(
            "spaces or invisible characters ({0}) were removed from the value; correct the original",
            "已去除首尾空白或不可见字符（{0}）；请修正原值",
            code_point(c)
        )),
        (None, Some(c)) => Some(message!(
            "the value contains {0}, which looks like a space but is another character; retype it if the login is refused",
            "其中含有 {0}，看似空格但不是；若登录被拒绝，请重新输入",
            code_point(c)
        )),
        (None, None) => None,
    };
    (kept, warning)
}

fn code_point(c: char) -> String {
    format!("U+{:04X}", u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_at_the_ends_and_zero_width_characters_are_removed() {
        for (written, meant) in [
            ("abc ", "abc"),
            ("\u{A0}abc", "abc"),
            ("\u{FEFF}abc\u{200B}", "abc"),
            ("ab\u{200B}c", "abc"),
            ("abc\u{3000}", "abc"),
            ("abc\t", "abc"),
        ] {
            let (kept, warning) = cleaned(written);
            assert_eq!(kept, meant, "{written:?}");
            let warning = warning.unwrap().to_string();
            assert!(
                warning.contains("U+") && !warning.contains("abc"),
                "{warning}"
            );
        }
        assert_eq!(cleaned("two words"), ("two words".to_owned(), None));
        let (kept, warning) = cleaned("two\u{A0}words");
        assert!(kept == "two\u{A0}words" && warning.unwrap().to_string().contains("U+00A0"));
    }
}
