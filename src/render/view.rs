//! What a mail's templates may use: [`View`], one serialisable value for every mail, its texts cleaned and bounded but not escaped.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::facts::{self, Fact, facts};
use super::kept_back::KeptBack;
use super::locale::{Words, fill, number, words};
use super::look::Look;
use super::pictures::{Gallery, gallery};
use super::privacy::Shown;
use super::text::{block, columns, first_chars, line, shorten};
use super::{Addressed, Renderer};
use crate::domain::{JobEvent, JobStatus};

/// The columns that a subject keeps to, where prefix and headline leave room.
const SUBJECT: usize = 78;
/// The fewest columns that the name in a subject gets.
const SUBJECT_NAME: usize = 24;
/// The most characters of a title.
const MAX_TITLE: usize = 160;
/// The columns of the line that inboxes show beside the subject.
const PREHEADER: usize = 100;
/// Characters of a prompt that the HTML part shows, and how many more it shows rather than fold so little.
const FOLD: (usize, usize) = (600, 60);
/// Characters of a prompt that the text part shows.
const MAX_PASSAGE: usize = 10_000;
/// Characters of an error message that either part shows.
const MAX_MESSAGE: usize = 1_000;

/// All that templates know. Built-in ones are compiled in; own ones get the same value under the same name, `mail`.
#[derive(Debug, serde::Serialize)]
pub struct View<'a> {
    /// The words of the reader's language.
    pub words: &'static Words,
    /// Name, logo, colours and footer of whoever sends.
    pub look: &'a Look,
    /// Put before the subject; empty, or ends with a blank.
    pub subject_prefix: &'a str,
    /// What the subject is about, shortened to the room that is left.
    pub subject_name: Cow<'a, str>,
    /// The subject's end: size and number of pictures.
    pub subject_tail: String,
    /// How the job ended, in a few words.
    pub headline: &'static str,
    /// What it is called, one line.
    pub title: Option<Cow<'a, str>>,
    /// The main facts for one line; may be empty.
    pub summary: Vec<String>,
    /// What inboxes show beside the subject.
    pub preheader: Cow<'a, str>,
    /// What went wrong; a success may have something to say there, too.
    pub trouble: Trouble<'a>,
    /// The pictures.
    pub gallery: Gallery<'a>,
    /// The prompts that were given.
    pub passages: Vec<Passage<'a>>,
    /// The table of facts.
    pub facts: Vec<Fact<'a>>,
    /// Footer: who sent this.
    pub sent_by: String,
    /// Footer: why it went to this address.
    pub sent_to: String,
    /// The event's id.
    pub event_id: &'a str,
}

/// What went wrong.
#[derive(Debug, Default, serde::Serialize)]
pub struct Trouble<'a> {
    /// A short code.
    pub code: Option<Cow<'a, str>>,
    /// A message of one or more lines.
    pub message: Option<Cow<'a, str>>,
    /// How much of the message was left out, in words; empty when nothing was.
    pub cut: String,
}

/// A longer text under a label. Serialised with `short`, what the HTML part shows of it, as a field of its own.
#[derive(Debug)]
pub struct Passage<'a> {
    /// What it is.
    pub label: &'static str,
    /// As the text part shows it.
    pub text: Cow<'a, str>,
    /// How much the text part leaves out, in words; empty when nothing.
    pub cut: String,
    /// Where the HTML part ends, in bytes of `text`.
    fold: usize,
    /// How much the HTML part leaves out, in words; empty when nothing.
    pub folded: String,
}

impl<'a> Passage<'a> {
    /// A text that both parts show to its end.
    fn whole(label: &'static str, text: Cow<'a, str>) -> Self {
        Self { label, cut: String::new(), fold: text.len(), folded: String::new(), text }
    }

    /// As the HTML part shows it.
    pub fn short(&self) -> &str {
        self.text.get(..self.fold).unwrap_or(&self.text)
    }
}

impl Serialize for Passage<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Passage", 5)?;
        fields.serialize_field("label", self.label)?;
        fields.serialize_field("text", &self.text)?;
        fields.serialize_field("cut", &self.cut)?;
        fields.serialize_field("short", self.short())?;
        fields.serialize_field("folded", &self.folded)?;
        fields.end()
    }
}

impl<'a> View<'a> {
    /// Gathers what a job's mail shows.
    pub fn of_job(renderer: &'a Renderer, job: &'a JobEvent, addressed: &Addressed<'a>) -> Self {
        let settings = &renderer.settings;
        let locale = job.locale.unwrap_or(settings.locale);
        let words = words(locale);
        let headline = headline(job, words);
        let kept_back = KeptBack::of(job, settings.privacy.of(job));
        let title = job.title.as_deref().and_then(|title| shown_line(title, &kept_back));
        let (subject_name, subject_tail) = subject(renderer, job, words, headline, title.as_deref());
        let summary = summary(job, words);
        let trouble = trouble(job, &kept_back, words);
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
            gallery: gallery(job, words, settings, addressed),
            passages: passages(job, settings.privacy.of(job), words),
            facts: facts(job, addressed.created_at, words, locale, &settings.timezone),
            sent_by: fill(words.sent_by, &renderer.look.brand),
            sent_to: fill(words.sent_to, addressed.recipient.as_str()),
            event_id: job.id.as_str(),
        }
    }
}

/// Speaks of pictures where the job has to do with them, otherwise of a job.
fn headline(job: &JobEvent, words: &'static Words) -> &'static str {
    let makes_pictures = !job.images.is_empty() || job.prompt.is_some() || job.model.is_some() || job.size.is_some();
    match (job.status, makes_pictures) {
        (JobStatus::Failed, _) if is_canceled(job) => words.job_canceled,
        (JobStatus::Succeeded, true) if job.images.len() > 1 => words.images_ready,
        (JobStatus::Succeeded, true) => words.image_ready,
        (JobStatus::Succeeded, false) => words.job_done,
        (JobStatus::Failed, true) => words.generation_failed,
        (JobStatus::Failed, false) => words.job_failed,
    }
}

/// Whether the code of the failure says that somebody stopped the job.
fn is_canceled(job: &JobEvent) -> bool {
    let code = job.error.as_ref().and_then(|error| error.code.as_deref()).unwrap_or_default();
    ["canceled", "cancelled", "aborted"].iter().any(|word| code.eq_ignore_ascii_case(word))
}

/// The subject's name and end. Never the prompt, unless the operator wants it there: subjects are shown on locked screens and kept in logs.
fn subject<'a>(renderer: &Renderer, job: &'a JobEvent, words: &Words, headline: &str, title: Option<&str>) -> (Cow<'a, str>, String) {
    let count = if job.images.len() > 1 { Some(number(job.images.len())) } else { None };
    let privacy = renderer.settings.privacy;
    let prompt = job.prompt.as_deref().filter(|_| title.is_none() && privacy.in_subject).and_then(|prompt| privacy.of(job).part(prompt));
    let prompt = prompt.as_deref().and_then(|prompt| line(prompt, MAX_TITLE));
    let size = if title.is_some() || prompt.is_some() || job.model.is_none() { None } else { facts::size(job).map(facts::size_text) };
    let tail = match (size, count) {
        (None, None) => String::new(),
        (None, Some(count)) => fill(words.subject_images, &count),
        (Some(size), None) => fill(words.subject_fact, &size),
        (Some(size), Some(count)) => {
            let [open, between, close] = words.subject_fact_images;
            [open, &size, between, &count, close].concat()
        }
    };
    let taken = columns(&renderer.subject_prefix) + columns(headline) + columns(words.colon) + columns(&tail);
    let room = SUBJECT.saturating_sub(taken).max(SUBJECT_NAME);
    let own = |text: &str| Cow::Owned(shorten(text, room).into_owned());
    let name = if let Some(title) = title.or(prompt.as_deref()) {
        own(title)
    } else if let Some(model) = job.model.as_deref().and_then(|model| line(model, MAX_TITLE)) {
        own(&model)
    } else if let Some(job_id) = job.job_id.as_deref().and_then(|id| line(id, MAX_TITLE)) {
        own(&[words.job_id, " ", &job_id].concat())
    } else if let Some(size) = facts::size(job) {
        Cow::Owned(facts::size_text(size))
    } else {
        shorten(job.id.as_str(), room)
    };
    (name, tail)
}

/// `3 images · 1024×1024 · 9 s`, of what is known.
fn summary(job: &JobEvent, words: &Words) -> Vec<String> {
    let count = (job.images.len() > 1).then(|| fill(words.images, &number(job.images.len())));
    let size = facts::size(job).map(facts::size_text);
    let span = facts::duration(job).map(|span| facts::span_text(span, words));
    [count, size, span].into_iter().flatten().collect()
}

fn preheader<'a>(job: &JobEvent, trouble: &Trouble<'a>, summary: &[String], headline: &'static str) -> Cow<'a, str> {
    let reason = Some(trouble).filter(|_| job.status == JobStatus::Failed);
    let reason = reason.and_then(|trouble| trouble.message.as_deref().or(trouble.code.as_deref())).and_then(|reason| line(reason, MAX_MESSAGE));
    match reason {
        Some(reason) => Cow::Owned(shorten(&reason, PREHEADER).into_owned()),
        None if summary.is_empty() => Cow::Borrowed(headline),
        None => Cow::Owned([headline, " · ", &summary.join(" · ")].concat()),
    }
}

/// One line of a text, without the prompts that the mail does not show.
pub(super) fn shown_line<'a>(text: &'a str, kept_back: &KeptBack) -> Option<Cow<'a, str>> {
    match kept_back.without(text)? {
        Cow::Borrowed(text) => line(text, MAX_TITLE),
        Cow::Owned(text) => line(&text, MAX_TITLE).map(|text| Cow::Owned(text.into_owned())),
    }
}

/// What went wrong. Services repeat the prompt in their messages; what is not shown of it elsewhere is not shown here.
fn trouble<'a>(job: &'a JobEvent, kept_back: &KeptBack, words: &Words) -> Trouble<'a> {
    let Some(error) = &job.error else { return Trouble::default() };
    let code = error.code.as_deref().and_then(|code| shown_line(code, kept_back));
    let message = error.message.as_deref().and_then(|message| kept_back.without(message));
    let (message, left_out) = message
        .and_then(|message| match message {
            Cow::Borrowed(message) => block(message, MAX_MESSAGE),
            Cow::Owned(message) => block(&message, MAX_MESSAGE).map(|(message, left_out)| (Cow::Owned(message.into_owned()), left_out)),
        })
        .unzip();
    let cut = match left_out {
        None | Some(0) => String::new(),
        Some(count) => fill(words.cut, &number(count)),
    };
    Trouble { code, message, cut }
}

/// The prompts that were given, as far as they may be shown.
fn passages<'a>(job: &'a JobEvent, shown: Shown, words: &'static Words) -> Vec<Passage<'a>> {
    let given = [(words.prompt, &job.prompt), (words.prompt_translated, &job.prompt_translated), (words.negative_prompt, &job.negative_prompt)];
    let given = given.into_iter().filter_map(|(label, text)| Some((label, text.as_deref()?)));
    match shown {
        Shown::Full => given.filter_map(|(label, text)| passage(label, text, words)).collect(),
        Shown::Short | Shown::Hidden => {
            given.filter_map(|(label, text)| Some(Passage::whole(label, block(&shown.part(text)?, MAX_PASSAGE)?.0.into_owned().into()))).collect()
        }
        Shown::Folded => given.take(1).map(|(label, _)| Passage::whole(label, Cow::Borrowed(words.sensitive))).collect(),
    }
}

fn passage<'a>(label: &'static str, text: &'a str, words: &Words) -> Option<Passage<'a>> {
    let (text, left_out) = block(text, MAX_PASSAGE)?;
    let cut = if left_out == 0 { String::new() } else { fill(words.cut, &number(left_out)) };
    let (keep, spare) = FOLD;
    let (fold, folded) = if first_chars(&text, keep + spare).1 {
        let fold = first_chars(&text, keep).0.len();
        let hidden = text.get(fold..).unwrap_or_default().chars().count() + left_out;
        (fold, fill(words.folded, &number(hidden)))
    } else {
        (text.len(), String::new())
    };
    Some(Passage { label, text, cut, fold, folded })
}
