//! The small facts of a job, merged into a few lines, and how numbers, spans and moments are
//! written.

use std::borrow::Cow;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::filters::HANG;
use super::locale::{Words, fill};
use super::text::{columns, line};
use crate::domain::{JobEvent, Locale, Size, Timestamp};

/// The most characters of a fact that came from outside.
const MAX_VALUE: usize = 120;
/// As many blanks as may stand between a label and its value.
const BLANKS: &str = "            ";
/// Between two facts that share a line.
const BETWEEN: &str = " · ";

/// One line of facts under a label.
#[derive(Debug, Serialize)]
pub struct Fact<'a> {
    /// What it is.
    pub label: &'static str,
    /// The blanks that bring the value to its column in the text part.
    pub gap: &'static str,
    /// The value, one line.
    pub value: Cow<'a, str>,
    /// Whether it is an identifier or a command, set in a fixed pitch.
    pub is_code: bool,
    /// Whether it has a line of the HTML part to itself; others stand in pairs.
    pub is_wide: bool,
    /// Whether such a line begins with it.
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

    /// A table of facts: short ones in pairs, one that is left over on a line of its own.
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

/// What the event knows beyond the summary line (size and duration), in the order in which readers
/// ask for it. A moment is always among them, if only that of the report.
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

/// The name of a format: in capitals where it is one of the usual short ones.
fn format_text(format: &str) -> Option<String> {
    let format = line(format, MAX_VALUE)?;
    let is_short = format.len() <= 5 && format.bytes().all(|byte| byte.is_ascii_alphanumeric());
    Some(if is_short {
        format.to_ascii_uppercase()
    } else {
        format.into_owned()
    })
}

/// The size that was named, or that of the first picture.
pub fn size(job: &JobEvent) -> Option<Size> {
    job.size.or_else(|| {
        job.images
            .first()
            .and_then(|image| Size::new(image.width?, image.height?).ok())
    })
}

/// `1024×768`.
pub fn size_text(size: Size) -> String {
    format!("{}×{}", size.width, size.height)
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

/// Bytes in the largest unit that leaves at least 1, in steps of 1,000, one decimal below 100: `246
/// KB`, `1.3 MB`.
pub fn bytes_text(bytes: u64) -> String {
    let mut tenths = u128::from(bytes) * 10;
    let mut unit = "B";
    for larger in ["KB", "MB", "GB", "TB", "PB", "EB"] {
        if tenths < 10_000 {
            break;
        }
        tenths = (tenths + 500) / 1_000;
        unit = larger;
    }
    if tenths >= 1_000 || tenths.is_multiple_of(10) {
        format!("{} {unit}", (tenths + 5) / 10)
    } else {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    }
}

/// How long the job took, when both ends are known and in order.
pub fn duration(job: &JobEvent) -> Option<Duration> {
    let (started, finished) = (job.started_at?, job.finished_at?);
    (finished >= started).then(|| finished.since(started))
}

/// A span in its two largest units: `8.4 s`, `2 min 5 s`, `3 h`, `1 d 4 h`.
pub fn span_text(span: Duration, words: &Words) -> String {
    let [day, hour, minute, second] = words.units;
    let seconds = span.as_secs();
    if seconds < 60 {
        let tenths = span.subsec_millis() / 100;
        return if tenths == 0 || seconds >= 10 {
            format!("{seconds}{second}")
        } else {
            format!("{seconds}.{tenths}{second}")
        };
    }
    let ((large, large_unit), (small, small_unit)) = match seconds {
        0..3_600 => ((seconds / 60, minute), (seconds % 60, second)),
        3_600..86_400 => ((seconds / 3_600, hour), (seconds % 3_600 / 60, minute)),
        _ => ((seconds / 86_400, day), (seconds % 86_400 / 3_600, hour)),
    };
    if small == 0 {
        format!("{large}{large_unit}")
    } else {
        format!("{large}{large_unit} {small}{small_unit}")
    }
}

/// When the job ran: from start to end where both are known, else the one moment that is, else that
/// of the report.
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

/// A moment in the configured zone, the zone as its distance from UTC, which no two zones share by
/// name: `1 Jan 2026, 08:00:09 (UTC+8)`.
pub fn moment_text(at: Timestamp, locale: Locale, zone: &TimeZone) -> String {
    let (local, minutes) = local(at, zone);
    format!(
        "{} {} (UTC{})",
        date_text(local, locale),
        time_text(local),
        zone_text(minutes)
    )
}

/// The time of day in the configured zone, with the date where that is not the day of `now`:
/// `08:10`, `3 Jan 2026, 08:10`.
pub(super) fn soon_text(at: Timestamp, now: Timestamp, locale: Locale, zone: &TimeZone) -> String {
    let (there, here) = (local(at, zone).0, local(now, zone).0);
    let time = format!("{:02}:{:02}", there.hour(), there.minute());
    if there.date() == here.date() {
        time
    } else {
        [&date_text(there, locale), " ", &time].concat()
    }
}

/// The moment as clocks in the zone show it, and the zone's distance from UTC in minutes.
fn local(at: Timestamp, zone: &TimeZone) -> (DateTime, i32) {
    let offset = zone.to_offset(at.to_jiff());
    (offset.to_datetime(at.to_jiff()), offset.seconds() / 60)
}

/// A date with what stands between it and a time: `1 Jan 2026,`, `2026年1月1日`.
fn date_text(local: DateTime, locale: Locale) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (year, month, day) = (local.year(), local.month(), local.day());
    match locale {
        Locale::ZhCn => format!("{year}年{month}月{day}日"),
        Locale::En => {
            let month = usize::try_from(month - 1)
                .ok()
                .and_then(|index| MONTHS.get(index))
                .unwrap_or(&"");
            format!("{day} {month} {year},")
        }
    }
}

fn time_text(local: DateTime) -> String {
    format!(
        "{:02}:{:02}:{:02}",
        local.hour(),
        local.minute(),
        local.second()
    )
}

/// The distance from UTC: `+8`, `-3:30`, nothing for UTC itself.
fn zone_text(minutes: i32) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    match (minutes.abs() / 60, minutes.abs() % 60) {
        (0, 0) => String::new(),
        (hours, 0) => format!("{sign}{hours}"),
        (hours, rest) => format!("{sign}{hours}:{rest:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::locale::words;

    #[test]
    fn moments_are_shown_in_the_configured_zone() {
        let at: Timestamp = "2026-01-01T00:00:09Z".parse().unwrap();
        let shown = |locale, zone| moment_text(at, locale, &TimeZone::get(zone).unwrap());
        assert_eq!(
            shown(Locale::ZhCn, "Asia/Shanghai"),
            "2026年1月1日 08:00:09 (UTC+8)"
        );
        assert_eq!(
            shown(Locale::En, "Asia/Kolkata"),
            "1 Jan 2026, 05:30:09 (UTC+5:30)"
        );
        assert_eq!(
            shown(Locale::En, "America/St_Johns"),
            "31 Dec 2025, 20:30:09 (UTC-3:30)"
        );
        assert_eq!(shown(Locale::En, "UTC"), "1 Jan 2026, 00:00:09 (UTC)");
    }

    #[test]
    fn start_and_end_share_one_line_and_one_date_where_they_can() {
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
    fn short_facts_stand_in_pairs_and_wide_ones_alone() {
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

    #[test]
    fn spans_are_told_in_their_two_largest_units() {
        let shown = |millis| span_text(Duration::from_millis(millis), words(Locale::En));
        assert_eq!(
            [shown(0), shown(8_450), shown(12_900), shown(125_000)],
            ["0 s", "8.4 s", "12 s", "2 min 5 s"]
        );
        assert_eq!([shown(3_600_000), shown(100_800_000)], ["1 h", "1 d 4 h"]);
        assert_eq!(
            span_text(Duration::from_secs(125), words(Locale::ZhCn)),
            "2 分 5 秒"
        );
    }

    #[test]
    fn bytes_are_told_in_the_largest_fitting_unit() {
        assert_eq!(
            [
                bytes_text(0),
                bytes_text(999),
                bytes_text(245_760),
                bytes_text(1_258_291)
            ],
            ["0 B", "999 B", "246 KB", "1.3 MB"]
        );
        assert_eq!(
            [
                bytes_text(12_345),
                bytes_text(100_000),
                bytes_text(u64::MAX)
            ],
            ["12.3 KB", "100 KB", "18.4 EB"]
        );
    }
}
