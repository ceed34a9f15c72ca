//! Formats sizes, byte counts, durations and times.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::locale::Words;
use crate::domain::{Locale, Size, Timestamp};

/// `1024×768`.
pub fn size_text(size: Size) -> String {
    format!("{}×{}", size.width, size.height)
}

/// Bytes in the largest unit that gives at least 1, decimal (1 KB = 1,000), with one decimal place
/// below 100: `246 KB`, `1.3 MB`.
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

/// A duration in its two largest units: `8.4 s`, `2 min 5 s`, `3 h`, `1 d 4 h`.
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

/// A time in the configured zone, with its UTC offset because zone names are ambiguous: `1 Jan
/// 2026, 08:00:09 (UTC+8)`.
pub fn moment_text(at: Timestamp, locale: Locale, zone: &TimeZone) -> String {
    let (local, minutes) = local(at, zone);
    format!(
        "{} {} (UTC{})",
        date_text(local, locale),
        time_text(local),
        zone_text(minutes)
    )
}

/// The time of day in the configured zone, with the date unless it is the day of `now`: `08:10`, `3
/// Jan 2026, 08:10`.
pub(super) fn soon_text(at: Timestamp, now: Timestamp, locale: Locale, zone: &TimeZone) -> String {
    let (there, here) = (local(at, zone).0, local(now, zone).0);
    let time = format!("{:02}:{:02}", there.hour(), there.minute());
    if there.date() == here.date() {
        time
    } else {
        [&date_text(there, locale), " ", &time].concat()
    }
}

/// Local time in the zone, and the zone's UTC offset in minutes.
pub(super) fn local(at: Timestamp, zone: &TimeZone) -> (DateTime, i32) {
    let offset = zone.to_offset(at.to_jiff());
    (offset.to_datetime(at.to_jiff()), offset.seconds() / 60)
}

/// A date and its separator from a time: `1 Jan 2026,`, `2026年1月1日`.
pub(super) fn date_text(local: DateTime, locale: Locale) -> String {
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

pub(super) fn time_text(local: DateTime) -> String {
    format!(
        "{:02}:{:02}:{:02}",
        local.hour(),
        local.minute(),
        local.second()
    )
}

/// The UTC offset: `+8`, `-3:30`, empty for UTC itself.
pub(super) fn zone_text(minutes: i32) -> String {
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
    fn times_are_shown_in_the_configured_zone() {
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
    fn durations_use_their_two_largest_units() {
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
    fn byte_counts_use_the_largest_fitting_unit() {
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
