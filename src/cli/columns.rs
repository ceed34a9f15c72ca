//! Column layout by terminal width; continuation lines are aligned with the start of their text.

use std::io::IsTerminal;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Minimum and maximum width at which text is wrapped.
const WIDTHS: (usize, usize) = (40, 120);

/// The width of standard output, or `None` if it is not a terminal. Output to a pipe is never
/// wrapped, so that `grep` finds whole lines.
pub(super) fn terminal_width() -> Option<usize> {
    let stdout = std::io::stdout();
    let (terminal_size::Width(width), _) = stdout
        .is_terminal()
        .then(|| terminal_size::terminal_size_of(&stdout))
        .flatten()?;
    Some(usize::from(width).clamp(WIDTHS.0, WIDTHS.1))
}

/// Pads the text on the right to `width` columns.
pub(super) fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// Pads the text on the left to `width` columns.
pub(super) fn right(text: &str, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(text.width())))
}

/// Shortens the text to `width` columns, ending in `…` if it does not fit.
pub(super) fn clipped(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut width = width.saturating_sub(1);
    let fits = text.chars().take_while(|c| {
        let taken = c.width().unwrap_or(0);
        let fits = taken <= width;
        width = width.saturating_sub(taken);
        fits
    });
    format!("{}…", fits.collect::<String>())
}

/// Display width of a text in columns.
pub(super) fn columns(text: &str) -> usize {
    text.width()
}

/// Wraps the text to lines of at most `width` columns: at spaces and between wide characters. A word
/// that is too long is split.
pub(super) fn wrapped(text: &str, width: Option<usize>) -> Vec<String> {
    let Some(width) = width.map(|width| width.max(10)) else {
        return vec![text.to_owned()];
    };
    let mut lines = vec![String::new()];
    for piece in pieces(text) {
        let Some(line) = lines.last_mut() else { break };
        if line.width() + piece.trim_end().width() <= width {
            line.push_str(piece);
        } else if piece.trim_end().width() <= width {
            lines.push(piece.to_owned());
        } else {
            cut(piece, width, &mut lines);
        }
    }
    lines
        .into_iter()
        .map(|line| line.trim_end().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

/// Splits a text where a line may break: after the spaces behind a word, and between wide
/// characters except before closing punctuation.
fn pieces(text: &str) -> Vec<&str> {
    let wide = |c: char| c.width() == Some(2);
    let closing = |c: char| "，。；：、！？）》」』”’".contains(c);
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut before: Option<char> = None;
    for (at, c) in text.char_indices() {
        let breaks = before.is_some_and(|before| {
            (before == ' ' && c != ' ') || ((wide(c) || wide(before)) && c != ' ' && !closing(c))
        });
        if breaks {
            pieces.extend(text.get(start..at));
            start = at;
        }
        before = Some(c);
    }
    pieces.extend(text.get(start..));
    pieces
}

fn cut(word: &str, width: usize, lines: &mut Vec<String>) {
    for c in word.chars() {
        let full = lines
            .last()
            .is_none_or(|line| line.width() + c.width().unwrap_or(0) > width);
        if full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            line.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_counts_two_columns() {
        assert_eq!(padded("问候", 6), "问候  ");
        assert_eq!(right("12 ms", 7), "  12 ms");
        assert_eq!(columns("主题 a"), 6);
    }

    #[test]
    fn long_text_wraps_at_spaces_and_between_wide_characters() {
        assert_eq!(
            wrapped("one two three four", Some(10)),
            ["one two", "three four"]
        );
        assert_eq!(
            wrapped("请更换端口，或者重试。", Some(12)),
            ["请更换端口，", "或者重试。"]
        );
        assert_eq!(
            wrapped("把 from 设为登录账号。", Some(10)),
            ["把 from 设", "为登录账", "号。"]
        );
        assert_eq!(
            wrapped("https://example.com/long", Some(10)),
            ["https://ex", "ample.com/", "long"]
        );
        assert_eq!(wrapped("one two three four", None), ["one two three four"]);
    }

    #[test]
    fn wrapped_lines_stay_within_the_width() {
        for text in [
            "Set `from` to the login address, or leave it out; the display name is free.",
            "若是自建服务器，把其根证书保存为 PEM 文件，并将 tls_ca_file 设为该路径。",
        ] {
            for width in 10..60 {
                let lines = wrapped(text, Some(width));
                assert!(
                    lines.iter().all(|line| columns(line) <= width),
                    "{width}: {lines:?}"
                );
                assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
            }
        }
    }
}
