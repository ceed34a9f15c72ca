//! Typed reads: each key on its own, so that one bad value hides no other.
//!
//! What a read gives for a bad or missing value does not matter, as long as it is harmless: a
//! problem stands against it, and nothing is built.

use std::time::Duration;

use ::config::{Value, ValueKind};

use super::layers::{BUILT_IN, Stack, found};
use super::registry::{self, Kind};
use super::report::Findings;
use super::{shown, units};
use crate::transport::smtp::RateLimit;

/// Why a value is refused, in words, where the allowed form does not say it.
pub(super) type Refusal = Option<String>;

/// What is to be known of the file beside its values.
pub(super) struct File {
    /// Where `smtp`, each `smtp.backup[n]`, each `server.token[n]` and each `hooks.NAME` stand in
    /// it, by path.
    pub homes: Vec<(String, String)>,
    /// Its name, when there is one.
    pub name: Option<String>,
    /// Whether what is not in it is really not there.
    pub complete: bool,
}

/// The effective values, and what has been found wrong with them so far.
pub(super) struct Values {
    stack: Stack,
    file: File,
    /// Problems and notes.
    pub findings: Findings,
}

impl Values {
    pub(super) fn new(stack: Stack, file: File, findings: Findings) -> Self {
        Self {
            stack,
            file,
            findings,
        }
    }

    /// Whether a key that is not there may be called missing; not so when part of the file could
    /// not be read.
    pub(super) fn complete(&self) -> bool {
        self.file.complete
    }

    /// Where the missing key of a server or a hook would belong: its table in the file, else the
    /// file, else the key's variable.
    pub(super) fn home(&self, home: &str, name: &str) -> String {
        let name = name.to_ascii_uppercase();
        if let Some((_, place)) = self.file.homes.iter().find(|(path, _)| path == home) {
            return place.clone();
        }
        if let Some(hook) = home.strip_prefix("hooks.") {
            return format!(
                "$JOBBELL_HOOKS__{}__{name}",
                hook.replace('-', "_").to_ascii_uppercase()
            );
        }
        if let Some(index) = home
            .strip_prefix("server.token[")
            .and_then(|rest| rest.strip_suffix(']'))
        {
            return format!("$JOBBELL_SERVER__TOKEN__{index}__{name}");
        }
        match home
            .strip_prefix("smtp.backup[")
            .and_then(|rest| rest.strip_suffix(']'))
        {
            Some(index) => format!("$JOBBELL_SMTP__BACKUP__{index}__{name}"),
            None => self
                .file
                .name
                .clone()
                .unwrap_or_else(|| format!("$SMTP_{name}")),
        }
    }

    /// How many `[[smtp.backup]]` there are.
    pub(super) fn backups(&self) -> usize {
        self.stack.backups
    }

    /// How many `[[server.token]]` there are.
    pub(super) fn tokens(&self) -> usize {
        self.stack.tokens
    }

    /// The names of the `[hooks.NAME]` tables.
    pub(super) fn hooks(&self) -> Vec<String> {
        self.stack.hooks.clone()
    }

    /// The indexes of backups of which nothing is said.
    pub(super) fn gaps(&self) -> Vec<usize> {
        self.stack.gaps.clone()
    }

    /// The value as it was stated.
    pub(super) fn stated(&self, path: &str) -> Option<&Value> {
        self.stack.values.get(path)
    }

    /// Whether anything is stated, good or bad.
    pub(super) fn has(&self, path: &str) -> bool {
        self.stack.values.contains_key(path)
    }

    /// The paths that have a value, sorted.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        let mut paths: Vec<&str> = self.stack.values.keys().map(String::as_str).collect();
        paths.sort_unstable();
        paths.into_iter()
    }

    /// Whether the operator, and not the built-in default, says it.
    pub(super) fn by_hand(&self, path: &str) -> bool {
        self.has(path) && self.origin(path) != BUILT_IN
    }

    /// Where the value comes from.
    pub(super) fn origin(&self, path: &str) -> String {
        self.stated(path)
            .and_then(Value::origin)
            .unwrap_or_default()
            .to_owned()
    }

    /// Puts a value where the layers say nothing.
    pub(super) fn supply(&mut self, path: &str, origin: &str, text: &str) {
        self.stack.values.insert(
            path.to_owned(),
            Value::new(Some(&origin.to_owned()), text.to_owned()),
        );
    }

    /// Refuses the value of a key.
    pub(super) fn refuse(&mut self, path: &str, why: Refusal) {
        let (Some(key), Some(value)) = (registry::find(path), self.stack.values.get(path)) else {
            return;
        };
        let place = value.origin().unwrap_or_default();
        self.findings.unfit(
            place,
            path,
            &found(key.kind, &value.kind),
            &key.kind.allowed(),
            why,
        );
    }

    fn read<T>(
        &mut self,
        path: &str,
        parse: impl FnOnce(Kind, &ValueKind) -> Option<T>,
    ) -> Option<T> {
        let kind = registry::find(path)?.kind;
        let read = parse(kind, &self.stated(path)?.kind);
        if read.is_none() {
            self.refuse(path, None);
        }
        read
    }

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
        let Some(Kind::Choice(words)) = registry::find(path).map(|key| key.kind) else {
            return None;
        };
        let said = self.text(path)?.trim().to_ascii_lowercase();
        let word = words.iter().copied().find(|word| *word == said);
        if word.is_none() {
            let near = super::nearest::word(&said, words.iter().copied())
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
        match parse(super::invisible::trimmed(&self.text(path)?)) {
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

    /// The value of a key that is in force, as `check --show --json` prints it.
    pub(super) fn typed(&self, path: &str) -> serde_json::Value {
        match (registry::find(path).map(|key| key.kind), self.stated(path)) {
            (Some(kind), Some(_)) if kind.is_secret() => "***".into(),
            (Some(kind), Some(value)) => shown::typed(kind, &value.kind),
            _ => serde_json::Value::Null,
        }
    }

    /// The value of a key that is in force, as `check --show` prints it.
    pub(super) fn show(&self, path: &str) -> Option<String> {
        let kind = registry::find(path)?.kind;
        self.stated(path).map(|value| {
            if kind.is_secret() {
                "***".to_owned()
            } else {
                shown::show(kind, &value.kind)
            }
        })
    }
}

fn within(kind: Kind, number: u64) -> Option<u64> {
    match kind {
        Kind::Whole(least, most) | Kind::Span(least, most) | Kind::Bytes(least, most) => {
            (least..=most).contains(&number).then_some(number)
        }
        _ => Some(number),
    }
}

/// A boolean as contract 1.1 takes it.
pub(super) fn flag(value: &ValueKind) -> Option<bool> {
    match value {
        ValueKind::Boolean(flag) => Some(*flag),
        ValueKind::I64(0) => Some(false),
        ValueKind::I64(1) => Some(true),
        ValueKind::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn number(value: &ValueKind) -> Option<u64> {
    match value {
        ValueKind::I64(number) => u64::try_from(*number).ok(),
        ValueKind::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

pub(super) fn text(value: &ValueKind) -> Option<&str> {
    match value {
        ValueKind::String(text) => Some(text),
        _ => None,
    }
}

pub(super) fn list(value: &ValueKind) -> Option<Vec<String>> {
    match value {
        ValueKind::String(text) => Some(
            text.split([',', '，'])
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect(),
        ),
        ValueKind::Array(items) => items
            .iter()
            .map(|item| text(&item.kind).map(str::to_owned))
            .collect(),
        _ => None,
    }
}

fn places(text: &str) -> Vec<String> {
    let mut places: Vec<String> = Vec::new();
    for part in text.split(',') {
        match places.last_mut() {
            Some(before) if !part.trim_start().starts_with(['/', '=']) => {
                *before = [before, ",", part].concat();
            }
            _ => places.push(part.to_owned()),
        }
    }
    places
        .into_iter()
        .map(|place| place.trim().to_owned())
        .filter(|place| !place.is_empty())
        .collect()
}
