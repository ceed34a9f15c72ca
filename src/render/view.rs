//! The data of a job mail's templates: [`View`], one serialisable value with texts cleaned and
//! bounded, but not escaped.

use std::borrow::Cow;

use super::facts::{self, Fact, facts};
use super::failure::{Trouble, is_canceled, shown_line, trouble};
use super::gallery::{Gallery, gallery};
use super::locale::{Words, around, fill, number, words};
use super::passages::{Passage, passages};
use super::prompt_redactor::PromptRedactor;
use super::subject::subject;
use super::text::{line, shorten};
use super::theme::Theme;
use super::{MailContext, Renderer, format};
use crate::domain::{JobEvent, JobStatus};

/// Maximum width of the preview line that inboxes show.
const PREHEADER: usize = 100;

/// The data of templates. Built-in and user templates get the same value under the name `mail`.
#[derive(Debug, serde::Serialize)]
pub struct View<'a> {
    /// The words of the reader's language.
    pub words: &'static Words,
    /// Name, logo, colours and footer of the sender. Named `look` because user templates refer to
    /// it.
    pub look: &'a Theme,
    /// Prefix of the subject; empty, or ends with a space.
    pub subject_prefix: &'a str,
    /// The job's name in the subject, shortened to the remaining width; may be empty.
    pub subject_name: Cow<'a, str>,
    /// End of the subject: size and number of images.
    pub subject_tail: String,
    /// How the job ended, in a few words.
    pub headline: &'static str,
    /// Title, one line.
    pub title: Option<Cow<'a, str>>,
    /// The main facts for one line; may be empty.
    pub summary: Vec<String>,
    /// Preview line shown beside the subject.
    pub preheader: Cow<'a, str>,
    /// Why the job failed. A success may have a message here, too.
    pub trouble: Trouble<'a>,
    /// The images.
    pub gallery: Gallery<'a>,
    /// The prompts.
    pub passages: Vec<Passage<'a>>,
    /// The table of facts.
    pub facts: Vec<Fact<'a>>,
    /// Footer: sender, and why it was sent to this address.
    pub sent_to: String,
    /// The event's ID.
    pub event_id: &'a str,
}

impl<'a> View<'a> {
    /// Builds the view of a job.
    pub fn of_job(renderer: &'a Renderer, job: &'a JobEvent, context: &MailContext<'a>) -> Self {
        let settings = &renderer.settings;
        let locale = job.locale.unwrap_or(settings.locale);
        let words = words(locale);
        let headline = headline(job, words);
        let redactor = PromptRedactor::of(job, settings.privacy.of(job));
        let title = job
            .title
            .as_deref()
            .and_then(|title| shown_line(title, &redactor));
        let (subject_name, subject_tail) =
            subject(renderer, job, words, headline, title.as_deref());
        let summary = summary(job, words);
        let trouble = trouble(job, &redactor, words);
        Self {
            words,
            look: &renderer.look,
            subject_prefix: &renderer.subject_prefix,
            subject_name,
            subject_tail,
            headline,
            preheader: preheader(job, &trouble, &summary, headline),
            title,
            summary,
            trouble,
            gallery: gallery(job, words, settings, context),
            passages: passages(job, settings.privacy.of(job), words),
            facts: facts(job, context.created_at, words, locale, &settings.timezone),
            sent_to: around(
                words.sent_to,
                &renderer.look.brand,
                context.recipient.as_str(),
            ),
            event_id: job.id.as_str(),
        }
    }
}

/// Mentions images if the job has any, otherwise just a job.
fn headline(job: &JobEvent, words: &'static Words) -> &'static str {
    let makes_pictures =
        !job.images.is_empty() || job.prompt.is_some() || job.model.is_some() || job.size.is_some();
    match (job.status, makes_pictures) {
        (JobStatus::Failed, _) if is_canceled(job) => words.job_canceled,
        (JobStatus::Succeeded, true) if job.images.len() > 1 => words.images_ready,
        (JobStatus::Succeeded, true) => words.image_ready,
        (JobStatus::Succeeded, false) => words.job_done,
        (JobStatus::Failed, true) => words.generation_failed,
        (JobStatus::Failed, false) => words.job_failed,
    }
}

/// `3 images · 1024×1024 · 9 s`, as far as known.
fn summary(job: &JobEvent, words: &Words) -> Vec<String> {
    let count = (job.images.len() > 1).then(|| fill(words.images, &number(job.images.len())));
    let size = facts::size(job).map(format::size_text);
    let span = facts::duration(job).map(|span| format::span_text(span, words));
    [count, size, span].into_iter().flatten().collect()
}

/// The reason of a failure, else the headline with the main facts.
fn preheader<'a>(
    job: &JobEvent,
    trouble: &Trouble<'a>,
    summary: &[String],
    headline: &'static str,
) -> Cow<'a, str> {
    let reason = match job.status {
        JobStatus::Failed => [&trouble.headline, &trouble.message, &trouble.code]
            .into_iter()
            .find_map(|text| line(text.as_deref()?, PREHEADER * 2)),
        JobStatus::Succeeded => None,
    };
    match reason {
        Some(reason) => Cow::Owned(shorten(&reason, PREHEADER).into_owned()),
        None if summary.is_empty() => Cow::Borrowed(headline),
        None => Cow::Owned([headline, " · ", &summary.join(" · ")].concat()),
    }
}
