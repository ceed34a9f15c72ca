//! Typed reads. Each key is read independently, so one bad value does not hide another.
//!
//! A bad or missing value is replaced by a harmless one: a problem has been recorded, and no
//! configuration is built.

use std::time::Duration;

use ::config::ValueKind;

use super::key::Kind;
use super::scalars::{flag, list, number, places, text, within};
use super::values::{Refusal, Values};
use super::{invisible, lookup, nearest, units};
use crate::domain::{AddressError, AddressList, Locale, Mailbox, Recipient};
use crate::routing::Allowed;
use crate::transport::RateLimit;

impl Values {
    /// A boolean.
    pub(super) fn flag(&mut self, path: &str) -> bool {
        self.read(path, |_, value| flag(value)).unwrap_or_default()
    }

    /// A whole number within the key's bounds.
    pub(super) fn whole(&mut self, path: &str) -> Option<u64> {
        self.read(path, |kind, value| within(kind, number(value)?))
    }

    /// A whole number that fits the platform's size.
    pub(super) fn count(&mut self, path: &str) -> usize {
        self.whole(path)
            .and_then(|number| usize::try_from(number).ok())
            .unwrap_or(1)
    }

    /// A length of time within the key's bounds.
    pub(super) fn span(&mut self, path: &str) -> Duration {
        let parse = |kind, value: &ValueKind| match value {
            ValueKind::String(text) => within(kind, units::span_ms(text)?),
            other => within(kind, number(other)?.checked_mul(1_000)?),
        };
        Duration::from_millis(self.read(path, parse).unwrap_or(1))
    }

    /// A size within the key's bounds.
    pub(super) fn bytes(&mut self, path: &str) -> usize {
        let parse = |kind, value: &ValueKind| match value {
            ValueKind::String(text) => within(kind, units::bytes(text)?),
            other => within(kind, number(other)?),
        };
        self.read(path, parse)
            .and_then(|size| usize::try_from(size).ok())
            .unwrap_or_default()
    }

    /// A rate.
    pub(super) fn rate(&mut self, path: &str) -> Option<RateLimit> {
        self.read(path, |_, value| text(value).and_then(units::rate))
    }

    /// One of the key's words, in any case; the nearest one is offered for another.
    pub(super) fn choice(&mut self, path: &str) -> Option<&'static str> {
        let Some(Kind::Choice(words)) = lookup::find(path).map(|key| key.kind) else {
            return None;
        };
        let said = self.text(path)?.trim().to_ascii_lowercase();
        let word = words.iter().copied().find(|word| *word == said);
        if word.is_none() {
            let near = nearest::word(&said, words.iter().copied())
                .map(|near| format!("did you mean \"{near}\"?"));
            self.refuse(path, near);
        }
        word
    }

    /// Any text.
    pub(super) fn text(&mut self, path: &str) -> Option<String> {
        self.read(path, |_, value| text(value).map(str::to_owned))
    }

    /// A text with a form of its own; blanks around it do not count.
    pub(super) fn parsed<T>(
        &mut self,
        path: &str,
        parse: impl FnOnce(&str) -> Result<T, Refusal>,
    ) -> Option<T> {
        match parse(invisible::trimmed(&self.text(path)?)) {
            Ok(value) => Some(value),
            Err(why) => {
                self.refuse(path, why);
                None
            }
        }
    }

    /// A list: an array of texts, or one text with commas, half- or full-width.
    pub(super) fn list(&mut self, path: &str) -> Vec<String> {
        self.read(path, |_, value| list(value)).unwrap_or_default()
    }

    /// A list of places in a payload: an array, or one text. Commas stand in names and in fixed
    /// texts, too, so that only one with another place behind it parts two of them.
    pub(super) fn places(&mut self, path: &str) -> Vec<String> {
        let places = |value: &ValueKind| match value {
            ValueKind::String(text) => Some(places(text)),
            _ => list(value),
        };
        self.read(path, |_, value| places(value))
            .unwrap_or_default()
    }

    /// Text of one line with at most `most` characters.
    pub(super) fn line(&mut self, path: &str, most: usize) -> Option<String> {
        self.parsed(path, |text| {
            if is_line(text, most) {
                Ok(text.to_owned())
            } else {
                Err(None)
            }
        })
    }

    /// A language. The default for a bad value.
    pub(super) fn locale(&mut self, path: &str) -> Locale {
        self.parsed(path, |text| text.parse().map_err(|_| None))
            .unwrap_or_default()
    }

    /// An initial and a longest pause. If only one of them is set, the other one adapts to it.
    pub(super) fn pauses(&mut self, first_path: &str, most_path: &str) -> (Duration, Duration) {
        let (first, most) = (self.span(first_path), self.span(most_path));
        if first <= most {
            return (first, most);
        }
        match (self.by_hand(first_path), self.by_hand(most_path)) {
            (true, true) => {
                self.problem(
                    most_path,
                    format!("shorter than {first_path}; make it at least as long"),
                );
                (first, first)
            }
            (true, false) => (first, first),
            _ => (most, most),
        }
    }

    /// An address with or without a display name.
    pub(super) fn mailbox(&mut self, path: &str) -> Option<Mailbox> {
        self.parsed(path, |text| {
            Mailbox::parse(text).map_err(|error| Some(error.to_string()))
        })
    }

    /// Addresses: a comma-separated text, or an array of texts.
    pub(super) fn addresses(&mut self, path: &str) -> AddressList {
        match self.stated(path).map(|value| &value.kind) {
            Some(ValueKind::String(text)) => AddressList::read(text),
            _ => AddressList::read_all(self.list(path).iter().map(String::as_str)),
        }
    }

    /// Recipients, at most `most`.
    pub(super) fn recipients(&mut self, path: &str, most: usize) -> Vec<Recipient> {
        let list = self.addresses(path);
        if list.mailboxes.len() > most {
            let count = list.mailboxes.len();
            self.refuse(path, Some(format!("{count} addresses, at most {most}")));
            return Vec::new();
        }
        list.recipients().unwrap_or_else(|faults| {
            self.refuse_entries(path, faults);
            Vec::new()
        })
    }

    /// Addresses and domains, as in `email.allowed_recipients`, at most `most`.
    pub(super) fn allowed(&mut self, path: &str, most: usize) -> Vec<Allowed> {
        let entries = self.list(path);
        if entries.len() > most || (entries.is_empty() && self.has(path)) {
            self.refuse(path, None);
            return Vec::new();
        }
        let mut allowed = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            match Allowed::parse(entry) {
                Ok(rule) => allowed.push(rule),
                Err(error) => self.refuse(path, Some(format!("entry {}: {error}", index + 1))),
            }
        }
        allowed
    }

    /// Reports each malformed address of a list.
    pub(super) fn refuse_entries(&mut self, path: &str, faults: Vec<(usize, AddressError)>) {
        for (index, error) in faults {
            self.refuse(path, Some(format!("entry {}: {error}", index + 1)));
        }
    }
}

/// Whether a text is a single line with at most `most` characters.
pub(super) fn is_line(text: &str, most: usize) -> bool {
    text.chars().count() <= most && !text.chars().any(char::is_control)
}
