//! A linter for mails: finds problems with mail clients, spam filters and screen readers before a
//! mail is sent.
//!
//! An error affects some readers; a warning may be intended. Sources: `SpamAssassin` penalises text
//! hidden by its background colour (`HTML_FONT_LOW_CONTRAST`) and subjects in capitals
//! (`SUBJ_ALL_CAPS`); Gmail clips HTML at about 102 kB, and few mail clients show `data:` images
//! (caniemail.com); lines are limited to 998 octets (RFC 5322 section 2.1.1); contrast as in WCAG
//! 2.2, 1.4.3.

mod contrast;
mod css;
mod html;
mod rules;

use std::fmt;

use serde::Serialize;

use crate::domain::Email;

/// Maximum octets of a line on the wire.
const MAX_LINE: usize = 998;
/// Maximum number of findings per mail.
const MAX_FINDINGS: usize = 100;

/// Severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Affects some readers.
    Error,
    /// May be intended.
    Warning,
}

/// The part of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The subject.
    Subject,
    /// The text part.
    Text,
    /// The HTML part.
    Html,
    /// The source of the mail as transmitted.
    Wire,
}

/// A problem found by the linter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The severity.
    pub level: Level,
    /// The part.
    pub part: Part,
    /// The line in that part, from 1.
    pub line: usize,
    /// Name of the rule, such as `alt-text`.
    pub rule: &'static str,
    /// The problem and its fix.
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

/// The input of the linter.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The subject.
    pub subject: &'a str,
    /// The text part.
    pub text: &'a str,
    /// The HTML part.
    pub html: &'a str,
    /// `Content-ID`s of the images that the mail carries.
    pub carried: Vec<&'a str>,
}

/// Lints a mail, part by part.
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

/// Lints the parts of any mail.
pub fn lint_parts(parts: &Parts<'_>) -> Vec<Finding> {
    let mut report = Report {
        findings: Vec::new(),
        part: Part::Subject,
    };
    rules::subject(parts.subject, &mut report);
    report.part = Part::Text;
    rules::text(parts.text, &mut report);
    report.part = Part::Html;
    html::html(parts, &mut report);
    report.findings
}

/// Lints the source of a mail, as in an `.eml` file: overlong lines and wrong line ends.
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

#[cfg(test)]
mod tests;
