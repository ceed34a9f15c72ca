//! The text of somebody's query, without the values in it, which may be anybody's data.

/// How many characters are shown.
const LONGEST: usize = 120;

/// The query on one line: strings and numbers are `?`, comments are left out, the end is cut off.
pub(super) fn shown(query: &str) -> String {
    let plain = without_values(query);
    let mut words = plain.split_whitespace();
    let mut line = words.next().unwrap_or_default().to_owned();
    for word in words {
        line.push(' ');
        line.push_str(word);
    }
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

fn without_values(query: &str) -> String {
    let mut plain = String::new();
    let mut rest = query;
    while let Some(first) = rest.chars().next() {
        let in_word = plain.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '"');
        let length = match first {
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => comment(rest),
            '\'' => {
                // The prefix of E'…', X'…' and the like.
                let escapes = plain.ends_with(['e', 'E']);
                plain.push('?');
                string(rest, escapes)
            }
            '$' if !in_word && let Some(length) = dollar_string(rest) => {
                plain.push('?');
                length
            }
            '0'..='9' if !in_word && !plain.ends_with('$') => {
                plain.push('?');
                let is_number = |c: char| c.is_ascii_alphanumeric() || c == '.';
                rest.find(|c| !is_number(c)).unwrap_or(rest.len())
            }
            _ => {
                plain.push(first);
                first.len_utf8()
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    plain
}

/// The length of a comment; comments nest.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of a string in single quotes. PostgreSQL cuts off long queries, so it may have no end.
fn string(text: &str, escapes: bool) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if escapes => drop(chars.next()),
            '\'' if chars.peek().is_some_and(|(_, next)| *next == '\'') => drop(chars.next()),
            '\'' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a string in dollar quotes, such as `$tag$…$tag$`.
fn dollar_string(text: &str) -> Option<usize> {
    let tag_end = text.get(1..)?.find('$')? + 2;
    let tag = text.get(..tag_end)?;
    let name = tag.trim_matches('$');
    let is_tag = !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if !is_tag {
        return None;
    }
    let end = text.get(tag_end..)?.find(tag);
    Some(end.map_or(text.len(), |end| end + 2 * tag_end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_comments_are_not_shown() {
        for (query, expected) in [
            ("SELECT 1", "SELECT ?"),
            (
                "SELECT *\n  FROM t1 WHERE mail = 'a@b.example' AND n > 12.5e3 -- secret\n LIMIT 3",
                "SELECT * FROM t1 WHERE mail = ? AND n > ? LIMIT ?",
            ),
            ("SELECT 'it''s', E'a\\'b', x", "SELECT ?, E?, x"),
            ("SELECT $1, $2::text", "SELECT $1, $2::text"),
            (
                "SELECT $$secret$$, $a$se$$cret$a$ FROM t",
                "SELECT ?, ? FROM t",
            ),
            ("/* by /* me */ secret */ COMMIT", "COMMIT"),
            (
                "INSERT INTO \"T 2\" VALUES ('cut off",
                "INSERT INTO \"T ?\" VALUES (?",
            ),
            ("SELECT '密码', 甲 FROM 表1", "SELECT ?, 甲 FROM 表1"),
            ("", ""),
        ] {
            assert_eq!(shown(query), expected, "{query}");
        }
    }

    #[test]
    fn long_query_is_cut_off() {
        let text = shown(&format!("SELECT {}", "列 ".repeat(400)));
        assert_eq!(text.chars().count(), LONGEST + 1);
        assert!(text.ends_with('…'));
    }
}
