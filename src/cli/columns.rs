//! Text in columns: widths as a terminal counts them, long texts continued below their own
//! beginning.

use std::io::IsTerminal;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The narrowest and the widest that texts are wrapped at.
const WIDTHS: (usize, usize) = (40, 120);

/// How wide standard output is; `None` when it is no terminal, where nothing is wrapped, for the
/// sake of those who search in it.
pub(super) fn terminal_width() -> Option<usize> {
    let stdout = std::io::stdout();
    let (terminal_size::Width(width), _) = stdout
        .is_terminal()
        .then(|| terminal_size::terminal_size_of(&stdout))
        .flatten()?;
    Some(usize::from(width).clamp(WIDTHS.0, WIDTHS.1))
}

/// The text with blanks up to `width` columns.
pub(super) fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// The text behind blanks, to `width` columns.
pub(super) fn right(text: &str, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(text.width())))
}

/// The text in at most `width` columns, with `…` at the end of what does not fit.
pub(super) fn clipped(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut room = width.saturating_sub(1);
    let fits = text.chars().take_while(|c| {
        let taken = c.width().unwrap_or(0);
        let fits = taken <= room;
        room = room.saturating_sub(taken);
        fits
    });
    format!("{}…", fits.collect::<String>())
}

/// How many columns a text takes.
pub(super) fn columns(text: &str) -> usize {
    text.width()
}

/// The text in lines of at most `room` columns: broken at blanks, and between characters that take
/// two columns; a longer word is cut.
pub(super) fn wrapped(text: &str, room: Option<usize>) -> Vec<String> {
    let Some(room) = room.map(|room| room.max(10)) else {
        return vec![text.to_owned()];
    };
    let mut lines = vec![String::new()];
    for piece in pieces(text) {
        let Some(line) = lines.last_mut() else { break };
        if line.width() + piece.trim_end().width() <= room {
            line.push_str(piece);
        } else if piece.trim_end().width() <= room {
            lines.push(piece.to_owned());
        } else {
            cut(piece, room, &mut lines);
        }
    }
    lines
        .into_iter()
        .map(|line| line.trim_end().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

/// Pieces that may stand at the beginning of a line: words with the blanks behind them; wide
/// characters one by one, but for the marks that close a phrase.
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

fn cut(word: &str, room: usize, lines: &mut Vec<String>) {
    for c in word.chars() {
        let full = lines
            .last()
            .is_none_or(|line| line.width() + c.width().unwrap_or(0) > room);
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
    fn long_texts_break_at_blanks_and_between_chinese_characters() {
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
    fn no_line_is_wider_than_asked_for() {
        for text in [
            "Set `from` to the login address, or leave it out; the display name is free.",
            "若是自建服务器，把其根证书保存为 PEM 文件，并将 tls_ca_file 设为该路径。",
        ] {
            for room in 10..60 {
                let lines = wrapped(text, Some(room));
                assert!(
                    lines.iter().all(|line| columns(line) <= room),
                    "{room}: {lines:?}"
                );
                assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
            }
        }
    }
}
