//! HTML tokens, produced by `html5gum`, which follows the WHATWG algorithm as browsers do.
//!
//! The HTML policy, the text conversion and the linter all read HTML through this module, so that
//! they agree and none sees a tag where another sees text. No tree is built: time and memory are
//! linear in the input.

use std::convert::Infallible;

use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Error, Span, Tokenizer};

/// One token with the line it starts on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// Line number, from 1.
    pub(crate) line: usize,
    /// The token.
    pub(crate) kind: TokenKind,
}

/// Kind of a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// An opening tag.
    Open(Tag),
    /// A closing tag, its name in lower case.
    Close(String),
    /// Text with character references decoded.
    Text(String),
    /// Content of an element whose content is not markup, such as `<style>`: name and content.
    Raw(String, String),
    /// A comment.
    Comment(String),
    /// A declaration parsed as a comment, such as `<?xml …>` or `<![if …]>`.
    Declaration(String),
    /// Something that has no end: a tag, a quoted value, a comment, an element such as `<style>`.
    Unfinished(String),
    /// Quotes, brackets or an equals sign that mail clients interpret differently.
    Ambiguous(&'static str),
}

/// A tag with its attributes in order, including duplicates. Names in lower case, values
/// with character references resolved.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tag {
    /// Its name in lower case.
    pub(crate) name: String,
    /// Its attributes.
    pub(crate) attributes: Vec<(String, String)>,
}

impl Tag {
    /// The value of an attribute; of duplicates the first one, as in browsers.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether the element cannot have content.
    pub(crate) fn is_void(&self) -> bool {
        matches!(
            self.name.as_str(),
            "area"
                | "base"
                | "br"
                | "col"
                | "embed"
                | "hr"
                | "img"
                | "input"
                | "link"
                | "meta"
                | "source"
                | "track"
                | "wbr"
        )
    }
}

/// Elements whose content is not markup.
const RAW: [&str; 9] = [
    "script",
    "style",
    "title",
    "textarea",
    "xmp",
    "iframe",
    "noembed",
    "noframes",
    "plaintext",
];

/// Tokenizes a document or a fragment.
pub(crate) fn tokens(html: &str) -> Vec<Token> {
    let mut reader = Reader {
        html,
        line: 1,
        counted: 0,
        tokens: Vec::new(),
        tag: None,
        raw: None,
        declaration: false,
    };
    let mut emitter = CallbackEmitter::<_, Infallible, usize>::new(
        |event: CallbackEvent<'_>, span: Span<usize>| {
            reader.token(&event, span.start);
            None
        },
    );
    emitter.naively_switch_states(true);
    // Reading from memory cannot fail.
    Tokenizer::new_with_emitter(html, emitter)
        .finish()
        .unwrap_or_default();
    if let Some(name) = reader.raw.take() {
        reader.push(html.len(), TokenKind::Unfinished(format!("<{name}>")));
    }
    reader.tokens
}

struct Reader<'a> {
    html: &'a str,
    line: usize,
    counted: usize,
    tokens: Vec<Token>,
    tag: Option<(usize, Tag)>,
    raw: Option<String>,
    /// Whether the next comment was not opened by `<!--`.
    declaration: bool,
}

impl Reader<'_> {
    fn push(&mut self, at: usize, kind: TokenKind) {
        let passed = self
            .html
            .as_bytes()
            .get(self.counted..at)
            .unwrap_or_default();
        self.line += passed.split(|byte| *byte == b'\n').count() - 1;
        self.counted = self.counted.max(at);
        self.tokens.push(Token {
            line: self.line,
            kind,
        });
    }

    fn token(&mut self, event: &CallbackEvent<'_>, at: usize) {
        match event {
            CallbackEvent::OpenStartTag { name } => {
                let tag = Tag {
                    name: text(name),
                    attributes: Vec::new(),
                };
                self.tag = Some((at, tag));
            }
            CallbackEvent::AttributeName { name } => {
                // Attributes of a closing tag are allowed and ignored.
                if let Some((_, tag)) = &mut self.tag {
                    tag.attributes.push((text(name), String::new()));
                }
            }
            CallbackEvent::AttributeValue { value } => {
                if let Some((_, own)) = self
                    .tag
                    .as_mut()
                    .and_then(|(_, tag)| tag.attributes.last_mut())
                {
                    *own = text(value);
                }
            }
            CallbackEvent::CloseStartTag { .. } => {
                if let Some((at, tag)) = self.tag.take() {
                    self.raw = RAW.contains(&tag.name.as_str()).then(|| tag.name.clone());
                    self.push(at, TokenKind::Open(tag));
                }
            }
            CallbackEvent::EndTag { name } => {
                (self.tag, self.raw) = (None, None);
                self.push(at, TokenKind::Close(text(name)));
            }
            CallbackEvent::String { value } => {
                let kind = self.raw.clone().map_or_else(
                    || TokenKind::Text(text(value)),
                    |name| TokenKind::Raw(name, text(value)),
                );
                self.push(at, kind);
            }
            CallbackEvent::Comment { value } => self.comment(text(value), at),
            CallbackEvent::Doctype { .. } => {}
            CallbackEvent::Error(error) => self.error(*error, at),
        }
    }

    fn comment(&mut self, text: String, at: usize) {
        if !std::mem::take(&mut self.declaration) {
            return self.push(at, TokenKind::Comment(text));
        }
        // The tokenizer reports no error when the input ends within a declaration.
        if !self.html.get(at..).is_some_and(|rest| rest.contains('>')) {
            self.push(at, TokenKind::Unfinished("a declaration".to_owned()));
        }
        self.push(at, TokenKind::Declaration(text));
    }

    fn error(&mut self, error: Error, at: usize) {
        let kind = match error {
            Error::EofInTag | Error::EofBeforeTagName => TokenKind::Unfinished("a tag".to_owned()),
            Error::EofInComment | Error::EofInCdata | Error::EofInScriptHtmlCommentLikeText => {
                TokenKind::Unfinished("a comment".to_owned())
            }
            Error::EofInDoctype => TokenKind::Unfinished("a document type".to_owned()),
            Error::UnexpectedCharacterInAttributeName => {
                TokenKind::Ambiguous("a quote or < within the name of an attribute")
            }
            Error::UnexpectedEqualsSignBeforeAttributeName => {
                TokenKind::Ambiguous("an equals sign before an attribute")
            }
            Error::CdataInHtmlContent => TokenKind::Ambiguous("a CDATA section"),
            Error::InvalidCharacterSequenceAfterDoctypeName => {
                TokenKind::Ambiguous("a document type with more than names")
            }
            // Of the characters reported by this error, a second `=` is common in links and
            // harmless.
            Error::UnexpectedCharacterInUnquotedAttributeValue
                if self.html.as_bytes().get(at.wrapping_sub(1)) != Some(&b'=') =>
            {
                TokenKind::Ambiguous("a quote or < within a value that has no quotes around it")
            }
            Error::IncorrectlyOpenedComment
            | Error::UnexpectedQuestionMarkInsteadOfTagName
            | Error::InvalidFirstCharacterOfTagName => {
                self.declaration = error != Error::InvalidFirstCharacterOfTagName
                    || self.html.as_bytes().get(at.wrapping_sub(2)) == Some(&b'/');
                return;
            }
            _ => return,
        };
        self.push(at, kind);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(html: &str) -> Vec<TokenKind> {
        tokens(html).into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn tags_attributes_and_lines_are_found_in_any_spelling() {
        let found = tokens(
            "<!DOCTYPE html>\n<!-- <b> -->\n<P class=a Title='x &gt; y'\nhref=\"u\" hidden>1 < 2</p>",
        );
        let lines: Vec<_> = found
            .iter()
            .filter(|token| token.kind != TokenKind::Text("\n".to_owned()))
            .map(|token| token.line)
            .collect();
        assert_eq!(lines, [2, 3, 4, 4]);
        let TokenKind::Open(tag) = &found[found.len() - 3].kind else {
            panic!("{found:?}")
        };
        assert_eq!(
            (
                tag.name.as_str(),
                tag.attribute("title"),
                tag.attribute("href"),
                tag.attribute("hidden")
            ),
            ("p", Some("x > y"), Some("u"), Some(""))
        );
        assert_eq!(
            found[found.len() - 2].kind,
            TokenKind::Text("1 < 2".to_owned())
        );
    }

    #[test]
    fn both_values_of_a_duplicate_attribute_are_seen() {
        let found = kinds("<a href=x href=y>");
        let TokenKind::Open(tag) = &found[0] else {
            panic!("{found:?}")
        };
        assert_eq!(
            tag.attributes,
            [
                ("href".to_owned(), "x".to_owned()),
                ("href".to_owned(), "y".to_owned())
            ]
        );
    }

    #[test]
    fn unclosed_constructs_are_reported() {
        for html in [
            "<",
            "</",
            "<a",
            "<a href",
            "<a href=",
            "<a href=\"x",
            "x<img src=x onerror=y ",
            "<!--",
            "<!-- x --",
            "<style>x",
            "<title>",
            "<!doctype",
            "<?x",
            "<!x",
            "</ x",
            "<![if mso",
        ] {
            assert!(
                kinds(html)
                    .iter()
                    .any(|kind| matches!(kind, TokenKind::Unfinished(_))),
                "{html}: {:?}",
                kinds(html)
            );
        }
        for html in [
            "<p>",
            "1 < 2",
            "<b>x",
            "a<3",
            "<STYLE>a{}</style>",
            "<!-->",
            "<!-- --!>",
        ] {
            assert!(
                !kinds(html)
                    .iter()
                    .any(|kind| matches!(kind, TokenKind::Unfinished(_))),
                "{html}: {:?}",
                kinds(html)
            );
        }
    }

    #[test]
    fn ambiguous_markup_is_reported() {
        let ambiguous = |html: &str| {
            kinds(html)
                .iter()
                .any(|kind| matches!(kind, TokenKind::Ambiguous(_)))
        };
        for html in [
            "<p class=\"a\"\">",
            "<img src=x\"onerror=y>",
            "<img alt=``onerror=y>",
            "<a ='x'>",
            "<![CDATA[<b>]]>",
            "<a <b>",
            "<!DOCTYPE x [<!ENTITY a '<b>'>]>",
        ] {
            assert!(ambiguous(html), "{html}");
        }
        for html in [
            "<a href=https://x.org/?a=1&b=2>",
            "<a b='\"'>",
            "<br/>",
            "<?xml version=\"1.0\"?>",
            "<!DOCTYPE html PUBLIC '-//W3C//DTD XHTML 1.0 Strict//EN' 'http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd'>",
            "<![if !mso]>",
        ] {
            assert!(!ambiguous(html), "{html}");
        }
        assert!(
            matches!(kinds("<?x <b>")[0], TokenKind::Declaration(_))
                && matches!(kinds("<![if !mso]>")[0], TokenKind::Declaration(_))
        );
    }
}
