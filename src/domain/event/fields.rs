//! Reading one field of a producer's JSON: typed, bounded, and with every fault kept instead of
//! only the first.

use serde_json::Value;

use super::numbers::{fraction, integer, integer_text, moment, other_spelling, without_zone};
use super::pointer::JsonPath;
use super::{FieldError, Link};
use crate::domain::{Locale, Timestamp};

/// The most faults, and the most warnings, that one answer lists.
const MAX_NOTES: usize = 100;
/// The most characters of a producer's own field name that an answer repeats.
pub(super) const MAX_SHOWN_NAME: usize = 64;
/// The most fields of one object.
pub(super) const MAX_FIELDS: usize = 10_000;
/// How often one event has the nearest known name sought for an unknown one.
const MAX_SEARCHES: usize = 20;
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
        Self {
            max,
            unit: "characters",
            controls: Controls::Refuse,
        }
    }

    /// One line of at most `max` characters.
    pub(crate) const fn line(max: usize) -> Self {
        Self {
            max,
            unit: "characters",
            controls: Controls::OneLine,
        }
    }

    /// Any number of lines, at most `max` bytes of UTF-8.
    pub(crate) const fn lines(max: usize) -> Self {
        Self {
            max,
            unit: "bytes",
            controls: Controls::Lines,
        }
    }

    fn fits(self, text: &str) -> bool {
        text.len() <= self.max || (self.unit == "characters" && text.chars().count() <= self.max)
    }
}

/// What the warnings of a request may cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    notes: usize,
    searches: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            notes: MAX_NOTES,
            searches: MAX_SEARCHES,
        }
    }
}

impl Budget {
    /// For all lines of a request together.
    #[cfg(feature = "server")]
    pub(crate) const LINES: Self = Self {
        notes: 10 * MAX_NOTES,
        searches: 5 * MAX_SEARCHES,
    };
}

/// Reads fields and keeps what is wrong (`errors`) and what is odd (`warnings`).
#[derive(Debug, Default)]
pub(crate) struct FieldReader {
    budget: Budget,
    /// What makes the whole event unusable.
    pub(crate) errors: Vec<FieldError>,
    /// What was left out or not understood without failing the event.
    pub(crate) warnings: Vec<FieldError>,
}

impl FieldReader {
    /// A reader whose warnings cost no more than what is left of `budget`.
    pub(crate) fn within(budget: Budget) -> Self {
        Self {
            budget,
            ..Self::default()
        }
    }

    /// What is left of its budget.
    pub(crate) fn left(&self) -> Budget {
        Budget {
            notes: self.budget.notes.saturating_sub(self.warnings.len()),
            ..self.budget
        }
    }

    /// The nearest known name, while it is worth to be sought.
    pub(super) fn nearest<'k>(&mut self, name: &str, known: &[&'k str]) -> Option<&'k str> {
        self.budget.searches = self.budget.searches.checked_sub(1)?;
        nearest(name, known)
    }

    /// Whether another warning has a place.
    fn has_room(&self) -> bool {
        self.warnings.len() < MAX_NOTES.min(self.budget.notes)
    }

    /// Notes a wrong field.
    pub(crate) fn error(&mut self, at: JsonPath<'_>, detail: impl Into<String>) {
        if self.errors.len() < MAX_NOTES {
            self.errors.push(FieldError {
                pointer: at.pointer(),
                detail: detail.into(),
            });
        }
    }

    /// Notes something that does not fail the event; `detail` must be understood without its
    /// pointer.
    pub(crate) fn warn(&mut self, at: JsonPath<'_>, detail: impl FnOnce(&str) -> String) {
        if self.has_room() {
            let pointer = at.pointer();
            let detail = detail(&pointer);
            self.warnings.push(FieldError { pointer, detail });
        }
    }

    /// Notes a field that nobody knows, with the nearest known name.
    pub(crate) fn unknown(&mut self, parent: JsonPath<'_>, name: &str, known: &[&str]) {
        if !self.has_room() {
            return;
        }
        let shown: String = name.chars().take(MAX_SHOWN_NAME).collect();
        let place = if matches!(parent, JsonPath::Root) {
            String::new()
        } else {
            format!(" in {}", parent.pointer())
        };
        let advice = self
            .nearest(&shown, known)
            .map_or(String::new(), |name| format!("; did you mean {name:?}?"));
        self.warn(JsonPath::Field(&parent, &shown), |_| {
            format!("unknown field {shown:?}{place}{advice}")
        });
    }

    /// A text within `rule`; an empty one counts as absent.
    pub(crate) fn text(
        &mut self,
        at: JsonPath<'_>,
        value: &Value,
        rule: TextRule,
    ) -> Option<String> {
        let Value::String(text) = value else {
            self.error(at, "must be a text");
            return None;
        };
        if !rule.fits(text) {
            self.error(
                at,
                format!("is too long; at most {} {}", rule.max, rule.unit),
            );
            return None;
        }
        if !has_controls(text) {
            return (!text.trim().is_empty()).then(|| text.clone());
        }
        if rule.controls == Controls::Refuse {
            self.error(at, "must not contain control characters");
            return None;
        }
        let (clean, removed) = without_controls(text, rule.controls);
        if removed {
            self.warn(at, |pointer| {
                format!("control characters were removed from {pointer}")
            });
        }
        (!clean.trim().is_empty()).then_some(clean)
    }

    /// A whole number from `min` to `max`, written as an integer (`7.0` counts as one, as in JSON
    /// Schema) or as its text.
    pub(crate) fn integer<N: TryFrom<i128>>(
        &mut self,
        at: JsonPath<'_>,
        value: &Value,
        min: i128,
        max: i128,
    ) -> Option<N> {
        let number = integer(value)
            .or_else(|| integer_text(value))
            .filter(|number| (min..=max).contains(number))
            .and_then(|number| N::try_from(number).ok());
        if number.is_none() {
            self.error(at, format!("must be a whole number from {min} to {max}"));
        }
        number
    }

    /// A yes or no, written as `true` or `false`, also as text, or as 1 or 0; a wrong one counts as
    /// yes, and fails the event anyway.
    pub(crate) fn bool(&mut self, at: JsonPath<'_>, value: &Value) -> bool {
        let said = match value {
            Value::String(text) => text.trim().to_ascii_lowercase().parse().ok(),
            Value::Number(number) => number
                .as_u64()
                .filter(|number| *number <= 1)
                .map(|number| number == 1),
            _ => value.as_bool(),
        };
        said.unwrap_or_else(|| {
            self.error(at, "must be true or false");
            true
        })
    }

    /// A moment as programs write it; see [`moment`]. One without a zone is taken as UTC, with a
    /// warning.
    pub(crate) fn time(&mut self, at: JsonPath<'_>, value: &Value) -> Option<Timestamp> {
        let time = moment(value)
            .or_else(|| fraction(value))
            .or_else(|| other_spelling(value));
        let zoneless = if time.is_none() {
            without_zone(value)
        } else {
            None
        };
        if zoneless.is_some() {
            self.warn(at, |pointer| {
                format!("{pointer} names no time zone and was taken as UTC")
            });
        } else if time.is_none() {
            self.error(at, "must be a time as RFC 3339 writes it (2026-01-01T00:00:00Z), or seconds or milliseconds since 1970");
        }
        time.or(zoneless)
    }

    /// A link; one that a mail may not carry is left out, because the mail matters more than its
    /// link.
    pub(crate) fn link(&mut self, at: JsonPath<'_>, value: &Value) -> Option<Link> {
        let Value::String(text) = value else {
            self.error(at, "must be a text with an http or https link");
            return None;
        };
        if text.is_empty() {
            return None;
        }
        match Link::parse(text) {
            Ok(link) => Some(link),
            Err(error) => {
                self.warn(at, |pointer| format!("{pointer} was left out: {error}"));
                None
            }
        }
    }

    /// A language of the mails.
    pub(crate) fn locale(&mut self, at: JsonPath<'_>, value: &Value) -> Option<Locale> {
        let locale = value.as_str().and_then(|text| text.parse().ok());
        if locale.is_none() {
            self.error(at, "is not a known language; write \"zh-CN\" or \"en\"");
        }
        locale
    }
}

/// Whether there is a control character; the bytes of nearly every text say no without decoding it
/// (in UTF-8 the C1 controls begin with 0xC2).
fn has_controls(text: &str) -> bool {
    text.bytes()
        .any(|byte| byte < 0x20 || byte == 0x7F || byte == 0xC2)
        && text.chars().any(char::is_control)
}

/// The text as its field may hold it, and whether anything was lost on the way (a line break's
/// other spelling is no loss).
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

/// The known name that is most like `name`, if any is like enough: a third of the letters may
/// differ.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = name.to_lowercase().replace('-', "_");
    // A third of the letters may differ, so names of other lengths need no comparison.
    let near =
        |candidate: &&&str| lower.len().abs_diff(candidate.len()) <= (candidate.len() / 3).max(1);
    let distances = known
        .iter()
        .filter(near)
        .map(|candidate| (strsim::damerau_levenshtein(&lower, candidate), *candidate));
    let (distance, candidate) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= (candidate.len() / 3).max(1)).then_some(candidate)
}
