//! Durations, sizes and rates as written in a configuration.

use std::time::Duration;

use crate::domain::duration_text::{LONG_SPANS, SPANS, leading_number};
pub(super) use crate::domain::duration_text::{show_span, span_ms};
use crate::transport::RateLimit;

const SIZES: [(&str, u64); 7] = [
    ("b", 1),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
];

/// Parses `1MiB`, `512 KiB`, `2MB` or a number of bytes; units are case-insensitive.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = leading_number(text.trim())?;
    let unit = if unit.is_empty() {
        "b".to_owned()
    } else {
        unit.to_ascii_lowercase()
    };
    SIZES
        .iter()
        .find(|(name, _)| *name == unit)
        .and_then(|(_, factor)| number.checked_mul(*factor))
}

/// Parses `30/min`.
pub(super) fn rate(text: &str) -> Option<RateLimit> {
    let (number, unit) = text.split_once('/')?;
    let mails: u32 = number
        .trim()
        .parse()
        .ok()
        .filter(|mails| (1..=1_000_000).contains(mails))?;
    let unit = match unit.trim() {
        "m" | "minute" => "min",
        "second" => "sec",
        other => other,
    };
    let (_, ms) = SPANS
        .iter()
        .filter(|(name, _)| matches!(*name, "s" | "h" | "d"))
        .chain(&LONG_SPANS)
        .find(|(name, _)| *name == unit)?;
    Some(RateLimit {
        mails,
        per: Duration::from_millis(*ms),
    })
}

/// Formats a rate for [`rate`].
pub(super) fn show_rate(rate: RateLimit) -> String {
    let unit = match rate.per.as_secs() {
        0..60 => "s",
        60..3_600 => "min",
        3_600..86_400 => "h",
        _ => "day",
    };
    format!("{}/{unit}", rate.mails)
}

/// Formats a size in the largest binary unit that divides it.
pub(super) fn show_bytes(bytes: u64) -> String {
    let (name, shift) = [("GiB", 30), ("MiB", 20), ("KiB", 10)]
        .into_iter()
        .find(|(_, shift)| bytes != 0 && bytes.trailing_zeros() >= *shift)
        .unwrap_or(("B", 0));
    format!("{}{name}", bytes >> shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_parsed_in_both_unit_systems() {
        for (text, size) in [
            ("1MiB", 1 << 20),
            ("512KiB", 512 << 10),
            ("2MB", 2_000_000),
            ("500 kB", 500_000),
            ("1048576", 1 << 20),
            ("7B", 7),
        ] {
            assert_eq!(bytes(text), Some(size), "{text}");
        }
        for text in ["", "MiB", "1M", "-1", "1.5MiB", "99999999999GiB"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    #[test]
    fn rates_have_a_number_and_a_unit() {
        let limit = |mails, seconds| {
            Some(RateLimit {
                mails,
                per: Duration::from_secs(seconds),
            })
        };
        assert_eq!(rate("30/min"), limit(30, 60));
        assert_eq!(rate("2/s"), limit(2, 1));
        assert_eq!(rate("100 / h"), limit(100, 3_600));
        assert_eq!(rate("500/day"), limit(500, 86_400));
        for text in [
            "30",
            "0/min",
            "/min",
            "30/week",
            "30/ms",
            "-3/s",
            "1000001/s",
        ] {
            assert_eq!(rate(text), None, "{text}");
        }
    }

    #[test]
    fn bounds_are_shown_in_round_units() {
        assert_eq!(
            (
                show_span(100).as_str(),
                show_span(1_000).as_str(),
                show_span(7 * 86_400_000).as_str()
            ),
            ("100ms", "1s", "7d")
        );
        assert_eq!(
            (
                show_bytes(1_024).as_str(),
                show_bytes(64 << 20).as_str(),
                show_bytes(1_000).as_str()
            ),
            ("1KiB", "64MiB", "1000B")
        );
    }
}
