//! Turns a mail into the parameters of `SingleSendMail`, within its limits
//! (<https://help.aliyun.com/document_detail/29444.htm>).

use std::borrow::Cow;

use crate::domain::Email;
use crate::transport::compose::SenderIdentity;

/// Maximum length of a subject, in characters.
const SUBJECT: usize = 100;
/// Maximum length of a sender's name, in characters: "shorter than 15".
const ALIAS: usize = 14;
/// Maximum size of each body, in bytes: "80K".
const BODY: usize = 80_000;

/// Name and value of a parameter.
pub(super) type Param<'a> = (&'static str, Cow<'a, str>);

/// Both bodies exceed the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the mail is too long for DirectMail: {text} bytes of text, {html} of HTML, at most {BODY} each"
)]
pub(super) struct TooLong {
    text: usize,
    html: usize,
}

/// The parameters that depend on the mail. The common ones (key, nonce, time) are added when the
/// call is signed.
///
/// A subject or sender name that is too long is truncated. A body that is too long is omitted if
/// the other one fits. The API cannot send inline images; they are replaced by their alternative
/// text.
///
/// # Errors
/// If both bodies are too long.
pub(super) fn params<'a>(
    sender: SenderIdentity<'a>,
    email: &'a Email,
) -> Result<Vec<Param<'a>>, TooLong> {
    let html = if email.inline.is_empty() {
        Cow::Borrowed(email.html.as_str())
    } else {
        without_inline_images(&email.html)
    };
    let (html, text) = bodies(html, &email.text)?;
    let mut params: Vec<Param<'a>> = vec![
        ("Action", "SingleSendMail".into()),
        ("AccountName", sender.from.address.as_str().into()),
        ("AddressType", "1".into()),
        ("ReplyToAddress", "false".into()),
        ("ToAddress", email.to.as_str().into()),
        ("Subject", truncate(&email.subject, SUBJECT)),
        ("ClickTrace", "0".into()),
        ("Headers", headers(email).into()),
    ];
    params.extend(html.map(|html| ("HtmlBody", html)));
    params.extend(text.map(|text| ("TextBody", text)));
    let alias = sender.from.name.as_deref().or(email.from.name.as_deref());
    params.extend(alias.map(|alias| ("FromAlias", truncate(alias, ALIAS))));
    // DirectMail accepts a single address.
    if let Some(reply_to) = sender.reply_to.first().or(email.reply_to.first()) {
        params.push(("ReplyAddress", reply_to.address.as_str().into()));
        params.extend(
            reply_to
                .name
                .as_deref()
                .map(|name| ("ReplyAddressAlias", truncate(name, ALIAS))),
        );
    }
    Ok(params)
}

type Body<'a> = Option<Cow<'a, str>>;

fn bodies<'a>(html: Cow<'a, str>, text: &'a str) -> Result<(Body<'a>, Body<'a>), TooLong> {
    let fits = |body: &str| !body.is_empty() && body.len() <= BODY;
    match (fits(&html), fits(text)) {
        (true, true) => Ok((Some(html), Some(text.into()))),
        (true, false) => Ok((Some(html), None)),
        (false, true) => Ok((None, Some(text.into()))),
        (false, false) => Err(TooLong {
            text: text.len(),
            html: html.len(),
        }),
    }
}

/// The headers that the API accepts
/// (<https://help.aliyun.com/zh/direct-mail/api-headers>): `Message-ID`, `List-Unsubscribe`,
/// `List-Unsubscribe-Post`, and ours under `X-User-`. `X-Jobbell-Event` becomes
/// `X-User-Jobbell-Event`; `Auto-Submitted` cannot be sent.
fn headers(email: &Email) -> String {
    let mut headers = serde_json::Map::new();
    headers.insert(
        "Message-ID".to_owned(),
        format!("<{}>", email.message_id).into(),
    );
    for (name, value) in &email.headers {
        let name = match *name {
            "X-Jobbell-Event" => "X-User-Jobbell-Event",
            "List-Unsubscribe" | "List-Unsubscribe-Post" => name,
            _ => continue,
        };
        headers.insert(name.to_owned(), value.as_str().into());
    }
    serde_json::Value::Object(headers).to_string()
}

/// Truncates to `limit` characters; the last one is then `…`.
fn truncate(text: &str, limit: usize) -> Cow<'_, str> {
    if text.chars().count() <= limit {
        return text.into();
    }
    let mut short: String = text.chars().take(limit.saturating_sub(1)).collect();
    short.push('…');
    short.into()
}

/// Replaces each `<img src="cid:…">` by its alternative text.
fn without_inline_images(html: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut rest = html;
    while let Some((before, tag, after)) = next_image(rest) {
        out.push_str(before);
        match attribute(tag, "src").filter(|source| {
            source
                .get(..4)
                .is_some_and(|scheme| scheme.eq_ignore_ascii_case("cid:"))
        }) {
            Some(_) => out.push_str(
                &attribute(tag, "alt")
                    .unwrap_or_default()
                    .replace('<', "&lt;"),
            ),
            None => out.push_str(tag),
        }
        rest = after;
    }
    if out.is_empty() && rest.len() == html.len() {
        return html.into();
    }
    out.push_str(rest);
    out.into()
}

/// Splits at the first complete `<img …>` tag. A `>` within quotes does not end it.
fn next_image(html: &str) -> Option<(&str, &str, &str)> {
    let opening = |at: &usize| {
        html.get(*at..at + 4)
            .is_some_and(|name| name.eq_ignore_ascii_case("<img"))
    };
    let start = html.match_indices('<').map(|(at, _)| at).find(opening)?;
    let (before, tail) = html.split_at_checked(start)?;
    let mut quote = None;
    let end = tail.char_indices().find_map(|(at, c)| match (quote, c) {
        (None, '>') => Some(at + 1),
        (None, '"' | '\'') => {
            quote = Some(c);
            None
        }
        (Some(open), _) if open == c => {
            quote = None;
            None
        }
        _ => None,
    })?;
    let (tag, after) = tail.split_at_checked(end)?;
    Some((before, tag, after))
}

/// The value of a quoted attribute.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = tag.trim_start_matches(|c: char| !c.is_whitespace());
    loop {
        let (left, right) = rest.split_once('=')?;
        let right = right.trim_start();
        let quote = right.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (value, after) = right.get(1..)?.split_once(quote)?;
        if left
            .trim()
            .rsplit(char::is_whitespace)
            .next()
            .is_some_and(|found| found.eq_ignore_ascii_case(name))
        {
            return Some(value);
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_images_are_replaced_by_their_alternative_text() {
        let html = r#"<p><a href="https://x.example/?a=1"><IMG width="9" alt="一只 > 猫" src="cid:p1@jobbell"/></a><img src='https://x.example/a.png'>"#;
        let expected = r#"<p><a href="https://x.example/?a=1">一只 > 猫</a><img src='https://x.example/a.png'>"#;
        assert_eq!(without_inline_images(html), expected);
        assert_eq!(without_inline_images("<img src=\"cid:x\">tail"), "tail");
        for untouched in [
            "",
            "<p>no picture</p>",
            "<img src=\"cid:never closed",
            "<",
            "a<imgé",
        ] {
            assert!(
                matches!(without_inline_images(untouched), Cow::Borrowed(same) if same == untouched),
                "{untouched}"
            );
        }
    }

    #[test]
    fn long_texts_are_truncated_by_characters() {
        assert_eq!(truncate("图片已生成", 5), "图片已生成");
        assert_eq!(truncate("图片已生成了", 5), "图片已生…");
    }
}
