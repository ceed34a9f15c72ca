//! The small facts of a job, one row each, and how numbers, spans and moments are written.

use std::borrow::Cow;
use std::time::Duration;

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

/// One row of the table of facts.
#[derive(Debug, Serialize)]
pub struct Fact<'a> {
    /// What it is.
    pub label: &'static str,
    /// The blanks that bring the value to its column in the text part.
    pub gap: &'static str,
    /// The value, one line.
    pub value: Cow<'a, str>,
}

impl<'a> Fact<'a> {
    fn new(label: &'static str, value: impl Into<Cow<'a, str>>) -> Self {
        let gap = BLANKS.get(columns(label).min(HANG - 1)..).unwrap_or(" ");
        Self { label, gap, value: value.into() }
    }
}

/// Every fact that the event knows, in the order in which readers ask for them; a moment is always among them, if only that of the report.
pub fn facts<'a>(job: &'a JobEvent, reported_at: Timestamp, words: &'static Words, locale: Locale, zone: &TimeZone) -> Vec<Fact<'a>> {
    let mut facts = Vec::with_capacity(10);
    let mut add = |label, value: Option<Cow<'a, str>>| facts.extend(value.map(|value| Fact::new(label, value)));
    let outside = |text: &'a Option<String>| text.as_deref().and_then(|text| line(text, MAX_VALUE));
    add(words.model, outside(&job.model));
    add(words.size, size(job).map(|size| Cow::Owned(size.to_string())));
    add(words.format, outside(&job.format));
    add(words.file_size, file_size(job, words).map(Cow::Owned));
    add(words.duration, duration(job).map(|span| Cow::Owned(span_text(span, words))));
    add(words.steps, job.steps.map(|steps| Cow::Owned(steps.to_string())));
    add(words.seed, job.seed.as_ref().map(|seed| Cow::Owned(seed.to_string())));
    add(words.job_id, outside(&job.job_id));
    let moment = |at: Option<Timestamp>| at.map(|at| Cow::Owned(moment_text(at, locale, zone)));
    add(words.started_at, moment(job.started_at));
    match job.finished_at {
        Some(_) => add(words.finished_at, moment(job.finished_at)),
        None => add(words.reported_at, moment(Some(reported_at))),
    }
    facts
}

/// The size that was named, or that of the first picture.
pub fn size(job: &JobEvent) -> Option<Size> {
    job.size.or_else(|| job.images.first().and_then(|image| Size::new(image.width?, image.height?).ok()))
}

/// `1024×768`.
pub fn size_text(size: Size) -> String {
    format!("{}×{}", size.width, size.height)
}

fn file_size(job: &JobEvent, words: &Words) -> Option<String> {
    let total = job.images.iter().try_fold(0_u64, |sum, image| image.file_size.map(|bytes| sum.saturating_add(bytes)))?;
    match job.images.len() {
        0 => None,
        1 => Some(bytes_text(total)),
        _ => Some(fill(words.total, &bytes_text(total))),
    }
}

/// Bytes in the largest unit that leaves at least 1, units of 1,024, one decimal below 100: `240 KB`, `1.2 MB`.
fn bytes_text(bytes: u64) -> String {
    let mut tenths = u128::from(bytes) * 10;
    let mut unit = "B";
    for larger in ["KB", "MB", "GB", "TB", "PB"] {
        if tenths < 10_240 {
            break;
        }
        tenths = (tenths + 512) / 1_024;
        unit = larger;
    }
    if tenths >= 1_000 || tenths.is_multiple_of(10) { format!("{} {unit}", (tenths + 5) / 10) } else { format!("{}.{} {unit}", tenths / 10, tenths % 10) }
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
        return if tenths == 0 || seconds >= 10 { format!("{seconds}{second}") } else { format!("{seconds}.{tenths}{second}") };
    }
    let ((large, large_unit), (small, small_unit)) = match seconds {
        0..3_600 => ((seconds / 60, minute), (seconds % 60, second)),
        3_600..86_400 => ((seconds / 3_600, hour), (seconds % 3_600 / 60, minute)),
        _ => ((seconds / 86_400, day), (seconds % 86_400 / 3_600, hour)),
    };
    if small == 0 { format!("{large}{large_unit}") } else { format!("{large}{large_unit} {small}{small_unit}") }
}

/// A moment in the configured zone, the zone as its distance from UTC, which no two zones share by name: `1 Jan 2026, 08:00:09 (UTC+8)`.
pub fn moment_text(at: Timestamp, locale: Locale, zone: &TimeZone) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let offset = zone.to_offset(at.to_jiff());
    let local = offset.to_datetime(at.to_jiff());
    let (year, month, day) = (local.year(), local.month(), local.day());
    let time = (local.hour(), local.minute(), local.second());
    let zone = zone_text(offset.seconds() / 60);
    match locale {
        Locale::ZhCn => format!("{year}年{month}月{day}日 {:02}:{:02}:{:02} (UTC{zone})", time.0, time.1, time.2),
        Locale::En => {
            let month = usize::try_from(month - 1).ok().and_then(|index| MONTHS.get(index)).unwrap_or(&"");
            format!("{day} {month} {year}, {:02}:{:02}:{:02} (UTC{zone})", time.0, time.1, time.2)
        }
    }
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
        assert_eq!(shown(Locale::ZhCn, "Asia/Shanghai"), "2026年1月1日 08:00:09 (UTC+8)");
        assert_eq!(shown(Locale::En, "Asia/Kolkata"), "1 Jan 2026, 05:30:09 (UTC+5:30)");
        assert_eq!(shown(Locale::En, "America/St_Johns"), "31 Dec 2025, 20:30:09 (UTC-3:30)");
        assert_eq!(shown(Locale::En, "UTC"), "1 Jan 2026, 00:00:09 (UTC)");
    }

    #[test]
    fn spans_are_told_in_their_two_largest_units() {
        let shown = |millis| span_text(Duration::from_millis(millis), words(Locale::En));
        assert_eq!([shown(0), shown(8_450), shown(12_900), shown(125_000)], ["0 s", "8.4 s", "12 s", "2 min 5 s"]);
        assert_eq!([shown(3_600_000), shown(100_800_000)], ["1 h", "1 d 4 h"]);
        assert_eq!(span_text(Duration::from_secs(125), words(Locale::ZhCn)), "2 分 5 秒");
    }

    #[test]
    fn bytes_are_told_in_the_largest_fitting_unit() {
        assert_eq!([bytes_text(0), bytes_text(1_023), bytes_text(245_760), bytes_text(1_258_291)], ["0 B", "1023 B", "240 KB", "1.2 MB"]);
        assert_eq!(bytes_text(u64::MAX), "16384 PB");
    }
}
