//! The subject of a job's mail: distinguishes jobs within the width that inboxes show.

use std::borrow::Cow;

use super::failure::{MAX_TITLE, is_canceled, is_machine, shown_line};
use super::locale::{Words, fill, number};
use super::output::last_line;
use super::privacy::PromptVisibility;
use super::prompt_redactor::PromptRedactor;
use super::text::{columns, line, shorten};
use super::{Renderer, facts, format};
use crate::domain::{JobEvent, JobStatus};

/// Maximum width of a subject, if prefix and headline leave enough.
const SUBJECT: usize = 78;
/// Minimum width of the name in a subject.
const SUBJECT_NAME: usize = 24;

/// Name and end of the subject. It contains the prompt only if the operator enables that: subjects
/// appear on lock screens and in logs.
pub(super) fn subject<'a>(
    renderer: &Renderer,
    job: &'a JobEvent,
    words: &Words,
    headline: &str,
    title: Option<&str>,
) -> (Cow<'a, str>, String) {
    let count = if job.images.len() > 1 {
        Some(number(job.images.len()))
    } else {
        None
    };
    let privacy = renderer.settings.privacy;
    let prompt = job
        .prompt
        .as_deref()
        .filter(|_| title.is_none() && privacy.in_subject)
        .and_then(|prompt| privacy.of(job).part(prompt));
    let prompt = prompt.as_deref().and_then(|prompt| line(prompt, MAX_TITLE));
    let size = if title.is_some() || prompt.is_some() || job.model.is_none() {
        None
    } else {
        facts::size(job).map(format::size_text)
    };
    let tail = match (size, count) {
        (None, None) => String::new(),
        (None, Some(count)) => fill(words.subject_images, &count),
        (Some(size), None) => fill(words.subject_fact, &size),
        (Some(size), Some(count)) => {
            let [open, between, close] = words.subject_fact_images;
            [open, &size, between, &count, close].concat()
        }
    };
    let taken = columns(&renderer.subject_prefix)
        + columns(headline)
        + columns(words.colon)
        + columns(&tail);
    let room = SUBJECT.saturating_sub(taken).max(SUBJECT_NAME);
    let own = |text: &str| Cow::Owned(shorten(text, room).into_owned());
    let name = if let Some(title) = title.or(prompt.as_deref()) {
        own(title)
    } else if let Some(model) = job
        .model
        .as_deref()
        .and_then(|model| line(model, MAX_TITLE))
    {
        own(&model)
    } else if let Some(job_id) = job.job_id.as_deref().and_then(|id| line(id, MAX_TITLE)) {
        own(&[words.job_id, " ", &job_id].concat())
    } else if let Some(reason) = reason(job) {
        own(&reason)
    } else if let Some(size) = facts::size(job) {
        Cow::Owned(format::size_text(size))
    } else if job.id_generated {
        Cow::Borrowed("")
    } else {
        shorten(job.id.as_str(), room)
    };
    (name, tail)
}

/// The reason of a failure in one line: the last line of its output, the first line of its message,
/// or its code, with prompts redacted.
fn reason(job: &JobEvent) -> Option<String> {
    let error = job
        .error
        .as_ref()
        .filter(|_| job.status == JobStatus::Failed)?;
    let without_prompts = PromptRedactor::of(job, PromptVisibility::Hidden);
    let shown = |text: &str| shown_line(text, &without_prompts).map(Cow::into_owned);
    let message = error.message.as_deref().and_then(|message| {
        let first = || {
            message
                .lines()
                .find(|line| line.chars().any(char::is_alphanumeric))
        };
        let line = if is_machine(job, message) {
            Some(last_line(message, MAX_TITLE))
        } else {
            first()
        };
        shown(line?)
    });
    // The headline already shows that the job was canceled.
    message.or_else(|| shown(error.code.as_deref().filter(|_| !is_canceled(job))?))
}
