//! What went wrong with a job, as its mail tells it.

use std::borrow::Cow;

use super::advice;
use super::locale::{Words, fill, number};
use super::output::{is_output, last_line, last_lines};
use super::prompt_redactor::PromptRedactor;
use super::text::{block, line};
use crate::domain::{JobEvent, JobStatus};

/// The most characters of a title, and of whatever stands in the place of one.
pub(super) const MAX_TITLE: usize = 160;
/// Characters of a message in sentences that either part shows.
const MAX_MESSAGE: usize = 1_000;

/// What went wrong.
#[derive(Debug, Default, serde::Serialize)]
pub struct Trouble<'a> {
    /// A short code.
    pub code: Option<Cow<'a, str>>,
    /// What a program's output comes to: its last line.
    pub headline: Option<Cow<'a, str>>,
    /// A message of one or more lines.
    pub message: Option<Cow<'a, str>>,
    /// Whether the message is a program's output: fixed pitch, every blank kept, the last lines
    /// where it was cut.
    pub is_output: bool,
    /// How much of the message was left out, in words; empty when nothing was.
    pub cut: String,
    /// What the reader can do about it.
    pub advice: &'static str,
}

/// Whether the code of the failure says that somebody stopped the job.
pub(super) fn is_canceled(job: &JobEvent) -> bool {
    let code = job
        .error
        .as_ref()
        .and_then(|error| error.code.as_deref())
        .unwrap_or_default();
    ["canceled", "cancelled", "aborted"]
        .iter()
        .any(|word| code.eq_ignore_ascii_case(word))
}

/// Whether a failure's message is what a program printed.
pub(super) fn is_machine(job: &JobEvent, message: &str) -> bool {
    job.command.is_some() || is_output(message)
}

/// One line of a text, without the prompts that the mail does not show.
pub(super) fn shown_line<'a>(text: &'a str, redactor: &PromptRedactor) -> Option<Cow<'a, str>> {
    match redactor.without(text)? {
        Cow::Borrowed(text) => line(text, MAX_TITLE),
        Cow::Owned(text) => line(&text, MAX_TITLE).map(|text| Cow::Owned(text.into_owned())),
    }
}

/// What went wrong. Services repeat the prompt in their messages; what is not shown of it elsewhere
/// is not shown here.
pub(super) fn trouble<'a>(
    job: &'a JobEvent,
    redactor: &PromptRedactor,
    words: &'static Words,
) -> Trouble<'a> {
    let advice = if is_canceled(job) {
        words.advice_stopped
    } else {
        advice::advice(job, words)
    };
    let empty = || Trouble {
        advice,
        ..Trouble::default()
    };
    let Some(error) = &job.error else {
        return empty();
    };
    let code = error
        .code
        .as_deref()
        .and_then(|code| shown_line(code, redactor));
    let message = error
        .message
        .as_deref()
        .and_then(|message| redactor.without(message));
    if let Some(message) = message
        .as_deref()
        .filter(|message| is_machine(job, message))
    {
        let Some((output, left_out)) = last_lines(message) else {
            return Trouble { code, ..empty() };
        };
        let cut = if left_out == 0 {
            String::new()
        } else {
            fill(words.cut_lines, &number(left_out))
        };
        if job.status == JobStatus::Succeeded {
            return Trouble {
                code,
                message: Some(Cow::Owned(output)),
                is_output: true,
                cut,
                ..empty()
            };
        }
        let headline = line(last_line(&output, MAX_TITLE), MAX_TITLE)
            .map(|line| Cow::Owned(line.into_owned()));
        // One line is its own headline.
        let message = output.contains('\n').then_some(Cow::Owned(output));
        return Trouble {
            code,
            headline,
            message,
            is_output: true,
            cut,
            ..empty()
        };
    }
    let (message, left_out) = message
        .and_then(|message| match message {
            Cow::Borrowed(message) => block(message, MAX_MESSAGE),
            Cow::Owned(message) => block(&message, MAX_MESSAGE)
                .map(|(message, left_out)| (Cow::Owned(message.into_owned()), left_out)),
        })
        .unzip();
    let cut = match left_out {
        None | Some(0) => String::new(),
        Some(count) => fill(words.cut, &number(count)),
    };
    Trouble {
        code,
        message,
        cut,
        ..empty()
    }
}
