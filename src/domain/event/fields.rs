//! Reading one field of a producer's JSON: typed, bounded, and with every fault kept instead of only the first.

use serde_json::Value;

use super::pointer::At;
use super::{FieldError, Link};
use crate::domain::{Locale, Recipient, Timestamp};

/// The most faults, and the most warnings, that one answer lists.
const MAX_NOTES: usize = 100;
/// The most recipients that one event may name.
const MAX_RECIPIENTS: usize = 50;
/// The most bytes of a recipient list, so that a megabyte of commas costs nothing.
const MAX_RECIPIENT_LIST: usize = 16_384;
/// The most characters of a producer's own field name that an answer repeats.
pub(super) const MAX_SHOWN_NAME: usize = 64;
/// From here on an integer time is in milliseconds, below in seconds.
const FIRST_MILLIS: i128 = 1_000_000_000_000;
/// The integers that a double holds exactly reach to 2^53.
const EXACT_DOUBLE: f64 = 9_007_199_254_740_992.0;

/// What becomes of control characters in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Controls {
    /// The text is a name: it is refused.
    Refuse,
    /// The text is one line: breaks and tabs become blanks, the rest goes.
    OneLine,
    /// The text may have lines: line feed and tab stay, the rest goes.
    Lines,
}

/// The bounds of a text field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TextRule {
    max: usize,
    unit: &'static str,
    controls: Controls,
}

impl TextRule {
    /// A name of at most `max` characters, refused when it has control characters.
    pub(crate) const fn name(max: usize) -> Self {
        Self { max, unit: "characters", controls: Controls::Refuse }
    }

    /// One line of at most `max` characters.
    pub(crate) const fn line(max: usize) -> Self {
        Self { max, unit: "characters", controls: Controls::OneLine }
    }

    /// Any number of lines, at most `max` bytes of UTF-8.
    pub(crate) const fn lines(max: usize) -> Self {
        Self { max, unit: "bytes", controls: Controls::Lines }
    }

    fn fits(self, text: &str) -> bool {
        text.len() <= self.max || (self.unit == "characters" && text.chars().count() <= self.max)
    }
}

/// Reads fields and keeps what is wrong (`errors`) and what is odd (`warnings`).
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// What makes the whole event unusable.
    pub(crate) errors: Vec<FieldError>,
    /// What was left out or not understood without failing the event.
    pub(crate) warnings: Vec<FieldError>,
}

impl Reader {
    /// Notes a wrong field.
    pub(crate) fn wrong(&mut self, at: At<'_>, detail: impl Into<String>) {
        if self.errors.len() < MAX_NOTES {
            self.errors.push(FieldError { pointer: at.pointer(), detail: detail.into() });
        }
    }

    /// Notes something that does not fail the event; `detail` must be understood without its pointer.
    pub(crate) fn odd(&mut self, at: At<'_>, detail: impl FnOnce(&str) -> String) {
        if self.warnings.len() < MAX_NOTES {
            let pointer = at.pointer();
            let detail = detail(&pointer);
            self.warnings.push(FieldError { pointer, detail });
        }
    }

    /// Notes a field that nobody knows, with the nearest known name.
    pub(crate) fn unknown(&mut self, parent: At<'_>, name: &str, known: &[&str]) {
        let shown: String = name.chars().take(MAX_SHOWN_NAME).collect();
        let place = if matches!(parent, At::Root) { String::new() } else { format!(" in {}", parent.pointer()) };
        let advice = nearest(&shown, known).map_or(String::new(), |name| format!("; did you mean {name:?}?"));
        self.odd(At::Field(&parent, &shown), |_| format!("unknown field {shown:?}{place}{advice}"));
    }

    /// A text within `rule`; an empty one counts as absent.
    pub(crate) fn text(&mut self, at: At<'_>, value: &Value, rule: TextRule) -> Option<String> {
        let Value::String(text) = value else {
            self.wrong(at, "must be a text");
            return None;
        };
        if !rule.fits(text) {
            self.wrong(at, format!("is too long; at most {} {}", rule.max, rule.unit));
            return None;
        }
        if !has_controls(text) {
            return (!text.trim().is_empty()).then(|| text.clone());
        }
        if rule.controls == Controls::Refuse {
            self.wrong(at, "must not contain control characters");
            return None;
        }
        let (clean, removed) = without_controls(text, rule.controls);
        if removed {
            self.odd(at, |pointer| format!("control characters were removed from {pointer}"));
        }
        (!clean.trim().is_empty()).then_some(clean)
    }

    /// A whole number from `min` to `max`, written as an integer (`7.0` counts as one, as in JSON Schema).
    pub(crate) fn whole<N: TryFrom<i128>>(&mut self, at: At<'_>, value: &Value, min: i128, max: i128) -> Option<N> {
        let number = integer(value).filter(|number| (min..=max).contains(number)).and_then(|number| N::try_from(number).ok());
        if number.is_none() {
            self.wrong(at, format!("must be a whole number from {min} to {max}"));
        }
        number
    }

    /// A yes or no, written as `true` or `false`; a wrong one counts as yes, and fails the event anyway.
    pub(crate) fn flag(&mut self, at: At<'_>, value: &Value) -> bool {
        value.as_bool().unwrap_or_else(|| {
            self.wrong(at, "must be true or false");
            true
        })
    }

    /// A moment; see [`moment`].
    pub(crate) fn time(&mut self, at: At<'_>, value: &Value) -> Option<Timestamp> {
        let time = moment(value);
        if time.is_none() {
            self.wrong(at, "must be a time as RFC 3339 writes it, with a zone (2026-01-01T00:00:00Z), or seconds or milliseconds since 1970");
        }
        time
    }

    /// A link; one that a mail may not carry is left out, because the mail matters more than its link.
    pub(crate) fn link(&mut self, at: At<'_>, value: &Value) -> Option<Link> {
        let Value::String(text) = value else {
            self.wrong(at, "must be a text with an http or https link");
            return None;
        };
        if text.is_empty() {
            return None;
        }
        match Link::parse(text) {
            Ok(link) => Some(link),
            Err(error) => {
                self.odd(at, |pointer| format!("{pointer} was left out: {error}"));
                None
            }
        }
    }

    /// A language of the mails.
    pub(crate) fn locale(&mut self, at: At<'_>, value: &Value) -> Option<Locale> {
        let locale = value.as_str().and_then(|text| text.parse().ok());
        if locale.is_none() {
            self.wrong(at, "is not a known language; write \"zh-CN\" or \"en\"");
        }
        locale
    }

    /// Recipients as a comma list or an array of texts; a mailbox named twice stays once.
    pub(crate) fn recipients(&mut self, at: At<'_>, value: &Value) -> Vec<Recipient> {
        let list = match value {
            Value::String(text) if text.len() > MAX_RECIPIENT_LIST => Vec::new(),
            Value::String(text) => self.recipient_list(at, text),
            Value::Array(items) if items.len() <= MAX_RECIPIENTS => self.recipient_array(at, items),
            Value::Array(_) => Vec::new(),
            _ => {
                self.wrong(at, "must be a text with addresses or an array of them");
                return Vec::new();
            }
        };
        let too_many = match value {
            Value::String(text) => text.len() > MAX_RECIPIENT_LIST || list.len() > MAX_RECIPIENTS,
            Value::Array(items) => items.len() > MAX_RECIPIENTS,
            _ => false,
        };
        if too_many {
            self.wrong(at, format!("names too many recipients; at most {MAX_RECIPIENTS}"));
        }
        list
    }

    fn recipient_list(&mut self, at: At<'_>, text: &str) -> Vec<Recipient> {
        Recipient::parse_list(text).unwrap_or_else(|faults| {
            for (index, fault) in faults {
                self.wrong(at, format!("entry {}: {fault}", index + 1));
            }
            Vec::new()
        })
    }

    fn recipient_array(&mut self, at: At<'_>, items: &[Value]) -> Vec<Recipient> {
        let mut list: Vec<Recipient> = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match item.as_str().map(Recipient::parse) {
                Some(Ok(recipient)) if list.iter().any(|known| known.same_mailbox(&recipient)) => {}
                Some(Ok(recipient)) => list.push(recipient),
                Some(Err(fault)) => self.wrong(At::Item(&at, index), fault.to_string()),
                None => self.wrong(At::Item(&at, index), "must be a text with one address"),
            }
        }
        list
    }
}

/// The moment that a value names: RFC 3339 with a zone, or whole seconds (milliseconds from 10^12 on) since 1970.
pub(crate) fn moment(value: &Value) -> Option<Timestamp> {
    if let Value::String(text) = value {
        return Some(text.trim()).filter(|text| text.len() <= 64)?.parse().ok();
    }
    let number = integer(value).filter(|number| *number >= 0)?;
    let millis = if number >= FIRST_MILLIS { number } else { number.checked_mul(1_000)? };
    let in_range = millis <= i128::from(Timestamp::MAX.as_millis());
    i64::try_from(millis).ok().filter(|_| in_range).map(Timestamp::from_millis)
}

/// The integer that a value holds; a double counts when it is whole and exact.
pub(crate) fn integer(value: &Value) -> Option<i128> {
    let number = value.as_number()?;
    let exact = || number.as_f64().filter(|double| double.fract() == 0.0 && double.abs() <= EXACT_DOUBLE);
    #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53, so the cast is exact")]
    let from_double = || exact().map(|double| double as i128);
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from)).or_else(from_double)
}

/// Whether there is a control character; the bytes of nearly every text say no without decoding it (in UTF-8 the C1 controls begin with 0xC2).
fn has_controls(text: &str) -> bool {
    text.bytes().any(|byte| byte < 0x20 || byte == 0x7F || byte == 0xC2) && text.chars().any(char::is_control)
}

/// The text as its field may hold it, and whether anything was lost on the way (a line break's other spelling is no loss).
fn without_controls(text: &str, controls: Controls) -> (String, bool) {
    let mut clean = String::with_capacity(text.len());
    let mut removed = false;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let line_end = char == '\n' || char == '\r';
        match char {
            '\r' if chars.peek() == Some(&'\n') => {}
            _ if line_end && controls == Controls::Lines => clean.push('\n'),
            '\t' if controls == Controls::Lines => clean.push('\t'),
            _ if line_end || char == '\t' => clean.push(' '),
            _ if char.is_control() => removed = true,
            _ => clean.push(char),
        }
    }
    (clean, removed)
}

/// The known name that is most like `name`, if any is like enough: a third of the letters may differ.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = name.to_lowercase().replace('-', "_");
    let distances = known.iter().map(|candidate| (strsim::damerau_levenshtein(&lower, candidate), *candidate));
    let (distance, candidate) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= (candidate.len() / 3).max(1)).then_some(candidate)
}
