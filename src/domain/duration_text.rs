//! Durations as text: `30s`, `10m`, `1h30m`, `2d`.

/// Units of one or two letters, in milliseconds.
pub(crate) const SPANS: [(&str, u64); 6] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
];
/// Units as words, in milliseconds.
pub(crate) const LONG_SPANS: [(&str, u64); 4] = [
    ("sec", 1_000),
    ("min", 60_000),
    ("hour", 3_600_000),
    ("day", 86_400_000),
];

/// Parses `30s`, `1h30m`, `2 d` or a bare number of seconds, to milliseconds.
pub(crate) fn span_ms(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    if let Ok(seconds) = rest.parse::<u64>() {
        return seconds.checked_mul(1_000);
    }
    let mut total: Option<u64> = None;
    while !rest.is_empty() {
        let (number, after) = leading_number(rest)?;
        let end = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, tail) = after.split_at_checked(end)?;
        let (_, factor) = SPANS
            .iter()
            .chain(&LONG_SPANS)
            .find(|(name, _)| *name == unit)?;
        total = Some(
            total
                .unwrap_or(0)
                .checked_add(number.checked_mul(*factor)?)?,
        );
        rest = tail.trim_start();
    }
    total
}

/// Splits a text into its leading number and the rest without leading blanks.
pub(crate) fn leading_number(text: &str) -> Option<(u64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, rest.trim_start()))
}

/// Formats milliseconds in the largest unit that divides them, up to days.
pub(crate) fn show_span(ms: u64) -> String {
    let days_and_less = SPANS.iter().rev().filter(|(name, _)| *name != "w");
    let (name, factor) = days_and_less
        .clone()
        .find(|(_, factor)| ms >= *factor && ms.is_multiple_of(*factor))
        .copied()
        .unwrap_or(("ms", 1));
    format!("{}{name}", ms / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed_in_every_notation() {
        for (text, ms) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("15m", 900_000),
            ("2h", 7_200_000),
            ("2d", 172_800_000),
            ("1h30m", 5_400_000),
            ("1 h 30 min", 5_400_000),
            ("30", 30_000),
            ("0s", 0),
        ] {
            assert_eq!(span_ms(text), Some(ms), "{text}");
        }
        for text in [
            "",
            "s",
            "3 fortnights",
            "-1s",
            "1.5h",
            "30s!",
            "99999999999999999999s",
            "18446744073709551615d",
            "1h30",
            "五s",
        ] {
            assert_eq!(span_ms(text), None, "{text}");
        }
    }
}
