//! Template filters: `breakable` for HTML, `wrap` and `hanging_indent` for text. Pure; they write
//! directly to the output.

use std::fmt::{self, Write};

use askama::{FastWritable, Values, filters::HtmlSafe};

use super::text::{JOINER, columns, columns_of};

/// Line width of the text part (RFC 5322 section 2.1.1 recommends at most 78).
pub(super) const WIDTH: usize = 76;
/// The column at which the values of facts start in the text part.
pub(super) const HANG: usize = 12;
/// `breakable` adds a break opportunity after this many characters without any.
const RUN: usize = 20;

/// Escapes for HTML, turns line ends into `<br>`, and adds `<wbr>` to long words, preferably after
/// a separator, because few mail clients break them otherwise.
pub(super) fn breakable(text: &(impl AsRef<str> + ?Sized)) -> Breakable<'_> {
    Breakable(text.as_ref())
}

/// Wraps at 76 columns; links stay whole.
pub(super) fn wrap(text: &(impl AsRef<str> + ?Sized)) -> Wrapped<'_> {
    Wrapped {
        text: text.as_ref(),
        hang: 0,
    }
}

/// Wraps the value of a fact, which starts at column 12, at 76 columns; continuation lines are
/// indented to the same column.
pub(super) fn hanging_indent(text: &(impl AsRef<str> + ?Sized)) -> Wrapped<'_> {
    Wrapped {
        text: text.as_ref(),
        hang: HANG,
    }
}

/// Displays the text as [`breakable`] describes.
pub(super) struct Breakable<'a>(&'a str);

impl HtmlSafe for Breakable<'_> {}

impl Breakable<'_> {
    fn write(&self, out: &mut (impl Write + ?Sized)) -> fmt::Result {
        let text = self.0;
        let (mut from, mut run) = (0, 0);
        // End of the last separator of this run, and the run's length up to it.
        let mut separator = None;
        for (index, c) in text.char_indices() {
            let instead = match c {
                '&' => "&amp;",
                '<' => "&lt;",
                '>' => "&gt;",
                '"' => "&quot;",
                '\'' => "&#39;",
                '\n' => "<br>",
                _ => "",
            };
            match if c.is_ascii() { 1 } else { columns_of(c) } {
                1 if c != ' ' && c != '\n' => run += 1,
                0 => {}
                _ => (run, separator) = (0, None),
            }
            if run > RUN {
                let (at, left) = separator
                    .take()
                    .filter(|(at, _)| *at >= from)
                    .map_or((index, 1), |(at, length)| (at, run - length));
                out.write_str(text.get(from..at).unwrap_or_default())?;
                out.write_str("<wbr>")?;
                (from, run) = (at, left);
            }
            if !instead.is_empty() {
                out.write_str(text.get(from..index).unwrap_or_default())?;
                out.write_str(instead)?;
                from = index + 1;
            }
            if matches!(c, '/' | '-' | '_' | '.' | ':' | '?' | '&' | '=' | ',') {
                separator = Some((index + 1, run));
            }
        }
        out.write_str(text.get(from..).unwrap_or_default())
    }
}

/// Displays the text as [`wrap`] and [`hanging_indent`] describe.
pub(super) struct Wrapped<'a> {
    text: &'a str,
    hang: usize,
}

impl Wrapped<'_> {
    fn write(&self, out: &mut (impl Write + ?Sized)) -> fmt::Result {
        let limit = WIDTH - self.hang;
        for (number, line) in self.text.split('\n').enumerate() {
            if number > 0 {
                self.new_line(out)?;
            }
            if line.len() <= limit {
                out.write_str(line)?;
            } else {
                self.fold(out, line, limit)?;
            }
        }
        Ok(())
    }

    fn new_line(&self, out: &mut (impl Write + ?Sized)) -> fmt::Result {
        write!(out, "\n{:1$}", "", self.hang)
    }

    /// Folds one long line, writing each piece as a slice.
    fn fold(&self, out: &mut (impl Write + ?Sized), line: &str, limit: usize) -> fmt::Result {
        let (mut start, mut at, mut column) = (0, 0, 0);
        while let Some(rest) = line.get(at..).filter(|rest| !rest.is_empty()) {
            let blanks = rest.len() - rest.trim_start_matches(' ').len();
            let from = at + blanks;
            let end = from + line.get(from..).map_or(0, atom);
            let word = line.get(from..end).unwrap_or_default();
            let width = columns(word);
            if column + blanks > 0 && column + blanks + width > limit {
                self.end_line(out, line.get(start..at))?;
                (start, column) = (from, 0);
            } else {
                column += blanks;
            }
            if width <= limit || word.contains("://") {
                column += width;
            } else {
                for (index, c) in word.char_indices() {
                    let width = columns_of(c);
                    if column + width > limit {
                        self.end_line(out, line.get(start..from + index))?;
                        (start, column) = (from + index, 0);
                    }
                    column += width;
                }
            }
            at = end;
        }
        out.write_str(line.get(start..).unwrap_or_default())
    }

    fn end_line(&self, out: &mut (impl Write + ?Sized), line: Option<&str>) -> fmt::Result {
        out.write_str(line.unwrap_or_default())?;
        self.new_line(out)
    }
}

/// Length in bytes of an unbreakable unit: a word, or a wide character with the punctuation that
/// may not start a line.
fn atom(text: &str) -> usize {
    let mut chars = text.char_indices();
    let Some((_, first)) = chars.next() else {
        return 0;
    };
    let wide = columns_of(first) == 2;
    let mut before = first;
    for (index, c) in chars {
        let stays = match columns_of(c) {
            0 => true,
            1 => !wide && c != ' ',
            _ => {
                before == JOINER
                    || (wide
                        && matches!(
                            c,
                            '，' | '。'
                                | '、'
                                | '；'
                                | '：'
                                | '？'
                                | '！'
                                | '）'
                                | '》'
                                | '」'
                                | '』'
                                | '】'
                                | '〉'
                                | '〕'
                        ))
            }
        };
        if !stays {
            return index;
        }
        before = c;
    }
    text.len()
}

macro_rules! written {
    ($($name:ident),+) => {$(
        impl fmt::Display for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.write(f)
            }
        }

        impl FastWritable for $name<'_> {
            fn write_into(&self, dest: &mut dyn Write, _: &dyn Values) -> askama::Result<()> {
                Ok(self.write(dest)?)
            }
        }
    )+};
}
written!(Breakable, Wrapped);

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(text: &str, hang: usize) -> String {
        Wrapped { text, hang }.to_string()
    }

    #[test]
    fn breakable_text_cannot_become_markup() {
        assert_eq!(
            Breakable("<script>\"a\" & 'b'\n{{x}}").to_string(),
            "&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;<br>{{x}}"
        );
    }

    #[test]
    fn breakable_text_splits_long_words_but_not_emoji() {
        assert_eq!(
            Breakable(&"a".repeat(45)).to_string(),
            format!("{0}<wbr>{0}<wbr>aaaaa", "a".repeat(20))
        );
        assert!(
            !Breakable(&"👨\u{200D}👩".repeat(50))
                .to_string()
                .contains("<wbr>")
        );
        assert_eq!(
            Breakable("google/gemini-2.5-flash-image").to_string(),
            "google/gemini-2.5-<wbr>flash-image"
        );
        assert_eq!(
            Breakable("https://x.org/?a=1234&b=12345").to_string(),
            "https://x.org/?a=<wbr>1234&amp;b=12345"
        );
        assert_eq!(
            Breakable(&"<".repeat(21)).to_string(),
            format!("{}<wbr>&lt;", "&lt;".repeat(20))
        );
    }

    #[test]
    fn wrapped_text_stays_in_its_columns_and_links_stay_whole() {
        let link = format!("https://img.example.com/{}", "x".repeat(100));
        let text = format!(
            "{} {link} {}",
            "some words ".repeat(20),
            "一二三四，五六七八。".repeat(12)
        );
        let out = wrapped(&text, 0);
        assert!(out.contains(&link));
        for line in out.lines() {
            assert!(columns(line) <= WIDTH || line.contains("://"), "{line}");
            assert!(!line.starts_with(['，', '。', ' ']), "{line}");
        }
        assert_eq!(out.replace(['\n', ' '], ""), text.replace(' ', ""));
    }

    #[test]
    fn overlong_word_is_split_and_indented() {
        let out = wrapped(&"x".repeat(100), HANG);
        assert_eq!(
            out,
            format!("{}\n{}{}", "x".repeat(64), " ".repeat(12), "x".repeat(36))
        );
    }
}
