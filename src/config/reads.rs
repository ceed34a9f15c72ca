//! Typed reads of [`Values`]. Each key is read independently, so that one bad value does not hide
//! another.
//!
//! A bad or missing value is replaced by a harmless one: the problem is reported, and no
//! configuration is built.

use std::time::Duration;

use super::key::Kind;
use super::message::{Message, message};
use super::nearest::{self, did_you_mean};
use super::scalars::{flag, list, locations, number, text, within};
use super::value::Value;
use super::values::{Refusal, Values};
use super::{invisible, lookup, units};
use crate::domain::{AddressError, AddressList, Locale, Mailbox, Recipient};
use crate::routing::Allowed;
use crate::transport::RateLimit;

impl Values {
    /// A boolean.
    pub(super) fn flag(&mut self, path: &str) -> bool {
        self.read(path, |_, value| flag(value)).unwrap_or_default()
    }

    /// A whole number within the key's bounds.
    pub(super) fn whole<T: TryFrom<u64>>(&mut self, path: &str) -> Option<T> {
        self.read(path, |kind, value| within(kind, number(value)?))
            .and_then(|number| number.try_into().ok())
    }

    /// A duration within the key's bounds.
    pub(super) fn span(&mut self, path: &str) -> Duration {
        let parse = |kind, value: &Value| match value {
            Value::Text(text) => within(kind, units::span_ms(text)?),
            other => within(kind, number(other)?.checked_mul(1_000)?),
        };
        Duration::from_millis(self.read(path, parse).unwrap_or(1))
    }

    /// A size within the key's bounds.
    pub(super) fn bytes(&mut self, path: &str) -> Option<usize> {
        let parse = |kind, value: &Value| match value {
            Value::Text(text) => within(kind, units::bytes(text)?),
            other => within(kind, number(other)?),
        };
        self.read(path, parse)
            .and_then(|size| usize::try_from(size).ok())
    }

    /// A rate.
    pub(super) fn rate(&mut self, path: &str) -> Option<RateLimit> {
        self.read(path, |_, value| text(value).and_then(units::rate))
    }

    /// One of the key's words, in any case.
    pub(super) fn choice(&mut self, path: &str) -> Option<&'static str> {
        let Some(Kind::Choice(words)) = lookup::find(path).map(|key| key.kind) else {
            return None;
        };
        let given = self.text(path)?.trim().to_ascii_lowercase();
        let word = words.iter().copied().find(|word| *word == given);
        if word.is_none() {
            let near = nearest::word(&given, words.iter().copied());
            self.refuse(path, near.map(did_you_mean));
        }
        word
    }

    /// Any text.
    pub(super) fn text(&mut self, path: &str) -> Option<String> {
        self.read(path, |_, value| text(value).map(str::to_owned))
    }

    /// A text in a certain format; surrounding white space is ignored.
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

    /// A text that fulfils a condition.
    pub(super) fn checked(
        &mut self,
        path: &str,
        fits: impl FnOnce(&str) -> bool,
    ) -> Option<String> {
        self.parsed(path, |text| {
            if fits(text) {
                Ok(text.to_owned())
            } else {
                Err(None)
            }
        })
    }

    /// A text of one line within the key's length.
    pub(super) fn line(&mut self, path: &str) -> Option<String> {
        let Some(Kind::Line(most)) = lookup::find(path).map(|key| key.kind) else {
            return None;
        };
        self.checked(path, |text| is_line(text, most))
    }

    /// A list: an array of texts, or one text with commas, ASCII or full-width.
    pub(super) fn list(&mut self, path: &str) -> Vec<String> {
        self.read(path, |_, value| list(value)).unwrap_or_default()
    }

    /// A list of at most `most` entries; each invalid entry is reported.
    pub(super) fn entries<T, E: Into<Message>>(
        &mut self,
        path: &str,
        most: usize,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let list = self.list(path);
        if list.len() > most {
            self.refuse(path, Some(too_many(list.len(), most)));
            return Vec::new();
        }
        let mut entries = Vec::with_capacity(list.len());
        for (index, text) in list.iter().enumerate() {
            match parse(text) {
                Ok(entry) => entries.push(entry),
                Err(error) => self.refuse(path, Some(error.into().of_entry(index))),
            }
        }
        entries
    }

    /// A list of locations in a payload: an array, or one text with commas.
    pub(super) fn locations(&mut self, path: &str) -> Vec<String> {
        self.read(path, |_, value| match value {
            Value::Text(text) => Some(locations(text)),
            _ => list(value),
        })
        .unwrap_or_default()
    }

    /// A language; the default for a bad value.
    pub(super) fn locale(&mut self, path: &str) -> Locale {
        self.parsed(path, |text| text.parse().map_err(|_| None))
            .unwrap_or_default()
    }

    /// An initial and a maximum pause. If only one of them is set, the other one adapts to it.
    pub(super) fn pauses(&mut self, first_path: &str, most_path: &str) -> (Duration, Duration) {
        let (first, most) = (self.span(first_path), self.span(most_path));
        if first <= most {
            return (first, most);
        }
        match (self.is_set(first_path), self.is_set(most_path)) {
            (true, true) => {
                self.problem(
                    most_path,
                    message!(
                        "shorter than {first_path}; make it at least as long",
                        "比 {first_path} 短；请设为不小于它的值"
                    ),
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
            Mailbox::parse(text).map_err(|error| Some(error.into()))
        })
    }

    /// Addresses: a comma-separated text, or an array of texts.
    pub(super) fn addresses(&mut self, path: &str) -> AddressList {
        match self.stated(path) {
            Some(Value::Text(text)) => AddressList::read(text),
            _ => AddressList::read_all(self.list(path).iter().map(String::as_str)),
        }
    }

    /// At most `most` recipients.
    pub(super) fn recipients(&mut self, path: &str, most: usize) -> Vec<Recipient> {
        let list = self.addresses(path);
        let count = list.mailboxes.len();
        if count > most {
            self.refuse(path, Some(too_many(count, most)));
            return Vec::new();
        }
        list.recipients().unwrap_or_else(|faults| {
            self.refuse_entries(path, faults);
            Vec::new()
        })
    }

    /// At most `most` addresses and domains, as in `email.allowed_recipients`.
    pub(super) fn allowed(&mut self, path: &str, most: usize) -> Vec<Allowed> {
        let allowed = self.entries(path, most, Allowed::parse);
        // An empty list would allow every recipient.
        if allowed.is_empty()
            && self
                .stated(path)
                .and_then(list)
                .is_some_and(|l| l.is_empty())
        {
            self.refuse(path, None);
        }
        allowed
    }

    /// Reports each malformed address of a list.
    pub(super) fn refuse_entries(&mut self, path: &str, faults: Vec<(usize, AddressError)>) {
        for (index, error) in faults {
            self.refuse(path, Some(Message::from(error).of_entry(index)));
        }
    }
}

fn too_many(count: usize, most: usize) -> Message {
    message!(
        "{count} entries, at most {most} are allowed",
        "共 {count} 项，最多 {most} 项"
    )
}

/// Whether a text is a single line with at most `most` characters.
pub(super) fn is_line(text: &str, most: usize) -> bool {
    text.chars().count() <= most && !text.chars().any(char::is_control)
}
