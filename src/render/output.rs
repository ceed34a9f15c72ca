//! Program output in a mail: recognised, kept verbatim, cut at the beginning.

use super::text::{columns_of, first_chars, line_end, unwanted};

/// Maximum number of lines shown.
const MAX_LINES: usize = 40;
/// Maximum number of characters shown.
const MAX_CHARS: usize = 2_000;
/// Distance of tab stops.
const TAB: usize = 8;

/// Whether a text is set in columns or indented, like tables, tracebacks and logs, so that its
/// white space matters.
pub(super) fn is_output(text: &str) -> bool {
    let text = text.trim();
    let is_column = |line: &str| {
        let line = line.trim_end();
        let indented = line.len() - line.trim_start_matches([' ', '\t']).len();
        let inside = line.get(indented..).unwrap_or_default();
        // Two spaces after a sentence are a typing habit.
        let gap = inside.match_indices("  ").any(|(at, _)| {
            let before = inside
                .get(..at)
                .and_then(|before| before.chars().next_back());
            !before.is_some_and(|c| matches!(c, '.' | '!' | '?' | ':' | ' '))
                || inside.get(at..).is_some_and(|rest| rest.starts_with("   "))
        });
        gap || inside.contains('\t')
    };
    let mut lines = text.lines();
    lines.next().is_some_and(is_column)
        || lines.any(|line| {
            !line.trim().is_empty() && (line.starts_with([' ', '\t']) || is_column(line))
        })
}

/// The last lines of a text with white space kept and tabs expanded, and the number of lines cut
/// before them. `None` if nothing visible remains.
pub(super) fn last_lines(text: &str) -> Option<(String, usize)> {
    let all: Vec<String> = split_lines(text).map(shown).collect();
    let from = all.iter().position(|line| !line.is_empty())?;
    let to = all.iter().rposition(|line| !line.is_empty())?;
    let lines = all.get(from..=to)?;
    let (mut first, mut room) = (lines.len(), MAX_CHARS);
    for line in lines.iter().rev().take(MAX_LINES) {
        let Some(left) = room.checked_sub(line.chars().count() + 1) else {
            break;
        };
        (first, room) = (first - 1, left);
    }
    if first == lines.len() {
        // Of a single line that is too long, keep the end.
        let last = lines.last()?;
        let skip = last.chars().count().saturating_sub(MAX_CHARS - 1);
        let end: String = last.chars().skip(skip).collect();
        return Some((["…", &end].concat(), lines.len() - 1));
    }
    // An empty line at the cut would look like a mistake.
    let first = (first..lines.len())
        .find(|at| lines.get(*at).is_some_and(|line| !line.is_empty()))
        .unwrap_or(first);
    Some((lines.get(first..)?.join("\n"), first))
}

/// All lines of a text with white space kept and tabs expanded; empty lines at both ends are
/// removed.
pub(super) fn kept_lines(text: &str) -> String {
    let lines: Vec<String> = split_lines(text).map(shown).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

/// The last non-empty line, trimmed and bounded: for a traceback, the error itself.
pub(super) fn last_line(text: &str, limit: usize) -> &str {
    let says = |line: &&str| line.chars().any(char::is_alphanumeric);
    let line = text
        .lines()
        .rev()
        .map(str::trim)
        .find(says)
        .unwrap_or_else(|| text.trim());
    first_chars(line, limit).0
}

fn split_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n')
        .flat_map(|line| line.trim_end_matches('\r').split(line_end))
}

/// One line without control characters, tabs expanded, trimmed at the end.
fn shown(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut column = 0;
    for c in line.chars() {
        if c == '\t' {
            let stop = TAB - column % TAB;
            out.extend(std::iter::repeat_n(' ', stop));
            column += stop;
        } else if !unwanted(c) {
            out.push(c);
            column += columns_of(c);
        }
    }
    out.truncate(out.trim_end().len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACEBACK: &str = "Traceback (most recent call last):\n  File \"a.py\", line 3, in <module>\n    main()\nValueError: bad shape\n";

    #[test]
    fn tables_and_tracebacks_are_recognised_as_output() {
        for output in [
            TRACEBACK,
            "name      size\ncat.png   12",
            "a\tb",
            "  x  y",
            "top\n\tat Main.java:3",
            "id  state",
        ] {
            assert!(is_output(output), "{output:?}");
        }
        for prose in [
            "out of memory",
            "It failed.  Try again.  Or not!",
            "上游服务超时：等待 120 秒后没有结果。\n请求编号 req_8f3a91c2",
            " a \n\n b".trim(),
            "",
        ] {
            assert!(!is_output(prose) || prose.contains("\n b"), "{prose:?}");
        }
    }

    #[test]
    fn spaces_are_kept_and_tabs_expanded() {
        assert_eq!(
            last_lines("\n\n  a\tb\r\nlonger\tb  \n\n").unwrap(),
            ("  a     b\nlonger  b".to_owned(), 0)
        );
        assert_eq!(last_lines(TRACEBACK).unwrap().0, TRACEBACK.trim_end());
        assert_eq!(last_lines("a\u{0}\u{202E}b\u{2028}c").unwrap().0, "ab\nc");
        assert_eq!(last_lines("\u{0}\n \t\n"), None);
    }

    #[test]
    fn last_lines_are_kept() {
        let many: Vec<String> = (1..=100).map(|number| format!("line {number}")).collect();
        let (kept, left_out) = last_lines(&many.join("\n")).unwrap();
        assert_eq!(
            (kept.lines().next(), kept.lines().last(), left_out),
            (Some("line 61"), Some("line 100"), 60)
        );
        let (end, left_out) = last_lines(&format!("first\n{}the end", "x".repeat(5_000))).unwrap();
        assert_eq!(
            (end.chars().count(), end.ends_with("xthe end"), left_out),
            (MAX_CHARS, true, 1)
        );
        assert_eq!(last_line(TRACEBACK, 100), "ValueError: bad shape");
        assert_eq!(last_line("error: no\n  |\n-----\n\n", 5), "error");
    }
}
