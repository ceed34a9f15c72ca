//! A linter for mails: what mail programs, filters and readers trip over, found before anybody gets
//! it.
//!
//! An error is what some reader will suffer from; a warning is worth a look and may be meant.
//! Sources: `SpamAssassin` counts hidden text in the colour of its background
//! (`HTML_FONT_LOW_CONTRAST`) and subjects in capitals (`SUBJ_ALL_CAPS`); Gmail cuts HTML off at
//! about 102 kB, and few mail programs show pictures out of `data:` (caniemail.com); lines end at
//! 998 octets (RFC 5322 §2.1.1); contrast is that of WCAG 2.2, 1.4.3.

mod contrast;
mod css;

use std::fmt;

use serde::Serialize;

use self::css::Scheme;
use super::text::columns;
use crate::domain::Email;
use crate::domain::html::{Piece, Tag, What, pieces};

/// The most bytes of the HTML part.
const MAX_HTML: usize = 90_000;
/// The most octets of a line on the wire.
const MAX_LINE: usize = 998;
/// Columns of a subject that inboxes show.
const MAX_SUBJECT: usize = 78;
/// The fewest letters and digits outside links with which a text part says something.
const MIN_TEXT: usize = 10;
/// The most findings of one mail.
const MAX_FINDINGS: usize = 100;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Some reader suffers from it.
    Error,
    /// It may be meant.
    Warning,
}

/// The part of a mail that a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The subject.
    Subject,
    /// The text part.
    Text,
    /// The HTML part.
    Html,
    /// The mail as it goes over the wire.
    Wire,
}

/// Something that the linter found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// Where.
    pub part: Part,
    /// The line there, from 1.
    pub line: usize,
    /// The rule's name, as `alt-text`.
    pub rule: &'static str,
    /// What was found and what would do.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = if self.level == Level::Error {
            "error"
        } else {
            "warning"
        };
        let part = match self.part {
            Part::Subject => "subject",
            Part::Text => "text",
            Part::Html => "html",
            Part::Wire => "wire",
        };
        write!(
            f,
            "{level}: {part}:{}: {} [{}]",
            self.line, self.detail, self.rule
        )
    }
}

/// The parts of a mail that the linter reads.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The subject.
    pub subject: &'a str,
    /// The text part.
    pub text: &'a str,
    /// The HTML part.
    pub html: &'a str,
    /// The names (`Content-ID`) of the pictures that the mail carries.
    pub carried: Vec<&'a str>,
}

/// Everything found in a mail, part by part.
pub fn lint(email: &Email) -> Vec<Finding> {
    let carried = email
        .inline
        .iter()
        .map(|part| part.content_id.as_str())
        .collect();
    lint_parts(&Parts {
        subject: &email.subject,
        text: &email.text,
        html: &email.html,
        carried,
    })
}

/// The same for parts that are not a mail of ours.
pub fn lint_parts(parts: &Parts<'_>) -> Vec<Finding> {
    let mut report = Report {
        findings: Vec::new(),
        part: Part::Subject,
    };
    subject(parts.subject, &mut report);
    report.part = Part::Text;
    text(parts.text, &mut report);
    report.part = Part::Html;
    html(parts, &mut report);
    report.findings
}

/// What is wrong with a mail's wire form, as an `.eml` file holds it: lines that are too long, line
/// ends that are none.
pub fn lint_wire(message: &[u8]) -> Vec<Finding> {
    let mut report = Report {
        findings: Vec::new(),
        part: Part::Wire,
    };
    for (number, line) in message.split(|byte| *byte == b'\n').enumerate() {
        let is_last = line.is_empty();
        let Some(line) = line.strip_suffix(b"\r").or(is_last.then_some(line)) else {
            report.error(
                number + 1,
                "line-end",
                "a line ends without CR LF".to_owned(),
            );
            continue;
        };
        if line.len() > MAX_LINE {
            report.error(
                number + 1,
                "line-length",
                format!("the line has {} octets; at most {MAX_LINE}", line.len()),
            );
        }
    }
    report.findings
}

struct Report {
    findings: Vec<Finding>,
    part: Part,
}

impl Report {
    fn error(&mut self, line: usize, rule: &'static str, detail: String) {
        self.add(Level::Error, line, rule, detail);
    }

    fn warn(&mut self, line: usize, rule: &'static str, detail: String) {
        self.add(Level::Warning, line, rule, detail);
    }

    fn add(&mut self, level: Level, line: usize, rule: &'static str, detail: String) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding {
                level,
                part: self.part,
                line,
                rule,
                detail,
            });
        }
    }
}

fn subject(subject: &str, report: &mut Report) {
    if subject.trim().is_empty() {
        report.error(1, "subject-empty", "the subject is empty".to_owned());
    }
    if subject.chars().any(char::is_control) {
        report.error(
            1,
            "subject-control",
            "the subject has control characters".to_owned(),
        );
    }
    let letters = || subject.chars().filter(|c| c.is_alphabetic());
    if letters().count() > 10
        && subject.split_whitespace().count() > 1
        && letters().all(char::is_uppercase)
    {
        report.warn(
            1,
            "subject-capitals",
            "the subject is all in capitals, which spam filters count".to_owned(),
        );
    }
    if subject.len() > MAX_LINE {
        report.error(
            1,
            "subject-length",
            format!(
                "the subject has {} octets; a header line ends at {MAX_LINE}",
                subject.len()
            ),
        );
    } else if columns(subject) > MAX_SUBJECT {
        report.warn(
            1,
            "subject-length",
            format!(
                "the subject is {} columns wide; inboxes show about {MAX_SUBJECT}",
                columns(subject)
            ),
        );
    }
}

fn text(text: &str, report: &mut Report) {
    let words = text.split_whitespace().filter(|word| !word.contains("://"));
    let letters = words
        .flat_map(str::chars)
        .filter(|c| c.is_alphanumeric())
        .map(|c| if c.is_ascii() { 1 } else { 2 })
        .sum::<usize>();
    if text.trim().is_empty() {
        report.error(
            1,
            "text-empty",
            "the text part is empty; readers without HTML see nothing".to_owned(),
        );
    } else if letters < MIN_TEXT {
        report.error(
            1,
            "text-meaningless",
            "the text part says hardly anything beside links; readers without HTML learn nothing"
                .to_owned(),
        );
    }
    for (number, line) in text.lines().enumerate() {
        if line.chars().any(|c| c.is_control() && c != '\t') {
            report.error(
                number + 1,
                "text-control",
                "the line has control characters".to_owned(),
            );
        }
    }
}

fn html(parts: &Parts<'_>, report: &mut Report) {
    let html = parts.html;
    if html.len() > MAX_HTML {
        report.error(1, "html-size", format!("the HTML part has {} bytes; at most {MAX_HTML}, for Gmail cuts off what is over about 102,000", html.len()));
    }
    let pieces = pieces(html);
    for piece in &pieces {
        if let What::Open(tag) = &piece.what {
            image(tag, piece.line, parts, report);
            link(tag, piece.line, report);
            active(tag, piece.line, report);
        }
    }
    unclosed(&pieces, report);
    language(&pieces, report);
    for low_contrast in contrast::low_contrast(&pieces) {
        if low_contrast.is_hidden {
            let detail = format!(
                "hidden text in {} on {}: spam filters count text in the colour of its background; leave its colour out",
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
            format!("in the {scheme} scheme {colour} on {ground} has a contrast of {ratio:.1}, too little to read: {:?}", low_contrast.text),
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
            "the picture has no alt text; give one, or alt=\"\" where it only decorates".to_owned(),
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
            format!("the picture is fetched without encryption: {shown:?}"),
        ),
        "cid" => {
            let id = source.get(4..).unwrap_or_default();
            if !parts.carried.contains(&id) {
                report.error(
                    line,
                    "missing-part",
                    format!("no picture in the mail is called {id:?}"),
                );
            }
        }
        "data" => report.error(
            line,
            "data-image",
            "pictures out of data: are not shown by Gmail and others; link them".to_owned(),
        ),
        _ => report.error(
            line,
            "link",
            format!("the picture's address is neither https nor a part of the mail: {shown:?}"),
        ),
    }
    if tag.attribute("width").or(tag.attribute("height")).is_none() {
        report.warn(
            line,
            "image-size",
            "the picture has neither width nor height; Outlook shows it in its own size".to_owned(),
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

/// What mail programs throw away or warn of.
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
                "<{}> is removed by mail programs, or makes them distrust the mail",
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
                "{name} on <{}> is removed by mail programs, or makes them distrust the mail",
                tag.name
            ),
        );
    }
}

/// Tags that are closed in another order than they were opened, or not at all.
fn unclosed(pieces: &[Piece], report: &mut Report) {
    let mut open: Vec<(&str, usize)> = Vec::new();
    for piece in pieces {
        match &piece.what {
            What::Open(tag) if !tag.is_void() => open.push((&tag.name, piece.line)),
            What::Close(name) => match open.pop() {
                Some((last, _)) if last == name => {}
                Some((last, line)) => {
                    return report.warn(
                        piece.line,
                        "nesting",
                        format!("</{name}> closes <{last}> of line {line}"),
                    );
                }
                None => {
                    return report.warn(piece.line, "nesting", format!("</{name}> closes nothing"));
                }
            },
            _ => {}
        }
    }
    if let Some((name, line)) = open.last() {
        report.warn(*line, "nesting", format!("<{name}> is never closed"));
    }
}

fn language(pieces: &[Piece], report: &mut Report) {
    let speaks = |piece: &Piece| matches!(&piece.what, What::Open(tag) if tag.name == "html" && tag.attribute("lang").is_some_and(|lang| !lang.is_empty()));
    if !pieces.iter().any(speaks) {
        report.warn(
            1,
            "language",
            "<html> does not say its language (lang), which screen readers need".to_owned(),
        );
    }
}

#[cfg(test)]
mod tests;
