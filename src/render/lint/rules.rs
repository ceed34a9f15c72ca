//! Rules for the subject and the text part.

use super::{MAX_LINE, Report};
use crate::render::text::columns;

/// Width of a subject that inboxes show.
const MAX_SUBJECT: usize = 78;
/// Minimum number of alphanumeric characters outside links for a useful text part.
const MIN_TEXT: usize = 10;

pub(super) fn subject(subject: &str, report: &mut Report) {
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
            "the subject is all in capitals, which spam filters penalize".to_owned(),
        );
    }
    if subject.len() > MAX_LINE {
        report.error(
            1,
            "subject-length",
            format!(
                "the subject has {} octets; a header line is limited to {MAX_LINE}",
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

pub(super) fn text(text: &str, report: &mut Report) {
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
            "the text part has hardly anything but links; readers without HTML learn nothing"
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
