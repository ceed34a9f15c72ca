//! Characters that nobody sees and that come along when a value is copied: blanks of all widths,
//! byte order marks, marks of direction.

/// Whether a character leaves no ink: white space, or one of the format characters that editors,
/// chats and web pages put between others.
pub(super) fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180E}' | '\u{200B}'..='\u{200F}')
        || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}')
}

/// Without what nobody sees at either end.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches(is_invisible)
}

/// A secret as it was meant, and a warning where that is not how it was written. The warning names
/// characters, never the secret.
pub(super) fn cleaned(secret: &str) -> (String, Option<String>) {
    // A blank within may be part of a pass phrase, a character without any width cannot.
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
        (Some(c), _) => Some(format!(
            "blanks or invisible characters ({0}) were removed from it; correct the original / 已去除首尾空白或不可见字符（{0}），请修正原值",
            code_point(c)
        )),
        (None, Some(c)) => Some(format!(
            "it contains {0}, which looks like a blank but is another character; type it anew if the login is refused / 其中含有 {0}，看似空格但不是；若登录被拒绝，请重新输入",
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
    fn ends_are_trimmed_and_characters_without_width_dropped() {
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
            let warning = warning.unwrap();
            assert!(
                warning.contains("U+") && !warning.contains("abc"),
                "{warning}"
            );
        }
        assert_eq!(cleaned("two words"), ("two words".to_owned(), None));
        let (kept, warning) = cleaned("two\u{A0}words");
        assert!(kept == "two\u{A0}words" && warning.unwrap().contains("U+00A0"));
    }
}
