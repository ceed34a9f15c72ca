//! Time zones as people write them: what is no IANA name gets the one that is meant, and none where
//! it is not clear.

use jiff::tz::TimeZoneDatabase;

/// How alike the last part of a name must be for a slip.
const ALIKE: f64 = 0.75;

/// Cities and other names that the database does not have, with the zone whose time is kept there.
const NAMES: [(&str, &str); 34] = [
    ("beijing", "Asia/Shanghai"),
    ("peking", "Asia/Shanghai"),
    ("shenzhen", "Asia/Shanghai"),
    ("guangzhou", "Asia/Shanghai"),
    ("hangzhou", "Asia/Shanghai"),
    ("nanjing", "Asia/Shanghai"),
    ("chengdu", "Asia/Shanghai"),
    ("wuhan", "Asia/Shanghai"),
    ("xian", "Asia/Shanghai"),
    ("tianjin", "Asia/Shanghai"),
    ("china", "Asia/Shanghai"),
    ("北京", "Asia/Shanghai"),
    ("上海", "Asia/Shanghai"),
    ("香港", "Asia/Hong_Kong"),
    ("台北", "Asia/Taipei"),
    ("东京", "Asia/Tokyo"),
    ("osaka", "Asia/Tokyo"),
    ("delhi", "Asia/Kolkata"),
    ("new_delhi", "Asia/Kolkata"),
    ("mumbai", "Asia/Kolkata"),
    ("bangalore", "Asia/Kolkata"),
    ("hanoi", "Asia/Ho_Chi_Minh"),
    ("san_francisco", "America/Los_Angeles"),
    ("seattle", "America/Los_Angeles"),
    ("california", "America/Los_Angeles"),
    ("washington", "America/New_York"),
    ("boston", "America/New_York"),
    ("miami", "America/New_York"),
    ("dallas", "America/Chicago"),
    ("houston", "America/Chicago"),
    ("munich", "Europe/Berlin"),
    ("frankfurt", "Europe/Berlin"),
    ("geneva", "Europe/Zurich"),
    ("barcelona", "Europe/Madrid"),
];

/// Abbreviations of one zone.
const SHORT: [(&str, &str); 14] = [
    ("PST", "America/Los_Angeles"),
    ("PDT", "America/Los_Angeles"),
    ("MDT", "America/Denver"),
    ("CDT", "America/Chicago"),
    ("EDT", "America/New_York"),
    ("JST", "Asia/Tokyo"),
    ("KST", "Asia/Seoul"),
    ("HKT", "Asia/Hong_Kong"),
    ("SGT", "Asia/Singapore"),
    ("CEST", "Europe/Berlin"),
    ("MSK", "Europe/Moscow"),
    ("AEST", "Australia/Sydney"),
    ("AEDT", "Australia/Sydney"),
    ("NZST", "Pacific/Auckland"),
];

/// Abbreviations that stand for several zones.
const UNCLEAR: [(&str, &str); 5] = [
    (
        "CST",
        "China (\"Asia/Shanghai\"), North America (\"America/Chicago\") and Cuba (\"America/Havana\")",
    ),
    (
        "IST",
        "India (\"Asia/Kolkata\"), Israel (\"Asia/Jerusalem\") and Ireland (\"Europe/Dublin\")",
    ),
    (
        "BST",
        "Britain (\"Europe/London\") and Bangladesh (\"Asia/Dhaka\")",
    ),
    (
        "AST",
        "the Atlantic (\"America/Halifax\") and Arabia (\"Asia/Riyadh\")",
    ),
    (
        "ACT",
        "Acre (\"America/Rio_Branco\") and Australia (\"Australia/Darwin\")",
    ),
];

/// Offsets that are no whole hours, with the zone that keeps them all year.
const PARTS: [(i32, &str); 8] = [
    (210, "Asia/Tehran"),
    (270, "Asia/Kabul"),
    (330, "Asia/Kolkata"),
    (345, "Asia/Kathmandu"),
    (390, "Asia/Yangon"),
    (525, "Australia/Eucla"),
    (570, "Australia/Darwin"),
    (-570, "Pacific/Marquesas"),
];

/// What was probably meant by a name that is no zone.
pub(super) fn advice(text: &str, zones: &TimeZoneDatabase) -> Option<String> {
    let upper = text.to_ascii_uppercase();
    if let Some((_, which)) = UNCLEAR.iter().find(|(short, _)| *short == upper) {
        return Some(format!(
            "{upper} is used in {which}; write the one that you mean"
        ));
    }
    let meant = |name: &str| Some(format!("did you mean \"{name}\"?"));
    if let Some((_, zone)) = SHORT.iter().find(|(short, _)| *short == upper) {
        return meant(zone);
    }
    if let Some(minutes) = offset(&upper) {
        return of_offset(minutes).map(|(zone, note)| format!("did you mean \"{zone}\"?{note}"));
    }
    let leaf = leaf(text);
    if let Some((_, zone)) = NAMES.iter().find(|(name, _)| *name == leaf) {
        return meant(zone);
    }
    nearest(text, &leaf, zones).and_then(|name| meant(&name))
}

/// The place without its region, as `beijing` of `Asia/Beijing`.
fn leaf(text: &str) -> String {
    text.rsplit('/')
        .next()
        .unwrap_or_default()
        .trim()
        .to_lowercase()
        .replace([' ', '-'], "_")
        .replace('\'', "")
}

/// A known zone whose place is written nearly so; another region is a slip only where the place is
/// exactly that.
fn nearest(text: &str, leaf: &str, zones: &TimeZoneDatabase) -> Option<String> {
    let region = text
        .split_once('/')
        .map(|(region, _)| region.to_lowercase());
    let score = |name: &str| {
        let place = self::leaf(name);
        let its_region = name
            .split_once('/')
            .map(|(region, _)| region.to_lowercase());
        let alike = strsim::normalized_damerau_levenshtein(&place, leaf);
        if region.is_none() || its_region == region || alike >= 1.0 {
            alike
        } else {
            0.0
        }
    };
    let known = zones
        .available()
        .map(|name| name.to_string())
        .filter(|name| !name.starts_with("Etc/") && !name.starts_with("SystemV/"));
    let best = known
        .map(|name| (score(&name), name))
        .max_by(|one, two| one.0.total_cmp(&two.0))?;
    (best.0 >= ALIKE).then_some(best.1)
}

/// The minutes east of Greenwich of `UTC+8`, `GMT-05:30`, `+0800`.
fn offset(text: &str) -> Option<i32> {
    let rest = ["UTC", "GMT", "Z"]
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix))
        .unwrap_or(text)
        .trim_start();
    let (sign, digits) = match rest.chars().next()? {
        '+' | '＋' => (1, rest.trim_start_matches(['+', '＋'])),
        '-' | '−' => (-1, rest.trim_start_matches(['-', '−'])),
        _ => return None,
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some((hours, minutes)) => (hours, minutes),
        None if digits.len() == 4 => digits.split_at_checked(2)?,
        None => (digits, "0"),
    };
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    ((0..=14).contains(&hours) && (0..60).contains(&minutes)).then(|| sign * (hours * 60 + minutes))
}

/// The zone of an offset. POSIX counts west of Greenwich, so that the sign of `Etc/GMT-8` is the
/// other way round.
fn of_offset(minutes: i32) -> Option<(String, &'static str)> {
    if minutes % 60 == 0 {
        let hours = minutes / 60;
        return match hours {
            0 => Some(("UTC".to_owned(), "")),
            1..=14 => Some((
                format!("Etc/GMT-{hours}"),
                " (its sign is the other way round)",
            )),
            -12..=-1 => Some((
                format!("Etc/GMT+{}", -hours),
                " (its sign is the other way round)",
            )),
            _ => None,
        };
    }
    PARTS
        .iter()
        .find(|(known, _)| *known == minutes)
        .map(|(_, zone)| ((*zone).to_owned(), ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        advice(text, &TimeZoneDatabase::bundled()).unwrap_or_default()
    }

    #[test]
    fn the_zone_that_is_meant_is_named() {
        for (text, zone) in [
            ("Asia/Beijing", "Asia/Shanghai"),
            ("Beijing", "Asia/Shanghai"),
            ("asia/shenzhen", "Asia/Shanghai"),
            ("Shanghai", "Asia/Shanghai"),
            ("Asia/Shangai", "Asia/Shanghai"),
            ("Asia/Tokio", "Asia/Tokyo"),
            ("US/San Francisco", "America/Los_Angeles"),
            ("Asia/London", "Europe/London"),
            ("Europe/Pari", "Europe/Paris"),
            ("New York", "America/New_York"),
            ("UTC+8", "Etc/GMT-8"),
            ("GMT+08:00", "Etc/GMT-8"),
            ("+0800", "Etc/GMT-8"),
            ("UTC-5", "Etc/GMT+5"),
            ("UTC+5:30", "Asia/Kolkata"),
            ("UTC+0", "UTC"),
            ("jst", "Asia/Tokyo"),
        ] {
            assert!(
                said(text).contains(&format!("\"{zone}\"")),
                "{text}: {}",
                said(text)
            );
        }
        for named in [NAMES.as_slice(), SHORT.as_slice()]
            .concat()
            .iter()
            .map(|(_, zone)| *zone)
            .chain(PARTS.map(|(_, zone)| zone))
        {
            assert!(TimeZoneDatabase::bundled().get(named).is_ok(), "{named}");
        }
    }

    #[test]
    fn what_is_unclear_or_far_gets_no_guess() {
        assert!(said("CST").contains("Asia/Shanghai") && said("CST").contains("America/Chicago"));
        for text in [
            "Mars/Olympus",
            "xyz",
            "Asia/Atlantis",
            "UTC+99",
            "",
            "local",
        ] {
            assert_eq!(said(text), "", "{text}");
        }
    }
}
