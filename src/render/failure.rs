//! The failure part of a job's mail.

use std::borrow::Cow;

use super::advice;
use super::locale::{Words, fill, number};
use super::output::{is_output, last_line, last_lines};
use super::prompt_redactor::PromptRedactor;
use super::text::{block, line};
use crate::domain::{JobEvent, JobStatus};

/// Maximum number of characters of a title or of its substitute.
pub(super) const MAX_TITLE: usize = 160;
/// Maximum number of characters shown of a message in prose.
const MAX_MESSAGE: usize = 1_000;

/// Why a job failed.
#[derive(Debug, Default, serde::Serialize)]
pub struct Trouble<'a> {
    /// A short code.
    pub code: Option<Cow<'a, str>>,
    /// The last line of a program's output.
    pub headline: Option<Cow<'a, str>>,
    /// The message, one or more lines.
    pub message: Option<Cow<'a, str>>,
    /// Whether the message is program output: monospace, white space kept, cut at the beginning.
    pub is_output: bool,
    /// How much of the message was cut, in words; empty if nothing was.
    pub cut: String,
    /// Advice for the reader.
    pub advice: &'static str,
}

/// Whether the failure's code means that the job was stopped on purpose.
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

/// Whether a failure's message is program output.
pub(super) fn is_machine(job: &JobEvent, message: &str) -> bool {
    job.command.is_some() || is_output(message)
}

/// One line of a text, without redacted prompts.
pub(super) fn shown_line<'a>(text: &'a str, redactor: &PromptRedactor) -> Option<Cow<'a, str>> {
    match redactor.without(text)? {
        Cow::Borrowed(text) => line(text, MAX_TITLE),
        Cow::Owned(text) => line(&text, MAX_TITLE).map(|text| Cow::Owned(text.into_owned())),
    }
}

/// Builds the failure part. Services repeat the prompt in their messages, so prompts are redacted
/// here too.
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
    let mut trouble = Trouble {
        advice,
        ..Trouble::default()
    };
    let Some(error) = &job.error else {
        return trouble;
    };
    let code = error.code.as_deref();
    trouble.code = code.and_then(|code| shown_line(code, redactor));
    let message = error.message.as_deref();
    if let Some(message) = message.and_then(|message| redactor.without(message)) {
        if is_machine(job, &message) {
            trouble.set_output(&message, job.status, words);
        } else {
            trouble.set_message(message, words);
        }
    }
    trouble
}

impl<'a> Trouble<'a> {
    /// Shows the end of a program's output; of a failure, its last line is the headline.
    fn set_output(&mut self, message: &str, status: JobStatus, words: &'static Words) {
        let Some((output, left_out)) = last_lines(message) else {
            return;
        };
        self.is_output = true;
        if left_out > 0 {
            self.cut = fill(words.cut_lines, &number(left_out));
        }
        if status == JobStatus::Failed {
            self.headline = line(last_line(&output, MAX_TITLE), MAX_TITLE)
                .map(|line| Cow::Owned(line.into_owned()));
            if !output.contains('\n') {
                // A single line is already the headline.
                return;
            }
        }
        self.message = Some(Cow::Owned(output));
    }

    /// Shows the beginning of a message in prose.
    fn set_message(&mut self, message: Cow<'a, str>, words: &'static Words) {
        let shown = match message {
            Cow::Borrowed(message) => block(message, MAX_MESSAGE),
            Cow::Owned(message) => block(&message, MAX_MESSAGE)
                .map(|(message, left_out)| (Cow::Owned(message.into_owned()), left_out)),
        };
        if let Some((message, left_out)) = shown {
            self.message = Some(message);
            if left_out > 0 {
                self.cut = fill(words.cut, &number(left_out));
            }
        }
    }
}
