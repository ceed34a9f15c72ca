//! Walking HTML that a producer wrote, in one pass and without a tree: no input takes more time or room than its length.

/// One step through HTML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// What stands between two tags, not decoded.
    Text(&'a str),
    /// A tag.
    Tag(Tag<'a>),
}

/// A tag as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag<'a> {
    /// Whether it is `</…>`.
    pub(crate) closing: bool,
    name: &'a str,
    attributes: &'a str,
}

impl<'a> Tag<'a> {
    /// Its name in lower case.
    pub(crate) fn name(&self) -> String {
        self.name.to_ascii_lowercase()
    }

    /// Its attributes in order: names in lower case, values without quotes, not decoded.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = (String, &'a str)> {
        let mut rest = self.attributes;
        std::iter::from_fn(move || {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
            if rest.is_empty() {
                return None;
            }
            let after_first = rest.char_indices().nth(1).map_or(rest.len(), |(at, _)| at);
            let ends = |c: char| c.is_ascii_whitespace() || c == '=' || c == '/';
            let end = rest.get(after_first..)?.find(ends).map_or(rest.len(), |at| at + after_first);
            let (name, after) = rest.split_at(end);
            let after = after.trim_ascii_start();
            let Some(value) = after.strip_prefix('=').map(str::trim_ascii_start) else {
                rest = after;
                return Some((name.to_ascii_lowercase(), ""));
            };
            let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
            let (value, after) = match quote {
                Some(quote) => value.get(1..)?.split_once(quote).unwrap_or((value.get(1..)?, "")),
                None => value.split_at(value.find(|c: char| c.is_ascii_whitespace()).unwrap_or(value.len())),
            };
            rest = after;
            Some((name.to_ascii_lowercase(), value))
        })
    }

    /// The value of an attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<&'a str> {
        self.attributes().find(|(found, _)| found == name).map(|(_, value)| value)
    }
}

/// Elements whose content is no markup.
const RAW: [&str; 5] = ["script", "style", "title", "textarea", "xmp"];

/// Walks HTML; comments and declarations are passed over, a tag without its end is the end.
pub(crate) fn pieces(html: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = html;
    let mut raw: Option<&'static str> = None;
    std::iter::from_fn(move || {
        loop {
            if rest.is_empty() {
                return None;
            }
            if let Some(end) = raw.take().map(|name| raw_end(rest, name)).filter(|end| *end > 0) {
                let (text, after) = rest.split_at(end);
                rest = after;
                return Some(Piece::Text(text));
            }
            let start = next_tag(rest);
            if start > 0 {
                let (text, after) = rest.split_at(start);
                rest = after;
                return Some(Piece::Text(text));
            }
            if let Some(after) = rest.strip_prefix("<!--") {
                rest = after.get(comment_end(after)..).unwrap_or_default();
                continue;
            }
            if rest.starts_with("<!") || rest.starts_with("<?") {
                rest = rest.split_once('>').map_or("", |(_, after)| after);
                continue;
            }
            let (tag, after) = tag(rest)?;
            rest = after;
            raw = RAW.into_iter().find(|name| !tag.closing && tag.name.eq_ignore_ascii_case(name));
            return Some(Piece::Tag(tag));
        }
    })
}

/// Where the next tag, comment or declaration begins: at `<` before a letter, `/` with a letter, `!` or `?`.
fn next_tag(text: &str) -> usize {
    let bytes = text.as_bytes();
    let begins = |at: &usize| match bytes.get(at + 1) {
        Some(b'/') => bytes.get(at + 2).is_some_and(u8::is_ascii_alphabetic),
        Some(next) => next.is_ascii_alphabetic() || matches!(next, b'!' | b'?'),
        None => false,
    };
    text.match_indices('<').map(|(at, _)| at).find(begins).unwrap_or(text.len())
}

/// Behind the comment whose `<!--` stands before `text`. By HTML's rules `<!-->`, `<!--->` and `--!>` end one as `-->` does.
pub(crate) fn comment_end(text: &str) -> usize {
    let ends = |at: &usize| {
        let before = text.get(..*at).unwrap_or_default();
        matches!(before, "" | "-") || before.ends_with("--") || before.ends_with("--!")
    };
    text.match_indices('>').map(|(at, _)| at).find(ends).map_or(text.len(), |at| at + 1)
}

/// Where the content of a raw element ends.
fn raw_end(text: &str, name: &str) -> usize {
    let ends = |at: &usize| text.get(at + 2..at + 2 + name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name));
    text.match_indices("</").map(|(at, _)| at).find(ends).unwrap_or(text.len())
}

/// The tag at the start of `text`, and what follows it. A `>` within quotes does not end it.
fn tag(text: &str) -> Option<(Tag<'_>, &str)> {
    let closing = text.starts_with("</");
    let inside = text.get(if closing { 2 } else { 1 }..)?;
    let name_end = inside.find(|c: char| c.is_ascii_whitespace() || c == '/' || c == '>').unwrap_or(inside.len());
    let (name, after) = inside.split_at(name_end);
    let mut quote = None;
    let mut value_begins = false;
    for (at, c) in after.char_indices() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '>') => return Some((Tag { closing, name, attributes: after.get(..at)? }, after.get(at + 1..)?)),
            (None, '"' | '\'') if value_begins => quote = Some(c),
            _ => {}
        }
        value_begins = c == '=' || (value_begins && c.is_ascii_whitespace());
    }
    None
}
