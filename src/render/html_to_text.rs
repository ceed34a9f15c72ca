//! Derives the missing part of a mail: text from HTML, or HTML from text.
//!
//! HTML is converted in one pass without building a tree, because the tree of hostile HTML can be
//! far larger than the HTML.

use crate::domain::Locale;
use crate::domain::html::{Tag, TokenKind, tokens};

/// Elements whose content is skipped.
const SILENT: [&str; 5] = ["script", "style", "title", "template", "head"];
/// Elements that start and end a line.
const LINES: [&str; 13] = [
    "div", "tr", "li", "table", "ul", "ol", "dl", "dt", "dd", "section", "header", "footer", "pre",
];
/// Elements surrounded by empty lines.
const APART: [&str; 9] = [
    "p",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "blockquote",
    "article",
];
/// Converts HTML to lines of text: blocks separated, list items marked, links followed by their
/// address.
pub(crate) fn text(html: &str) -> String {
    let mut twin = Twin::default();
    for token in tokens(html) {
        match token.kind {
            TokenKind::Text(text) if twin.silent == 0 => twin.say(&text),
            TokenKind::Open(tag) => twin.tag(&tag, false),
            TokenKind::Close(name) => twin.tag(
                &Tag {
                    name,
                    attributes: Vec::new(),
                },
                true,
            ),
            _ => {}
        }
    }
    twin.out.truncate(twin.out.trim_end().len());
    twin.out
}

/// An HTML document that shows a text unchanged, keeping lines and spaces.
pub(crate) fn html(text: &str, language: Option<Locale>) -> String {
    let escaped = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let font = "-apple-system,'Segoe UI','PingFang SC','Microsoft YaHei',Arial,sans-serif";
    document(
        &format!(
            "<div dir=\"auto\" style=\"white-space:pre-wrap;font-family:{font};font-size:15px;line-height:24px\">{escaped}</div>"
        ),
        language,
    )
}

/// Returns HTML as given; a fragment is wrapped in a document.
pub(crate) fn document(html: &str, language: Option<Locale>) -> String {
    let is_document = |what: &TokenKind| matches!(what, TokenKind::Open(tag) if matches!(tag.name.as_str(), "html" | "body" | "head"));
    if tokens(html).iter().any(|token| is_document(&token.kind)) {
        return html.to_owned();
    }
    let lang = language.map_or_else(String::new, |locale| format!(" lang=\"{locale}\""));
    format!(
        "<!DOCTYPE html>\n<html{lang}><head><meta charset=\"utf-8\"></head><body>\n{html}\n</body>\n</html>\n"
    )
}

#[derive(Default)]
struct Twin {
    out: String,
    /// Line ends to write before the next word.
    owed: usize,
    /// Whether a space is due before the next word.
    blank: bool,
    /// Number of open skipped elements.
    silent: usize,
    /// Target of the open link, and where its text starts in the output.
    link: Option<(String, usize)>,
}

impl Twin {
    fn tag(&mut self, tag: &Tag, closing: bool) {
        let name = tag.name.as_str();
        if APART.contains(&name) || LINES.contains(&name) {
            // No head contains these, so an unclosed one has ended.
            self.silent = 0;
        }
        if SILENT.contains(&name) {
            self.silent = if closing {
                self.silent.saturating_sub(1)
            } else {
                self.silent + 1
            };
        } else if name == "body" {
            // An unclosed head ends here.
            self.silent = 0;
        } else if name == "br" {
            self.owed += 1;
        } else if APART.contains(&name) {
            self.owed = self.owed.max(2);
        } else if LINES.contains(&name) {
            self.owed = self.owed.max(1);
            if name == "li" && !closing {
                self.say("- ");
            }
        } else if name == "td" || name == "th" {
            self.blank = true;
        } else if name == "a" {
            self.link(tag, closing);
        } else if name == "img"
            && let Some(alt) = tag.attribute("alt")
        {
            self.say(alt);
        }
    }

    fn link(&mut self, tag: &Tag, closing: bool) {
        if let Some((address, begun)) = self.link.take() {
            let said = self.out.get(begun..).unwrap_or_default().trim();
            if said != address {
                self.say(&format!(" <{address}>"));
            }
        }
        if !closing {
            let address = tag.attribute("href").map(|href| href.trim().to_owned());
            let leads = |address: &String| {
                ["http://", "https://", "mailto:"].iter().any(|scheme| {
                    address
                        .get(..scheme.len())
                        .is_some_and(|head| head.eq_ignore_ascii_case(scheme))
                })
            };
            self.link = address
                .filter(leads)
                .map(|address| (address, self.out.len()));
        }
    }

    /// Appends text, collapsing white space.
    fn say(&mut self, text: &str) {
        let is_blank = |c: char| c.is_ascii_whitespace() || c == '\u{A0}';
        self.blank |= text.starts_with(is_blank);
        for word in text.split(is_blank).filter(|word| !word.is_empty()) {
            if self.owed > 0 && !self.out.is_empty() {
                self.out.push_str(if self.owed > 1 { "\n\n" } else { "\n" });
            } else if self.blank && !self.out.is_empty() && !self.out.ends_with(['\n', ' ']) {
                self.out.push(' ');
            }
            self.out.push_str(word);
            (self.owed, self.blank) = (0, true);
        }
        self.blank =
            text.ends_with(is_blank) || (self.blank && text.trim_matches(is_blank).is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_becomes_lines_of_text() {
        let html = "<!DOCTYPE html><html><head><title>T</title><style>p{color:red}</style></head><body><h1>Hello &amp; welcome</h1>\
            <p>One\n  two <b>three</b>.<br>Four</p><ul><li>a<li>b</ul><table><tr><td>x</td><td>1</td></tr><tr><td>y</td><td>2</td></tr></table>\
            <!-- no --><p>See <a href=\"https://x.org/a?b=1&amp;c=2\">the page</a> or <a href='https://y.org/'>https://y.org/</a></p><img alt='A cat' src=x></body></html>";
        let wanted = "Hello & welcome\n\nOne two three.\nFour\n\n- a\n- b\nx 1\ny 2\n\nSee the page <https://x.org/a?b=1&c=2> or https://y.org/\n\nA cat";
        assert_eq!(text(html), wanted);
    }

    #[test]
    fn plain_text_stays_and_hidden_content_is_dropped() {
        assert_eq!(
            text("1 < 2 &lt;b&gt; &#20320;&#x597D; &unknown; a&b"),
            "1 < 2 <b> 你好 &unknown; a&b"
        );
        assert_eq!(
            text("a<script>alert('<b>')</script>b<p data-x='>'>c"),
            "ab\n\nc"
        );
        assert_eq!(text("<a href='javascript:x()'>go</a>"), "go");
        assert_eq!(text("<p <b <!-- <"), "");
        assert_eq!(
            text("<!DOCTYPE html><html><head><title>x</title><p>Hello"),
            "Hello"
        );
        assert_eq!(
            text("<a href=\"HTTPS://x.org/reset\">Reset</a>"),
            "Reset <HTTPS://x.org/reset>"
        );
    }
}
