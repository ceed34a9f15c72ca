//! The subject of a job's mail: what tells one job from another, in the columns that inboxes show.

use std::borrow::Cow;

use super::failure::{MAX_TITLE, is_canceled, is_machine, shown_line};
use super::locale::{Words, fill, number};
use super::output::last_line;
use super::privacy::PromptVisibility;
use super::prompt_redactor::PromptRedactor;
use super::text::{columns, line, shorten};
use super::{Renderer, facts};
use crate::domain::{JobEvent, JobStatus};

/// The columns that a subject keeps to, where prefix and headline leave room.
const SUBJECT: usize = 78;
/// The fewest columns that the name in a subject gets.
const SUBJECT_NAME: usize = 24;

/// The subject's name and end. Never the prompt, unless the operator wants it there: subjects are
/// shown on locked screens and kept in logs.
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
        facts::size(job).map(facts::size_text)
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
        Cow::Owned(facts::size_text(size))
    } else if job.id_generated {
        Cow::Borrowed("")
    } else {
        shorten(job.id.as_str(), room)
    };
    (name, tail)
}

/// Why a job failed, in one line for its subject: what its output comes to, the first line of its
/// message, or its code. The prompts are in none of these.
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
    // The headline says already that it was canceled.
    message.or_else(|| shown(error.code.as_deref().filter(|_| !is_canceled(job))?))
}
