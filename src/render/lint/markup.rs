//! HTML in pieces, read as forgivingly as mail programs read it: what is not closed ends with the text, and nothing is an error.

use crate::domain::event::message::markup::comment_end;

/// One step through a document, with the line that it begins on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) line: usize,
    pub(super) what: What<'a>,
}

/// What a piece is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum What<'a> {
    /// An opening tag.
    Open(Tag<'a>),
    /// A closing tag, its name in lower case.
    Close(String),
    /// Text, as it is written.
    Text(&'a str),
    /// What stands in `<style>`.
    Style(&'a str),
}

/// A tag with its attributes, names in lower case, values as they are written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tag<'a> {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, &'a str)>,
}

impl<'a> Tag<'a> {
    /// The value of an attribute; of one that stands twice the first counts, as in browsers.
    pub(super) fn attribute(&self, name: &str) -> Option<&'a str> {
        self.attributes.iter().find(|(own, _)| own == name).map(|(_, value)| *value)
    }

    /// Whether nothing can stand in it.
    pub(super) fn is_void(&self) -> bool {
        matches!(self.name.as_str(), "area" | "base" | "br" | "col" | "embed" | "hr" | "img" | "input" | "link" | "meta" | "source" | "track" | "wbr")
            || self.name.starts_with(['!', '?'])
    }
}

/// Takes a document apart. Comments are left out, with what they keep for one mail program only.
pub(super) fn pieces(html: &str) -> Vec<Piece<'_>> {
    let mut reader = Reader { html, at: 0, line: 1, counted: 0, pieces: Vec::new() };
    while reader.at < html.len() {
        reader.step();
    }
    reader.pieces
}

struct Reader<'a> {
    html: &'a str,
    at: usize,
    line: usize,
    counted: usize,
    pieces: Vec<Piece<'a>>,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.html.get(self.at..).unwrap_or_default()
    }

    fn push(&mut self, what: What<'a>) {
        let passed = self.html.get(self.counted..self.at).unwrap_or_default();
        self.line += passed.bytes().filter(|byte| *byte == b'\n').count();
        self.counted = self.at;
        self.pieces.push(Piece { line: self.line, what });
    }

    fn step(&mut self) {
        let rest = self.rest();
        let begins_tag = |text: &str| text.starts_with("<!") || text.trim_start_matches(['<', '/']).starts_with(|c: char| c.is_ascii_alphabetic());
        let end = rest.match_indices('<').map(|(at, _)| at).find(|at| begins_tag(rest.get(*at..).unwrap_or_default())).unwrap_or(rest.len());
        if end > 0 {
            self.push(What::Text(rest.get(..end).unwrap_or_default()));
            self.at += end;
        } else if let Some(after) = rest.strip_prefix("<!--") {
            self.at += rest.len() - after.len() + comment_end(after);
        } else {
            self.tag(rest);
        }
    }

    fn tag(&mut self, rest: &'a str) {
        let (tag, closes, length) = read_tag(rest);
        let name = tag.name.clone();
        self.push(if closes { What::Close(tag.name) } else { What::Open(tag) });
        self.at += length;
        if !closes && matches!(name.as_str(), "style" | "script" | "title") {
            let rest = self.rest();
            let end = rest.to_ascii_lowercase().find(&format!("</{name}")).unwrap_or(rest.len());
            if name == "style" {
                self.push(What::Style(rest.get(..end).unwrap_or_default()));
            }
            self.at += end;
        }
    }
}

/// A tag from its `<`, whether it closes, and its length in bytes.
fn read_tag(text: &str) -> (Tag<'_>, bool, usize) {
    let closes = text.starts_with("</");
    let from = if closes { 2 } else { 1 };
    let name_end = text.get(from..).and_then(|rest| rest.find(|c: char| c.is_whitespace() || c == '>' || c == '/')).map_or(text.len(), |end| from + end);
    let mut tag = Tag { name: text.get(from..name_end).unwrap_or_default().to_ascii_lowercase(), attributes: Vec::new() };
    let mut at = name_end;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let trimmed = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        at += rest.len() - trimmed.len();
        if trimmed.is_empty() {
            return (tag, closes, text.len());
        }
        if trimmed.starts_with('>') {
            return (tag, closes, at + 1);
        }
        let (name, value, length) = read_attribute(trimmed);
        tag.attributes.push((name.to_ascii_lowercase(), value));
        at += length.max(1);
    }
}

/// An attribute's name, its value (empty when there is none), and its length in bytes.
fn read_attribute(text: &str) -> (&str, &str, usize) {
    let name_end = text.find(|c: char| c.is_whitespace() || matches!(c, '=' | '>' | '/')).unwrap_or(text.len());
    let name = text.get(..name_end).unwrap_or_default();
    let after = text.get(name_end..).unwrap_or_default();
    let Some(value) = after.trim_start().strip_prefix('=') else { return (name, "", name_end) };
    let value = value.trim_start();
    let from = text.len() - value.len();
    let (inside, skip) = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let inside = value.get(1..).and_then(|rest| rest.split(quote).next()).unwrap_or_default();
            (inside, 2)
        }
        _ => (value.split(|c: char| c.is_whitespace() || c == '>').next().unwrap_or_default(), 0),
    };
    (name, inside, (from + inside.len() + skip).min(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_attributes_and_lines_are_found_however_they_are_written() {
        let html = "<!DOCTYPE html>\n<!-- <b> -->\n<P class=a Title='x > y'\nhref=\"u\" hidden>1 < 2</p>";
        let found = pieces(html);
        let lines: Vec<_> = found.iter().filter(|piece| !matches!(piece.what, What::Text("\n"))).map(|piece| piece.line).collect();
        assert_eq!(lines, [1, 3, 4, 4]);
        let What::Open(tag) = &found[3].what else { panic!("{found:?}") };
        assert_eq!((tag.name.as_str(), tag.attribute("title"), tag.attribute("href"), tag.attribute("hidden")), ("p", Some("x > y"), Some("u"), Some("")));
        assert_eq!(found[4].what, What::Text("1 < 2"));
    }

    #[test]
    fn what_is_never_closed_ends_with_the_text() {
        for html in ["<", "<a", "<a href", "<a href=", "<a href=\"x", "<!--", "<!", "<style>x", "</", "a<b", "<a \u{e9}='\u{e9}"] {
            pieces(html);
        }
        assert_eq!(pieces("<STYLE>a{}</style>").len(), 3);
        for comment in ["<!-->", "<!--->", "<!-- --!>", "<!-- > -->", "<!---->"] {
            assert_eq!(pieces(&format!("{comment}<b>")).len(), 1, "{comment}");
        }
    }
}
