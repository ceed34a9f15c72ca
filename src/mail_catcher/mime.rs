//! A stored mail taken apart for showing: decoded headers, the text, the HTML and the pictures
//! inside the mail.

use mail_parser::{Address, Message, MessageParser, MimeHeaders, PartType};

/// How many characters of a mail's text the list shows.
const SNIPPET: usize = 160;

/// A mail for people to look at; every text is decoded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mail {
    /// The subject; empty when there is none.
    pub subject: String,
    /// `Name <address>` of the header's authors.
    pub from: String,
    /// `Name <address>` of the header's recipients, comma-separated.
    pub to: String,
    /// Every header as it was written, unfolded, in order.
    pub headers: Vec<(String, String)>,
    /// The first plain-text part.
    pub text: Option<String>,
    /// The first HTML part.
    pub html: Option<String>,
    /// The pictures that came inside the mail, in their order.
    pub pictures: Vec<Picture>,
}

/// A picture that came inside a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The `Content-ID` without its brackets: the HTML names it as `cid:…`.
    pub cid: String,
    /// One of the picture types that every browser shows; others are not taken.
    pub content_type: &'static str,
    /// The name of the file; may be empty.
    pub name: String,
    /// The picture's file.
    pub bytes: Vec<u8>,
}

impl Mail {
    /// Takes a mail apart. What cannot be read is left empty: the mailbox shows broken mails too,
    /// their source at least.
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

    /// The HTML with each `cid:` link to a picture of this mail replaced by `link(its place in
    /// pictures)`.
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

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// What inboxes show beside the subject: the hidden first words of the HTML, else the beginning
    /// of the text, on one line.
    pub fn snippet(&self) -> String {
        let hidden = self.html.as_deref().and_then(preheader);
        let text = hidden
            .as_deref()
            .or(self.text.as_deref())
            .unwrap_or_default();
        let mut snippet = String::new();
        // Rules and other ornaments at the top say nothing.
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

    /// The link of the first picture that the HTML shows: a web address, or the place of a picture
    /// inside the mail.
    pub fn first_picture(&self) -> Option<Shown> {
        let html = self.html.as_deref()?;
        html.split("<img")
            .skip(1)
            .filter_map(|rest| rest.split_once('>'))
            .find_map(|(tag, _)| {
                let (_, value) = tag.split_once("src=\"")?;
                let source = value
                    .split_once('"')?
                    .0
                    .replace("&amp;", "&")
                    .replace("&#38;", "&");
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

/// The text of the first hidden element, within the bytes in which one is of use.
fn preheader(html: &str) -> Option<String> {
    let (_, rest) = html.split_once("<body")?;
    let (_, rest) = rest.split_once('>')?;
    let (tag, rest) = rest.trim_start().strip_prefix("<div")?.split_once('>')?;
    let (inside, _) = rest
        .split_once('<')
        .filter(|_| tag.contains("display:none"))?;
    let text =
        mail_parser::decoders::html::html_to_text(inside).replace(['\u{200C}', '\u{A0}'], " ");
    (!text.trim().is_empty()).then_some(text)
}

/// Where a picture in a mail's HTML comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// From the web (`http` or `https`).
    Link(String),
    /// From the mail itself: its place in [`Mail::pictures`].
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
    fn a_mail_is_taken_apart_and_decoded() {
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
    fn a_web_picture_is_found_with_its_entities_resolved() {
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
    fn the_snippet_is_the_hidden_beginning_where_there_is_one() {
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
    fn what_is_no_mail_is_shown_empty() {
        assert_eq!(Mail::read(b"").subject, "");
        assert_eq!(Mail::read(b"\xff\xfe\0").html, None);
        let long = Mail {
            text: Some("词 ".repeat(500)),
            ..Mail::default()
        };
        assert_eq!(long.snippet().chars().count(), SNIPPET + 1);
    }
}
