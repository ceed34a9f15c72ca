//! A failed delivery for people: the failed step, its cause, and advice from the reply table.

use std::io::{self, Write};

use anstyle::{AnsiColor, Color, Style};
use serde_json::{Value, json};

use super::columns::{columns, padded, wrapped};
use super::i18n::tr;
use crate::domain::{Explanation, Failure, FailureKind, Locale, Reply};

/// A failure as presented to the operator.
#[derive(Debug)]
pub(super) struct ExplainedError {
    stage: &'static str,
    kind: FailureKind,
    detail: String,
    reply: Option<Reply>,
    explanation: Option<Explanation>,
}

impl From<&Failure> for ExplainedError {
    fn from(failure: &Failure) -> Self {
        let Failure {
            kind,
            stage,
            reply,
            detail,
            explanation,
        } = failure.clone();
        Self {
            stage: stage.as_str(),
            kind,
            detail,
            reply,
            explanation,
        }
    }
}

const BAD: Style = Style::new()
    .bold()
    .fg_color(Some(Color::Ansi(AnsiColor::Red)));
const STRONG: Style = Style::new().bold();

/// Writes cause and advice, one below the other.
pub(super) fn write(
    out: &mut impl Write,
    trouble: &ExplainedError,
    locale: Locale,
    width: Option<usize>,
) -> io::Result<()> {
    let (cause, advice) = match &trouble.explanation {
        Some(explanation) => (explanation.cause.as_str(), explanation.advice.as_str()),
        None => (trouble.detail.as_str(), ""),
    };
    let labels = [
        tr(locale, "Cause:", "原因："),
        tr(locale, "What to do:", "处理办法："),
    ];
    let indent = labels.iter().map(|label| columns(label)).max().unwrap_or(0) + 1;
    for ((label, text), style) in labels
        .into_iter()
        .zip([cause, advice])
        .zip([BAD, STRONG])
        .filter(|((_, text), _)| !text.is_empty())
    {
        let mut lines = wrapped(text, width.map(|width| width.saturating_sub(indent))).into_iter();
        writeln!(
            out,
            "{style}{}{style:#}{}",
            padded(label, indent),
            lines.next().unwrap_or_default()
        )?;
        lines.try_for_each(|line| writeln!(out, "{}{line}", " ".repeat(indent)))?;
    }
    Ok(())
}

/// The failure as JSON.
pub(super) fn record(trouble: &ExplainedError) -> Value {
    json!({
        "stage": trouble.stage,
        "result": trouble.kind.as_str(),
        "detail": trouble.detail,
        "reply": trouble.reply,
        "cause": trouble.explanation.as_ref().map(|explanation| &explanation.cause),
        "advice": trouble.explanation.as_ref().map(|explanation| &explanation.advice),
    })
}

/// A reply on one line, such as `250 2.0.0 queued`.
pub(super) fn spoken(reply: &Reply) -> String {
    let words = [
        reply.enhanced.as_deref().unwrap_or_default(),
        &reply.text.replace('\n', " "),
    ]
    .join(" ");
    format!("{} {}", reply.code, words.trim())
        .trim_end()
        .to_owned()
}

/// The failed step and the server's reply, or our own message.
pub(super) fn headline(trouble: &ExplainedError) -> String {
    let words = trouble
        .reply
        .as_ref()
        .map_or_else(|| trouble.detail.clone(), spoken);
    format!("{}: {words}", trouble.stage)
}
