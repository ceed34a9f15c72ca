//! Reads single fields of a producer's JSON, with types and limits. All errors are collected, not
//! only the first.

use serde_json::Value;

use super::numbers::{fraction, integer, integer_text, moment, other_spelling, without_zone};
use super::pointer::JsonPath;
use super::text::{Controls, TextRule, has_controls, without_controls};
use super::{FieldError, Link};
use crate::domain::{Locale, Timestamp};

/// Maximum number of errors, and of warnings, in one response.
const MAX_NOTES: usize = 100;
/// Maximum length of a producer's field name in a response, in characters.
pub(super) const MAX_SHOWN_NAME: usize = 64;
/// Maximum number of fields in one object.
pub(super) const MAX_FIELDS: usize = 10_000;
/// Maximum number of searches for a similar known name, per event.
const MAX_SEARCHES: usize = 20;

/// Limits the number and cost of a request's warnings.
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
    /// The budget for all lines of an NDJSON request together.
    #[cfg(feature = "server")]
    pub(crate) const LINES: Self = Self {
        notes: 10 * MAX_NOTES,
        searches: 5 * MAX_SEARCHES,
    };
}

/// Reads fields and collects errors and warnings.
#[derive(Debug, Default)]
pub(crate) struct FieldReader {
    budget: Budget,
    /// Why the event is invalid.
    pub(crate) errors: Vec<FieldError>,
    /// Values that were left out or not understood, although the event is valid.
    pub(crate) warnings: Vec<FieldError>,
}

impl FieldReader {
    /// Creates a reader whose warnings draw on `budget`.
    pub(crate) fn within(budget: Budget) -> Self {
        Self {
            budget,
            ..Self::default()
        }
    }

    /// The rest of the budget.
    pub(crate) fn remaining_budget(&self) -> Budget {
        Budget {
            notes: self.budget.notes.saturating_sub(self.warnings.len()),
            ..self.budget
        }
    }

    /// The known name most similar to `name`, while the budget allows a search.
    pub(super) fn nearest<'k>(&mut self, name: &str, known: &[&'k str]) -> Option<&'k str> {
        self.budget.searches = self.budget.searches.checked_sub(1)?;
        nearest(name, known)
    }

    /// Whether the budget allows another warning.
    fn can_warn(&self) -> bool {
        self.warnings.len() < MAX_NOTES.min(self.budget.notes)
    }

    /// Adds an error.
    pub(crate) fn error(&mut self, at: JsonPath<'_>, detail: impl Into<String>) {
        if self.errors.len() < MAX_NOTES {
            self.errors.push(FieldError {
                pointer: at.pointer(),
                detail: detail.into(),
            });
        }
    }

    /// Adds a warning. `detail` must be understandable without the pointer.
    pub(crate) fn warn(&mut self, at: JsonPath<'_>, detail: impl FnOnce(&str) -> String) {
        if self.can_warn() {
            let pointer = at.pointer();
            let detail = detail(&pointer);
            self.warnings.push(FieldError { pointer, detail });
        }
    }

    /// Warns of an unknown field and suggests the most similar known name.
    pub(crate) fn unknown(&mut self, parent: JsonPath<'_>, name: &str, known: &[&str]) {
        if !self.can_warn() {
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

    /// Reads a text within the limits of `rule`. An empty text counts as absent.
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
        if rule.controls == Controls::Reject {
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

    /// Reads an integer from `min` to `max`. `7.0` counts as one, as in JSON Schema; text is
    /// parsed.
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

    /// Reads a boolean: `true` or `false`, also as text, or 1 or 0. Returns `true` if it is invalid.
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

    /// Reads a time in any format of [`super::numbers`]. A time without a zone is read as UTC, with a
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

    /// Reads a link. A link that is not allowed in mails is left out with a warning: a mail without
    /// it is better than none.
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

    /// Reads a language.
    pub(crate) fn locale(&mut self, at: JsonPath<'_>, value: &Value) -> Option<Locale> {
        let locale = value.as_str().and_then(|text| text.parse().ok());
        if locale.is_none() {
            self.error(at, "is not a known language; write \"zh-CN\" or \"en\"");
        }
        locale
    }
}

/// The known name most similar to `name`, if at most a third of its letters differ.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = name.to_lowercase().replace('-', "_");
    // Names whose length differs by more cannot be similar.
    let near =
        |candidate: &&&str| lower.len().abs_diff(candidate.len()) <= (candidate.len() / 3).max(1);
    let distances = known
        .iter()
        .filter(near)
        .map(|candidate| (strsim::damerau_levenshtein(&lower, candidate), *candidate));
    let (distance, candidate) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= (candidate.len() / 3).max(1)).then_some(candidate)
}
