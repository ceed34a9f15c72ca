//! Fills values into phrases.

use crate::render::text::columns_of;

/// Replaces `{}` in the phrase with `value`.
pub fn fill(phrase: &str, value: &str) -> String {
    let (before, after) = phrase.split_once("{}").unwrap_or((phrase, ""));
    woven([before, value, after])
}

/// A phrase in three pieces around two values.
pub(in crate::render) fn around(
    [before, between, after]: [&str; 3],
    one: &str,
    other: &str,
) -> String {
    woven([before, one, between, other, after])
}

/// Joins the pieces. Chinese phrases have a space on each side of a value, which sets off Latin
/// letters and digits; between two Han characters it is dropped.
fn woven<const N: usize>(pieces: [&str; N]) -> String {
    let mut text = String::new();
    for piece in pieces {
        let last = text.trim_end_matches(' ').chars().next_back();
        let first = piece.trim_start_matches(' ').chars().next();
        let meets_wide = |c: Option<char>| c.is_some_and(|c| columns_of(c) == 2);
        if meets_wide(last) && meets_wide(first) {
            text.truncate(text.trim_end_matches(' ').len());
            text.push_str(piece.trim_start_matches(' '));
        } else {
            text.push_str(piece);
        }
    }
    text
}

/// A number with commas between its thousands, as in both languages.
pub fn number(value: usize) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_space_remains_between_two_han_characters() {
        assert_eq!(
            [
                fill("重设您的 {} 密码", "绘影"),
                fill("重设您的 {} 密码", "Studio"),
                fill("重设您的 {} 密码", "S 绘影")
            ],
            [
                "重设您的绘影密码",
                "重设您的 Studio 密码",
                "重设您的 S 绘影密码"
            ]
        );
        assert_eq!(
            around(["发给 ", "，因为 ", " 填写了"], "a@x.org", "绘影"),
            "发给 a@x.org，因为绘影填写了"
        );
        assert_eq!(
            [
                fill("{} steps", "30"),
                fill("Reset your {} password", "绘影"),
                fill("（{} 张）", "3")
            ],
            ["30 steps", "Reset your 绘影 password", "（3 张）"]
        );
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(
            [number(0), number(999), number(1_000), number(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
