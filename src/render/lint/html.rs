//! Rules for the HTML part.

use super::css::Scheme;
use super::{Parts, Report, contrast};
use crate::domain::html::{Tag, Token, TokenKind, tokens};

/// Maximum size of the HTML part in bytes.
const MAX_HTML: usize = 90_000;

pub(super) fn html(parts: &Parts<'_>, report: &mut Report) {
    let html = parts.html;
    if html.len() > MAX_HTML {
        report.error(1, "html-size", format!("the HTML part has {} bytes; at most {MAX_HTML}, because Gmail clips mails over about 102,000", html.len()));
    }
    let tokens = tokens(html);
    for token in &tokens {
        if let TokenKind::Open(tag) = &token.kind {
            image(tag, token.line, parts, report);
            link(tag, token.line, report);
            active(tag, token.line, report);
        }
    }
    unclosed(&tokens, report);
    language(&tokens, report);
    contrast(&tokens, report);
}

fn contrast(tokens: &[Token], report: &mut Report) {
    for low_contrast in contrast::low_contrast(tokens) {
        if low_contrast.is_hidden {
            let detail = format!(
                "hidden text in {} on {}: spam filters penalize text in its background's colour; remove the colour",
                low_contrast.colour, low_contrast.ground
            );
            report.warn(low_contrast.line, "hidden-text", detail);
            continue;
        }
        let scheme = if low_contrast.scheme == Scheme::Dark {
            "dark"
        } else {
            "light"
        };
        let (colour, ground, ratio) =
            (low_contrast.colour, low_contrast.ground, low_contrast.ratio);
        report.error(
            low_contrast.line,
            "contrast",
            format!(
                "low contrast {ratio:.1} of {colour} on {ground} in the {scheme} scheme: {:?}",
                low_contrast.text
            ),
        );
    }
}

fn image(tag: &Tag, line: usize, parts: &Parts<'_>, report: &mut Report) {
    if tag.name != "img" {
        return;
    }
    if tag.attribute("alt").is_none() {
        report.error(
            line,
            "alt-text",
            "the image has no alt text; add one, or alt=\"\" if it is decorative".to_owned(),
        );
    }
    let source = tag.attribute("src").unwrap_or_default().trim();
    let shown: String = source.chars().take(60).collect();
    let scheme = source
        .split(':')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    match scheme.as_str() {
        "https" => {}
        "http" => report.warn(
            line,
            "insecure-link",
            format!("the image is loaded without encryption: {shown:?}"),
        ),
        "cid" => {
            let id = source.get(4..).unwrap_or_default();
            if !parts.carried.contains(&id) {
                report.error(
                    line,
                    "missing-part",
                    format!("the mail has no image with the Content-ID {id:?}"),
                );
            }
        }
        "data" => report.error(
            line,
            "data-image",
            "Gmail and others do not show data: images; link them instead".to_owned(),
        ),
        _ => report.error(
            line,
            "link",
            format!("the image is neither https nor a part of the mail: {shown:?}"),
        ),
    }
    if tag.attribute("width").or(tag.attribute("height")).is_none() {
        report.warn(
            line,
            "image-size",
            "the image has neither width nor height; Outlook shows it in its original size"
                .to_owned(),
        );
    }
}

fn link(tag: &Tag, line: usize, report: &mut Report) {
    let Some(target) = tag.attribute("href").filter(|_| tag.name != "img") else {
        return;
    };
    let target = target.trim();
    let shown: String = target.chars().take(60).collect();
    match target
        .split(':')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase()
        .as_str()
    {
        "https" | "mailto" | "tel" => {}
        "http" => report.warn(
            line,
            "insecure-link",
            format!("the link is not encrypted: {shown:?}"),
        ),
        _ if target.starts_with('#') => {}
        _ => report.error(line, "link", format!("the link is not https: {shown:?}")),
    }
}

/// Content that mail clients remove or warn about.
fn active(tag: &Tag, line: usize, report: &mut Report) {
    if matches!(
        tag.name.as_str(),
        "script"
            | "iframe"
            | "object"
            | "embed"
            | "form"
            | "input"
            | "base"
            | "link"
            | "svg"
            | "video"
            | "audio"
    ) {
        report.error(
            line,
            "active-content",
            format!(
                "<{}> is removed by mail clients or makes them distrust the mail",
                tag.name
            ),
        );
    }
    if let Some((name, _)) = tag
        .attributes
        .iter()
        .find(|(name, _)| name.starts_with("on"))
    {
        report.error(
            line,
            "active-content",
            format!(
                "{name} on <{}> is removed by mail clients or makes them distrust the mail",
                tag.name
            ),
        );
    }
}

/// Tags closed in the wrong order, or not at all.
fn unclosed(tokens: &[Token], report: &mut Report) {
    let mut open: Vec<(&str, usize)> = Vec::new();
    for token in tokens {
        match &token.kind {
            TokenKind::Open(tag) if !tag.is_void() => open.push((&tag.name, token.line)),
            TokenKind::Close(name) => match open.pop() {
                Some((last, _)) if last == name => {}
                Some((last, line)) => {
                    return report.warn(
                        token.line,
                        "nesting",
                        format!("</{name}> closes <{last}> of line {line}"),
                    );
                }
                None => {
                    return report.warn(token.line, "nesting", format!("</{name}> closes nothing"));
                }
            },
            _ => {}
        }
    }
    if let Some((name, line)) = open.last() {
        report.warn(*line, "nesting", format!("<{name}> is never closed"));
    }
}

fn language(tokens: &[Token], report: &mut Report) {
    let speaks = |token: &Token| matches!(&token.kind, TokenKind::Open(tag) if tag.name == "html" && tag.attribute("lang").is_some_and(|lang| !lang.is_empty()));
    if !tokens.iter().any(speaks) {
        report.warn(
            1,
            "language",
            "<html> has no lang attribute, which screen readers need".to_owned(),
        );
    }
}
