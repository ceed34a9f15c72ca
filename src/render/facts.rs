//! The facts of a job, merged into a few lines, and the formatting of numbers, durations and times.

use std::borrow::Cow;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::Serialize;

use super::filters::HANG;
use super::format::{bytes_text, date_text, local, moment_text, time_text, zone_text};
use super::locale::{Words, fill};
use super::text::{columns, line};
use crate::domain::{JobEvent, Locale, Size, Timestamp};

/// Maximum number of characters of a value from the event.
const MAX_VALUE: usize = 120;
/// Padding between a label and its value.
const BLANKS: &str = "            ";
/// Separator of two facts on one line.
const BETWEEN: &str = " · ";

/// A labelled line of facts.
#[derive(Debug, Serialize)]
pub struct Fact<'a> {
    /// The label.
    pub label: &'static str,
    /// Padding that aligns the value in the text part.
    pub gap: &'static str,
    /// The value, one line.
    pub value: Cow<'a, str>,
    /// Whether it is an identifier or a command, set in monospace.
    pub is_code: bool,
    /// Whether it takes a whole line of the HTML part; other facts are set in pairs.
    pub is_wide: bool,
    /// Whether it starts such a line.
    pub begins_line: bool,
}

/// How a fact is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Set {
    /// A few words.
    Short,
    /// A short identifier.
    Code,
    /// May need a whole line.
    Wide,
    /// An identifier that may need a whole line.
    WideCode,
}

impl<'a> Fact<'a> {
    fn new(label: &'static str, value: Cow<'a, str>, set: Set) -> Self {
        let gap = BLANKS.get(columns(label).min(HANG - 1)..).unwrap_or(" ");
        let (is_code, is_wide) = (
            matches!(set, Set::Code | Set::WideCode),
            matches!(set, Set::Wide | Set::WideCode),
        );
        Self {
            label,
            gap,
            value,
            is_code,
            is_wide,
            begins_line: true,
        }
    }

    /// Builds the table of facts: short ones in pairs, an odd one on a separate line.
    pub(super) fn table(
        facts: impl IntoIterator<Item = (&'static str, Cow<'a, str>, Set)>,
    ) -> Vec<Self> {
        let mut facts: Vec<Self> = facts
            .into_iter()
            .map(|(label, value, set)| Self::new(label, value, set))
            .collect();
        let mut pairs = facts.iter_mut().peekable();
        while let Some(fact) = pairs.next() {
            match pairs.next_if(|next| !fact.is_wide && !next.is_wide) {
                Some(second) => second.begins_line = false,
                None => fact.is_wide = true,
            }
        }
        facts
    }
}

/// The facts beyond the summary line (size and duration), in reading order. There is always a time,
/// if only that of the report.
pub fn facts<'a>(
    job: &'a JobEvent,
    reported_at: Timestamp,
    words: &'static Words,
    locale: Locale,
    zone: &TimeZone,
) -> Vec<Fact<'a>> {
    let outside = |text: &'a Option<String>| text.as_deref().and_then(|text| line(text, MAX_VALUE));
    let (label, time) = times(job, reported_at, words, locale, zone);
    let lines = [
        (words.command, outside(&job.command), Set::WideCode),
        (words.model, outside(&job.model), Set::Wide),
        (
            words.file,
            joined([
                job.format.as_deref().and_then(format_text),
                file_size(job, words),
            ]),
            Set::Short,
        ),
        (
            words.settings,
            joined([
                job.steps.map(|steps| fill(words.steps, &steps.to_string())),
                seed(job, words),
            ]),
            Set::Short,
        ),
        (words.host, outside(&job.host), Set::Code),
        (words.job_id, outside(&job.job_id), Set::Code),
        (label, Some(Cow::Owned(time)), Set::Wide),
    ];
    Fact::table(
        lines
            .into_iter()
            .filter_map(|(label, value, set)| Some((label, value?, set))),
    )
}

fn joined<'a>(parts: [Option<String>; 2]) -> Option<Cow<'a, str>> {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| Cow::Owned(parts.join(BETWEEN)))
}

fn seed(job: &JobEvent, words: &Words) -> Option<String> {
    job.seed
        .as_ref()
        .map(|seed| fill(words.seed, &seed.to_string()))
}

/// The name of a format, in capitals if it is a common short one.
fn format_text(format: &str) -> Option<String> {
    let format = line(format, MAX_VALUE)?;
    let is_short = format.len() <= 5 && format.bytes().all(|byte| byte.is_ascii_alphanumeric());
    Some(if is_short {
        format.to_ascii_uppercase()
    } else {
        format.into_owned()
    })
}

/// The size named by the event, or that of the first image.
pub fn size(job: &JobEvent) -> Option<Size> {
    job.size.or_else(|| {
        job.images
            .first()
            .and_then(|image| Size::new(image.width?, image.height?).ok())
    })
}

fn file_size(job: &JobEvent, words: &Words) -> Option<String> {
    let total = job.images.iter().try_fold(0_u64, |sum, image| {
        image.file_size.map(|bytes| sum.saturating_add(bytes))
    })?;
    match job.images.len() {
        0 => None,
        1 => Some(bytes_text(total)),
        _ => Some(fill(words.total, &bytes_text(total))),
    }
}

/// Duration of the job, if both times are known and in order.
pub fn duration(job: &JobEvent) -> Option<Duration> {
    let (started, finished) = (job.started_at?, job.finished_at?);
    (finished >= started).then(|| finished.since(started))
}

/// When the job ran: start and end if both are known, else the known one, else the time of the
/// report.
fn times(
    job: &JobEvent,
    reported_at: Timestamp,
    words: &'static Words,
    locale: Locale,
    zone: &TimeZone,
) -> (&'static str, String) {
    let moment = |at| moment_text(at, locale, zone);
    match (job.started_at, job.finished_at) {
        (Some(started), Some(finished)) => {
            let (from, from_zone) = local(started, zone);
            let (to, to_zone) = local(finished, zone);
            let same_day = (from.date(), from_zone) == (to.date(), to_zone);
            let text = if same_day {
                format!(
                    "{} {} → {} (UTC{})",
                    date_text(from, locale),
                    time_text(from),
                    time_text(to),
                    zone_text(to_zone)
                )
            } else {
                format!("{} → {}", moment(started), moment(finished))
            };
            (words.time, text)
        }
        (_, Some(finished)) => (words.finished_at, moment(finished)),
        (Some(started), None) => (words.started_at, moment(started)),
        (None, None) => (words.reported_at, moment(reported_at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::locale::words;

    #[test]
    fn start_and_end_share_a_line_and_a_date_if_possible() {
        let shown = |started: Option<&str>, finished: Option<&str>| {
            let at = |text: Option<&str>| text.map(|text| text.parse().unwrap());
            let id = crate::domain::EventId::parse("e").unwrap();
            let job = JobEvent {
                started_at: at(started),
                finished_at: at(finished),
                ..JobEvent::new(id, crate::domain::JobStatus::Succeeded)
            };
            times(
                &job,
                "2026-01-02T00:00:00Z".parse().unwrap(),
                words(Locale::En),
                Locale::En,
                &TimeZone::UTC,
            )
        };
        let (noon, later, next_day) = (
            Some("2026-01-01T12:00:00Z"),
            Some("2026-01-01T12:00:09Z"),
            Some("2026-01-02T01:00:00Z"),
        );
        assert_eq!(
            shown(noon, later),
            ("Time", "1 Jan 2026, 12:00:00 → 12:00:09 (UTC)".to_owned())
        );
        assert_eq!(
            shown(noon, next_day).1,
            "1 Jan 2026, 12:00:00 (UTC) → 2 Jan 2026, 01:00:00 (UTC)"
        );
        assert_eq!(
            (
                shown(noon, None).0,
                shown(None, noon).0,
                shown(None, None).0
            ),
            ("Started", "Finished", "Reported")
        );
    }

    #[test]
    fn short_facts_are_paired_and_wide_ones_are_not() {
        let table = |sets: &[Set]| {
            let facts = Fact::table(sets.iter().map(|set| ("a", Cow::Borrowed("b"), *set)));
            facts
                .iter()
                .map(|fact| (fact.begins_line, fact.is_wide))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            table(&[Set::Short, Set::Code, Set::Short]),
            [(true, false), (false, false), (true, true)]
        );
        assert_eq!(
            table(&[Set::Wide, Set::Short, Set::Wide]),
            [(true, true), (true, true), (true, true)]
        );
    }
}
