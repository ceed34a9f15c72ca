//! Parses a stored mail for display: decoded headers, text, HTML and inline images.

use html5gum::Tokenizer;
use html5gum::emitters::default::{DefaultEmitter, StartTag, Token};
use mail_parser::{Address, Message, MessageParser, MimeHeaders, PartType};

/// Number of characters of a mail's text shown in the list.
const SNIPPET: usize = 160;

/// A parsed mail; every text is decoded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mail {
    /// The subject; may be empty.
    pub subject: String,
    /// `Name <address>` of the authors.
    pub from: String,
    /// `Name <address>` of the recipients, comma-separated.
    pub to: String,
    /// All headers as written, unfolded, in order.
    pub headers: Vec<(String, String)>,
    /// The first plain-text part.
    pub text: Option<String>,
    /// The first HTML part.
    pub html: Option<String>,
    /// The inline images in order.
    pub pictures: Vec<Picture>,
}

/// An inline image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The `Content-ID` without brackets: the HTML refers to it as `cid:…`.
    pub cid: String,
    /// An image type that every browser shows; others are skipped.
    pub content_type: &'static str,
    /// File name; may be empty.
    pub name: String,
    /// Content of the file.
    pub bytes: Vec<u8>,
}

impl Mail {
    /// Parses a mail. Unreadable parts are left empty, because broken mails are shown, too.
    pub fn read(raw: &[u8]) -> Self {
        let Some(message) = MessageParser::default().parse(raw) else {
            return Self::default();
        };
        Self {
            subject: message.subject().unwrap_or_default().to_owned(),
            from: message.from().map(people).unwrap_or_default(),
            to: message.to().map(people).unwrap_or_default(),
            headers: message
                .headers_raw()
                .map(|(name, value)| {
                    (
                        name.to_owned(),
                        value.split_whitespace().collect::<Vec<_>>().join(" "),
                    )
                })
                .collect(),
            text: message.parts.iter().find_map(|part| {
                if let PartType::Text(text) = &part.body {
                    Some(text.to_string())
                } else {
                    None
                }
            }),
            html: message.parts.iter().find_map(|part| {
                if let PartType::Html(html) = &part.body {
                    Some(html.to_string())
                } else {
                    None
                }
            }),
            pictures: pictures(&message),
        }
    }

    /// The HTML with each `cid:` link to an inline image replaced by `link(index in pictures)`.
    pub fn html_with(&self, link: impl Fn(usize) -> String) -> Option<String> {
        let html = self.html.clone()?;
        let named = self
            .pictures
            .iter()
            .enumerate()
            .filter(|(_, picture)| !picture.cid.is_empty());
        Some(named.fold(html, |html, (at, picture)| {
            html.replace(&format!("cid:{}", picture.cid), &link(at))
        }))
    }

    /// The first header with this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The preview line: the hidden preheader of the HTML, else the beginning of the text, on one
    /// line.
    pub fn snippet(&self) -> String {
        let hidden = self.html.as_deref().and_then(preheader);
        let text = hidden
            .as_deref()
            .or(self.text.as_deref())
            .unwrap_or_default();
        let mut snippet = String::new();
        // Skip rules and other ornaments.
        for word in text
            .split_whitespace()
            .skip_while(|word| word.chars().all(|c| !c.is_alphanumeric()))
        {
            if !snippet.is_empty() {
                snippet.push(' ');
            }
            snippet.push_str(word);
            if snippet.chars().count() > SNIPPET {
                let mut cut: String = snippet.chars().take(SNIPPET).collect();
                cut.push('…');
                return cut;
            }
        }
        snippet
    }

    /// The first image of the HTML: a web address, or the index of an inline image.
    pub fn first_picture(&self) -> Option<Shown> {
        let mut sources = tokens(self.html.as_deref()?).filter_map(|token| match token {
            Token::StartTag(tag) if **tag.name == *b"img" => attribute(&tag, "src"),
            _ => None,
        });
        sources.find_map(|source| {
            if let Some(cid) = source.strip_prefix("cid:") {
                return self
                    .pictures
                    .iter()
                    .position(|picture| picture.cid == cid)
                    .map(Shown::Inside);
            }
            (source.starts_with("https://") || source.starts_with("http://"))
                .then_some(Shown::Link(source))
        })
    }
}

/// The tokens of an HTML document, as browsers see it.
fn tokens(html: &str) -> impl Iterator<Item = Token> {
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    Tokenizer::new_with_emitter(html, emitter).flatten()
}

fn attribute(tag: &StartTag<()>, name: &str) -> Option<String> {
    let value = tag.attributes.get(name.as_bytes())?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// The text of a hidden element at the beginning of the HTML.
fn preheader(html: &str) -> Option<String> {
    let mut tokens = tokens(html)
        .skip_while(|token| !matches!(token, Token::StartTag(tag) if **tag.name == *b"body"))
        .skip(1)
        .filter(|token| match token {
            Token::Error(_) | Token::Comment(_) => false,
            Token::String(text) => !text.trim_ascii().is_empty(),
            _ => true,
        });
    let Some(Token::StartTag(first)) = tokens.next() else {
        return None;
    };
    let (Some(style), Some(Token::String(text))) = (attribute(&first, "style"), tokens.next())
    else {
        return None;
    };
    style
        .replace(' ', "")
        .contains("display:none")
        .then(|| String::from_utf8_lossy(&text).replace(['\u{200C}', '\u{A0}'], " "))
}

/// The source of an image in a mail's HTML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// From the web (`http` or `https`).
    Link(String),
    /// The mail itself: index in [`Mail::pictures`].
    Inside(usize),
}

fn people(address: &Address<'_>) -> String {
    let one = |person: &mail_parser::Addr<'_>| match (person.name(), person.address()) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (name, address) => address.or(name).unwrap_or_default().to_owned(),
    };
    address.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn pictures(message: &Message<'_>) -> Vec<Picture> {
    let picture = |part: &mail_parser::MessagePart<'_>| {
        let (PartType::Binary(bytes) | PartType::InlineBinary(bytes)) = &part.body else {
            return None;
        };
        let kind = part
            .content_type()
            .filter(|kind| kind.ctype().eq_ignore_ascii_case("image"))?
            .subtype()?;
        let known = ["image/png", "image/jpeg", "image/gif", "image/webp"];
        let content_type = known.into_iter().find(|known| {
            known
                .strip_prefix("image/")
                .is_some_and(|known| known.eq_ignore_ascii_case(kind))
        })?;
        Some(Picture {
            cid: part.content_id().unwrap_or_default().to_owned(),
            content_type,
            name: part.attachment_name().unwrap_or_default().to_owned(),
            bytes: bytes.to_vec(),
        })
    };
    message.parts.iter().filter_map(picture).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &str = "From: =?UTF-8?B?57uY5b2x?= <notify@example.com>\r\n\
        To: a@example.com, Bo <b@example.com>\r\n\
        Subject: =?UTF-8?B?5Zu+5YOP5bey?= =?UTF-8?B?55Sf5oiQ?=\r\n\
        Date: Thu, 01 Jan 2026 08:00:00 +0800\r\n\
        Message-ID: <one@example.com>\r\n\
        MIME-Version: 1.0\r\n\
        Content-Type: multipart/alternative; boundary=\"out\"\r\n\
        \r\n\
        --out\r\n\
        Content-Type: text/plain; charset=utf-8\r\n\
        Content-Transfer-Encoding: base64\r\n\
        \r\n\
        4pSA4pSACuWbvuWDj+W3sueUn+aIkArlsLrlr7ggMTAyNHgxMDI0\r\n\
        --out\r\n\
        Content-Type: multipart/related; boundary=\"in\"\r\n\
        \r\n\
        --in\r\n\
        Content-Type: text/html; charset=utf-8\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\
        \r\n\
        <p>=E5=9B=BE</p><img alt=3D\"\" src=3D\"cid:img0@example.com\"><img src=3D\"http=\r\n\
        ://x.example/a?b=3D1&amp;c=3D2\">\r\n\
        --in\r\n\
        Content-Type: image/png; name=a.png\r\n\
        Content-ID: <img0@example.com>\r\n\
        Content-Disposition: inline\r\n\
        Content-Transfer-Encoding: base64\r\n\
        \r\n\
        iVBORw==\r\n\
        --in--\r\n\
        --out--\r\n";

    #[test]
    fn mail_is_parsed_and_decoded() {
        let mail = Mail::read(MAIL.as_bytes());
        assert_eq!(mail.subject, "图像已生成");
        assert_eq!(mail.from, "绘影 <notify@example.com>");
        assert_eq!(mail.to, "a@example.com, Bo <b@example.com>");
        assert_eq!(
            (mail.header("date"), mail.header("Message-Id")),
            (
                Some("Thu, 01 Jan 2026 08:00:00 +0800"),
                Some("<one@example.com>")
            )
        );
        assert_eq!(mail.snippet(), "图像已生成 尺寸 1024x1024");
        assert_eq!(
            mail.pictures,
            [Picture {
                cid: "img0@example.com".into(),
                content_type: "image/png",
                name: "a.png".into(),
                bytes: b"\x89PNG".to_vec()
            }]
        );
        assert_eq!(mail.first_picture(), Some(Shown::Inside(0)));
        let html = mail.html_with(|at| format!("/picture/{at}")).unwrap();
        assert!(
            html.starts_with("<p>图</p><img alt=\"\" src=\"/picture/0\">"),
            "{html}"
        );
    }

    #[test]
    fn web_image_is_found_and_its_entities_decoded() {
        let html = Some(
            "<img src=\"javascript:1\"><img width=\"1\" src=\"http://x.example/a?b=1&amp;c=2\">"
                .to_owned(),
        );
        let mail = Mail {
            html,
            ..Mail::default()
        };
        assert_eq!(
            mail.first_picture(),
            Some(Shown::Link("http://x.example/a?b=1&c=2".into()))
        );
    }

    #[test]
    fn snippet_prefers_the_hidden_preheader() {
        let hidden = "<html><body class=\"x\">\n<div style=\"display:none;max-height:0\">Failed &amp; gone · 9 s&zwnj;&nbsp;&zwnj;&nbsp;</div><p>Hello</p>";
        let mail = |html: &str| Mail {
            html: Some(html.to_owned()),
            text: Some("the text".to_owned()),
            ..Mail::default()
        };
        assert_eq!(mail(hidden).snippet(), "Failed & gone · 9 s");
        assert_eq!(mail("<body><div>shown</div></body>").snippet(), "the text");
    }

    #[test]
    fn invalid_mail_is_shown_empty() {
        assert_eq!(Mail::read(b"").subject, "");
        assert_eq!(Mail::read(b"\xff\xfe\0").html, None);
        let long = Mail {
            text: Some("词 ".repeat(500)),
            ..Mail::default()
        };
        assert_eq!(long.snippet().chars().count(), SNIPPET + 1);
    }
}
