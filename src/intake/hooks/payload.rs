//! Read access to payloads: the first of several JSON pointers, numbers as text, times in any
//! format.

use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::domain::Timestamp;
use crate::domain::event::moment;

/// A payload and its context.
#[derive(Debug, Clone, Copy)]
pub struct Payload<'a> {
    /// The hook's name, which prefixes event ids.
    pub hook: &'a str,
    /// The body.
    pub json: &'a Value,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// Whether undocumented fields are read.
    pub unconfirmed: bool,
    /// Whether a payload without recipients is invalid, because the hook has no others.
    pub requires_recipient: bool,
    /// When the request arrived, in wall time.
    pub now: Timestamp,
}

impl<'a> Payload<'a> {
    /// The same request with another payload: an item of a batch, or the content of an envelope.
    #[must_use]
    pub const fn with(self, json: &'a Value) -> Self {
        Self { json, ..self }
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The first value at these JSON pointers that is neither `null` nor a blank text.
    pub fn first(&self, places: &[&str]) -> Option<&'a Value> {
        places
            .iter()
            .filter_map(|place| self.json.pointer(place))
            .find(|value| !is_blank(value))
    }

    /// The first text at these JSON pointers; numbers become text.
    pub fn text(&self, places: &[&str]) -> Option<String> {
        places
            .iter()
            .find_map(|place| text(self.json.pointer(place)?))
    }

    /// The same, trimmed and in lower case.
    pub fn word(&self, places: &[&str]) -> Option<String> {
        self.text(places)
            .map(|word| word.trim().to_ascii_lowercase())
    }

    /// The first integer at these JSON pointers; text is parsed.
    pub fn whole(&self, places: &[&str]) -> Option<i64> {
        places
            .iter()
            .find_map(|place| whole(self.json.pointer(place)?))
    }

    /// The first time at these JSON pointers.
    pub fn time(&self, places: &[&str]) -> Option<Timestamp> {
        places
            .iter()
            .find_map(|place| time(self.json.pointer(place)?))
    }
}

/// Whether a value is `null` or a blank text.
pub(super) fn is_blank(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// A text, number or boolean as text. `None` for blank texts, objects and arrays.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// An integer; text is parsed.
pub fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A seed: an integer of any size; text is parsed.
pub fn seed(value: &Value) -> Option<serde_json::Number> {
    match value {
        Value::Number(number) if !number.is_f64() => Some(number.clone()),
        Value::String(text) => text.trim().parse::<u64>().ok().map(Into::into),
        _ => None,
    }
}

/// A time with a zone in any usual format: RFC 3339, seconds or milliseconds since 1970 (also with
/// a fraction), `2026-03-04 08:15:36 UTC`.
pub fn time(value: &Value) -> Option<Timestamp> {
    if let Some(moment) = moment(value) {
        return Some(moment);
    }
    match value {
        Value::String(text) => {
            let text = text.trim().strip_suffix(" UTC")?.replacen(' ', "T", 1);
            moment(&Value::String(format!("{text}Z")))
        }
        Value::Number(number) => {
            let seconds = number
                .as_f64()
                .filter(|seconds| (0.0..1e12).contains(seconds))?;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "below 10^15, so it fits; parts of a millisecond may go"
            )]
            Some(Timestamp::from_millis((seconds * 1_000.0).round() as i64))
        }
        _ => None,
    }
}

/// A time without a zone (`2026-03-04 16:15:36`, with or without a fraction), read as China
/// Standard Time.
pub fn china_time(value: &Value) -> Option<Timestamp> {
    let text = value.as_str()?.trim().replacen(' ', "T", 1);
    moment(&Value::String(format!("{text}+08:00")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_in_every_format_are_parsed() {
        let wanted = Some(Timestamp::from_millis(1_772_612_136_000));
        for value in [
            json!("2026-03-04T08:15:36Z"),
            json!("2026-03-04T16:15:36+08:00"),
            json!("2026-03-04 08:15:36 UTC"),
            json!(1_772_612_136),
            json!(1_772_612_136_000_i64),
            json!(1_772_612_136.0),
        ] {
            assert_eq!(time(&value), wanted, "{value}");
        }
        assert_eq!(china_time(&json!("2026-03-04 16:15:36")), wanted);
        assert_eq!(china_time(&json!("2026-03-04 16:15:36.000")), wanted);
        for value in [
            json!("2023-1-25T1:2:3Z"),
            json!("2026-03-04 16:15:36"),
            json!("soon UTC"),
            json!(-1),
            json!(1e300),
            json!(null),
            json!([1]),
        ] {
            assert_eq!(time(&value), None, "{value}");
        }
    }

    #[test]
    fn first_non_blank_value_wins_and_numbers_become_text() {
        let payload = json!({"a": null, "b": "  ", "c": {"d": 7}, "e": "8"});
        let headers = HeaderMap::new();
        let payload = Payload {
            hook: "h",
            json: &payload,
            headers: &headers,
            unconfirmed: false,
            requires_recipient: false,
            now: Timestamp::from_millis(0),
        };
        assert_eq!(
            payload
                .text(&["/a", "/b", "/nosuch", "/c", "/c/d"])
                .as_deref(),
            Some("7")
        );
        assert_eq!(payload.first(&["/a", "/b", "/c"]), Some(&json!({"d": 7})));
        assert_eq!(
            (payload.whole(&["/c", "/e"]), payload.text(&["/a"])),
            (Some(8), None)
        );
    }
}
