//! Suggests the IANA time zone for a name that is not one, unless it is ambiguous.

use jiff::tz::TimeZoneDatabase;

use super::message::{Message, message};
use super::nearest::did_you_mean;

/// Minimum similarity of the last part of a name, to be taken for a typing error.
const SIMILAR: f64 = 0.75;

/// Zones, with cities and other names that the database lacks.
const NAMES: [(&str, &str); 12] = [
    (
        "Asia/Shanghai",
        "beijing peking shenzhen guangzhou hangzhou nanjing chengdu wuhan xian tianjin china 北京 上海",
    ),
    ("Asia/Hong_Kong", "香港"),
    ("Asia/Taipei", "台北"),
    ("Asia/Tokyo", "东京 osaka"),
    ("Asia/Kolkata", "delhi new_delhi mumbai bangalore"),
    ("Asia/Ho_Chi_Minh", "hanoi"),
    ("America/Los_Angeles", "san_francisco seattle california"),
    ("America/New_York", "washington boston miami"),
    ("America/Chicago", "dallas houston"),
    ("Europe/Berlin", "munich frankfurt"),
    ("Europe/Zurich", "geneva"),
    ("Europe/Madrid", "barcelona"),
];

/// Unambiguous abbreviations.
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

/// Ambiguous abbreviations.
const AMBIGUOUS: [(&str, &str); 5] = [
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

/// Offsets of fractional hours, with a zone that has them all year.
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

/// The suggestion for a name that is not a time zone.
pub(super) fn advice(text: &str, zones: &TimeZoneDatabase) -> Option<Message> {
    let upper = text.to_ascii_uppercase();
    if let Some((_, which)) = AMBIGUOUS.iter().find(|(short, _)| *short == upper) {
        return Some(message!(
            "{upper} is used in {which}; write one of these names",
            "{upper} 有多种含义：{which}；请写明其一"
        ));
    }
    if let Some((_, zone)) = SHORT.iter().find(|(short, _)| *short == upper) {
        return Some(did_you_mean(zone));
    }
    if let Some(minutes) = offset(&upper) {
        return of_offset(minutes);
    }
    let leaf = leaf(text);
    let has_name = |(_, names): &&(_, &str)| names.split(' ').any(|name| name == leaf);
    if let Some((zone, _)) = NAMES.iter().find(has_name) {
        return Some(did_you_mean(zone));
    }
    nearest(text, &leaf, zones).map(|name| did_you_mean(&name))
}

/// The last part of a name: `beijing` for `Asia/Beijing`.
fn leaf(text: &str) -> String {
    text.rsplit('/')
        .next()
        .unwrap_or_default()
        .trim()
        .to_lowercase()
        .replace([' ', '-'], "_")
        .replace('\'', "")
}

/// A known zone with a similar last part. In another region, the last part must be equal.
fn nearest(text: &str, leaf: &str, zones: &TimeZoneDatabase) -> Option<String> {
    let region = text
        .split_once('/')
        .map(|(region, _)| region.to_lowercase());
    let score = |name: &str| {
        let place = self::leaf(name);
        let its_region = name
            .split_once('/')
            .map(|(region, _)| region.to_lowercase());
        let similarity = strsim::normalized_damerau_levenshtein(&place, leaf);
        if region.is_none() || its_region == region || similarity >= 1.0 {
            similarity
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
    (best.0 >= SIMILAR).then_some(best.1)
}

/// The offset in minutes, east positive, of `UTC+8`, `GMT-05:30`, `+0800`.
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

/// The suggestion for an offset. `Etc/GMT-8` is POSIX notation, in which the sign is inverted.
fn of_offset(minutes: i32) -> Option<Message> {
    if minutes % 60 != 0 {
        let (_, zone) = PARTS.iter().find(|(known, _)| *known == minutes)?;
        return Some(did_you_mean(zone));
    }
    match minutes / 60 {
        0 => Some(did_you_mean("UTC")),
        hours @ -12..=14 => Some(message!(
            "did you mean \"Etc/GMT{0:+}\"? (its sign is inverted)",
            "是否指 \"Etc/GMT{0:+}\"？（该写法正负号相反）",
            -hours
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        advice(text, &TimeZoneDatabase::bundled())
            .map(|message| message.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn similar_names_and_offsets_get_a_suggestion() {
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
        let zones = NAMES.iter().map(|(zone, _)| *zone);
        let abbreviated = SHORT.iter().map(|(_, zone)| *zone);
        for named in zones.chain(abbreviated).chain(PARTS.map(|(_, zone)| zone)) {
            assert!(TimeZoneDatabase::bundled().get(named).is_ok(), "{named}");
        }
    }

    #[test]
    fn ambiguous_and_unknown_names_get_no_suggestion() {
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
