//! Properties of a link: its host, whether it is an image, when it expires.

use std::borrow::Cow;
use std::time::Duration;

use crate::domain::{JobEvent, Timestamp};

/// Longest plausible lifetime of a link.
const LONGEST: Duration = Duration::from_hours(24 * 366 * 100);

/// The time a link expires, according to its query.
///
/// Supports AWS signature version 4 (`X-Amz-Date` + `X-Amz-Expires`, and the `X-Goog-` and `X-Oss-`
/// variants), `Expires` as a Unix time (older S3, Aliyun OSS, `CloudFront`), `se` (Azure) and
/// `q-sign-time` (Tencent COS).
pub(super) fn expiry(link: &str) -> Option<Timestamp> {
    let (_, query) = link.split('#').next()?.split_once('?')?;
    let (mut signed_at, mut life, mut until) = (None, None, None);
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match &*name.to_ascii_lowercase() {
            "x-amz-date" | "x-goog-date" | "x-oss-date" => signed_at = basic_time(&value),
            "x-amz-expires" | "x-goog-expires" | "x-oss-expires" => {
                life = value
                    .parse()
                    .ok()
                    .map(Duration::from_secs)
                    .filter(|life| *life <= LONGEST);
            }
            "expires" => until = until.or_else(|| epoch(&value)),
            "q-sign-time" => until = until.or_else(|| epoch(value.split_once(';')?.1)),
            "se" => until = until.or_else(|| iso_time(&value)),
            _ => {}
        }
    }
    signed_at
        .zip(life)
        .map(|(at, life)| at.after(life))
        .or(until)
}

/// `20260101T000000Z`.
fn basic_time(text: &str) -> Option<Timestamp> {
    let moment = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text)
        .ok()?
        .to_zoned(jiff::tz::TimeZone::UTC)
        .ok()?;
    Some(Timestamp::from_millis(moment.timestamp().as_millisecond()))
}

/// A Unix time of ten digits (2001 to 2286); anything else is not a time.
fn epoch(text: &str) -> Option<Timestamp> {
    let seconds: i64 = text
        .parse()
        .ok()
        .filter(|seconds| (1_000_000_000..10_000_000_000).contains(seconds))?;
    Some(Timestamp::from_millis(seconds * 1_000))
}

/// `2026-01-01T00:00:00Z`; Azure also allows it without seconds, and a date alone, which means its
/// start.
fn iso_time(text: &str) -> Option<Timestamp> {
    let full: Cow<'_, str> = match text.len() {
        10 => format!("{text}T00:00:00Z").into(),
        17 => format!("{}:00Z", text.strip_suffix('Z')?).into(),
        _ => text.into(),
    };
    full.parse().ok()
}

/// Whether mail clients can show the file as an image, according to its name or the job's format.
pub(super) fn is_visible(job: &JobEvent, link: &str) -> bool {
    const OTHER: [&str; 24] = [
        "mp4",
        "webm",
        "mov",
        "mkv",
        "avi",
        "mp3",
        "wav",
        "flac",
        "ogg",
        "zip",
        "tar",
        "gz",
        "glb",
        "obj",
        "json",
        "txt",
        "csv",
        "pdf",
        "svg",
        "tif",
        "tiff",
        "psd",
        "exr",
        "safetensors",
    ];
    let path = link.split(['?', '#']).next().unwrap_or_default();
    let file = path.rsplit('/').next().unwrap_or_default();
    let kind = file
        .rsplit_once('.')
        .map(|(_, kind)| kind)
        .or(job.format.as_deref())
        .unwrap_or_default();
    !OTHER.iter().any(|other| kind.eq_ignore_ascii_case(other))
}

/// The host of a link, with its port if present.
pub(super) fn host(link: &str) -> &str {
    let from = link.find("://").map_or(0, |at| at + 3);
    link.get(from..)
        .and_then(|rest| rest.split(['/', '?', '#']).next())
        .unwrap_or_default()
}

/// Size of a link in bytes when escaped in an attribute.
pub(super) fn escaped_len(link: &str) -> usize {
    link.len()
        + 4 * link
            .bytes()
            .filter(|b| matches!(b, b'&' | b'<' | b'>' | b'"' | b'\''))
            .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiry_is_read_from_each_storage_service() {
        let dies = |query: &str| {
            expiry(&format!("https://img.example.com/a.png?{query}")).map(|at| at.to_string())
        };
        let expected = Some("2026-01-01T01:00:00Z".to_owned());
        for query in [
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20260101T000000Z&X-Amz-Expires=3600&X-Amz-Signature=abc",
            "x-amz-expires=3600&x-amz-date=20260101T000000Z",
            "X-Goog-Date=20260101T000000Z&X-Goog-Expires=3600#top",
            "x-oss-date=20260101T000000Z&x-oss-expires=3600",
            "Expires=1767229200&Signature=a%2Bb&AWSAccessKeyId=x",
            "sv=2024-11-04&se=2026-01-01T01%3A00%3A00Z&sp=r&sig=abc",
            "se=2026-01-01T01:00Z",
            "q-sign-algorithm=sha1&q-sign-time=1767225600;1767229200",
        ] {
            assert_eq!(dies(query), expected, "{query}");
        }
        assert_eq!(
            dies("se=2026-01-01&sig=x").as_deref(),
            Some("2026-01-01T00:00:00Z")
        );
    }

    #[test]
    fn implausible_expiry_is_ignored() {
        for link in [
            "https://x.org/a.png",
            "https://x.org/a?Expires=soon",
            "https://x.org/a?Expires=3600",
            "https://x.org/a?Expires=99999999999999999999",
            "https://x.org/a?X-Amz-Expires=3600",
            "https://x.org/a?X-Amz-Date=20260101T000000Z",
            "https://x.org/a?X-Amz-Date=20261301T000000Z&X-Amz-Expires=60",
            "https://x.org/a?X-Amz-Date=20260101T000000Z&X-Amz-Expires=18446744073709551615",
            "https://x.org/a?se=never",
            "https://x.org/a?se=é1234567890123456",
            "https://x.org/a?q-sign-time=1767225600",
            "https://x.org/a#?Expires=1767229200",
        ] {
            assert_eq!(expiry(link), None, "{link}");
        }
    }

    #[test]
    fn host_is_between_scheme_and_path() {
        assert_eq!(
            host("https://img.example.com:8443/a/b?c=d"),
            "img.example.com:8443"
        );
        assert_eq!(host("http://x.org"), "x.org");
    }
}
