//! The text part of a mail whose producer wrote HTML alone.
//!
//! Made in one pass without a tree: what a parser builds of hostile HTML can be far larger than the HTML.

use std::borrow::Cow;

use crate::domain::event::message::markup::{Piece, Tag, pieces};

/// Elements whose content is not read.
const SILENT: [&str; 5] = ["script", "style", "title", "template", "head"];
/// Elements that begin and end a line.
const LINES: [&str; 13] = ["div", "tr", "li", "table", "ul", "ol", "dl", "dt", "dd", "section", "header", "footer", "pre"];
/// Elements that stand apart from what is around them.
const APART: [&str; 9] = ["p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "article"];
/// Named characters that are common in mails (HTML 4 §24); others stay as they were written.
const NAMED: [(&str, &str); 19] = [
    ("amp", "&"),
    ("lt", "<"),
    ("gt", ">"),
    ("quot", "\""),
    ("apos", "'"),
    ("nbsp", " "),
    ("copy", "©"),
    ("reg", "®"),
    ("hellip", "…"),
    ("mdash", "—"),
    ("ndash", "–"),
    ("middot", "·"),
    ("bull", "•"),
    ("laquo", "«"),
    ("raquo", "»"),
    ("ldquo", "“"),
    ("rdquo", "”"),
    ("times", "×"),
    ("yen", "¥"),
];

/// What HTML says, as lines of text: blocks apart, list items marked, links with their address behind them.
pub(super) fn text(html: &str) -> String {
    let mut twin = Twin::default();
    for piece in pieces(html) {
        match piece {
            Piece::Text(text) if twin.silent == 0 => twin.say(&decoded(text)),
            Piece::Text(_) => {}
            Piece::Tag(tag) => twin.tag(&tag),
        }
    }
    twin.out.truncate(twin.out.trim_end().len());
    twin.out
}

#[derive(Default)]
struct Twin {
    out: String,
    /// Line ends owed before the next word.
    owed: usize,
    /// Whether a blank is owed before the next word.
    blank: bool,
    /// How many silent elements are open.
    silent: usize,
    /// Where the link leads that is open, and where its words began.
    link: Option<(String, usize)>,
}

impl Twin {
    fn tag(&mut self, tag: &Tag<'_>) {
        let name = tag.name();
        let name = name.as_str();
        if APART.contains(&name) || LINES.contains(&name) {
            // No head has these in it: one that was not closed has ended.
            self.silent = 0;
        }
        if SILENT.contains(&name) {
            self.silent = if tag.closing { self.silent.saturating_sub(1) } else { self.silent + 1 };
        } else if name == "body" {
            // A head that was never closed ends here.
            self.silent = 0;
        } else if name == "br" {
            self.owed += 1;
        } else if APART.contains(&name) {
            self.owed = self.owed.max(2);
        } else if LINES.contains(&name) {
            self.owed = self.owed.max(1);
            if name == "li" && !tag.closing {
                self.say("- ");
            }
        } else if name == "td" || name == "th" {
            self.blank = true;
        } else if name == "a" {
            self.link(tag);
        } else if name == "img"
            && let Some(alt) = tag.attribute("alt")
        {
            self.say(&decoded(alt));
        }
    }

    fn link(&mut self, tag: &Tag<'_>) {
        if let Some((address, begun)) = self.link.take() {
            let said = self.out.get(begun..).unwrap_or_default().trim();
            if said != address {
                self.say(&format!(" <{address}>"));
            }
        }
        if !tag.closing {
            let address = tag.attribute("href").map(|href| decoded(href.trim()).into_owned());
            let leads = |address: &String| {
                ["http://", "https://", "mailto:"].iter().any(|scheme| address.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme)))
            };
            self.link = address.filter(leads).map(|address| (address, self.out.len()));
        }
    }

    /// Adds words; white space of any length is one blank.
    fn say(&mut self, text: &str) {
        self.blank |= text.starts_with(|c: char| c.is_ascii_whitespace());
        for word in text.split_ascii_whitespace() {
            if self.owed > 0 && !self.out.is_empty() {
                self.out.push_str(if self.owed > 1 { "\n\n" } else { "\n" });
            } else if self.blank && !self.out.is_empty() && !self.out.ends_with(['\n', ' ']) {
                self.out.push(' ');
            }
            self.out.push_str(word);
            (self.owed, self.blank) = (0, true);
        }
        self.blank = text.ends_with(|c: char| c.is_ascii_whitespace()) || (self.blank && text.trim_ascii().is_empty());
    }
}

/// The text with its character references resolved.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        // The longest reference that is known here has 8 characters.
        let end = after.bytes().take(10).position(|byte| byte == b';');
        let found = end.and_then(|end| Some((reference(after.get(..end)?)?, after.get(end + 1..)?)));
        rest = if let Some((character, after)) = found {
            out.push_str(&character);
            after
        } else {
            out.push('&');
            after
        };
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn reference(name: &str) -> Option<Cow<'static, str>> {
    let Some(number) = name.strip_prefix('#') else {
        return NAMED.iter().find(|(known, _)| *known == name).map(|(_, character)| Cow::Borrowed(*character));
    };
    let number = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => number.parse(),
    };
    number.ok().and_then(char::from_u32).map(|c| Cow::Owned(c.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_reads_as_its_words_in_lines() {
        let html = "<!DOCTYPE html><html><head><title>T</title><style>p{color:red}</style></head><body><h1>Hello &amp; welcome</h1>\
            <p>One\n  two <b>three</b>.<br>Four</p><ul><li>a<li>b</ul><table><tr><td>x</td><td>1</td></tr><tr><td>y</td><td>2</td></tr></table>\
            <!-- no --><p>See <a href=\"https://x.org/a?b=1&amp;c=2\">the page</a> or <a href='https://y.org/'>https://y.org/</a></p><img alt='A cat' src=x></body></html>";
        let wanted = "Hello & welcome\n\nOne two three.\nFour\n\n- a\n- b\nx 1\ny 2\n\nSee the page <https://x.org/a?b=1&c=2> or https://y.org/\n\nA cat";
        assert_eq!(text(html), wanted);
    }

    #[test]
    fn what_is_no_markup_stays_and_what_is_hidden_goes() {
        assert_eq!(text("1 < 2 &lt;b&gt; &#20320;&#x597D; &unknown; a&b"), "1 < 2 <b> 你好 &unknown; a&b");
        assert_eq!(text("a<script>alert('<b>')</script>b<p data-x='>'>c"), "ab\n\nc");
        assert_eq!(text("<a href='javascript:x()'>go</a>"), "go");
        assert_eq!(text("<p <b <!-- <"), "");
        assert_eq!(text("<!DOCTYPE html><html><head><title>x</title><p>Hello"), "Hello");
        assert_eq!(text("<a href=\"HTTPS://x.org/reset\">Reset</a>"), "Reset <HTTPS://x.org/reset>");
    }
}
