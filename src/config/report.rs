//! The result of reading a configuration: problems, notes and effective keys.

use std::collections::HashSet;
use std::fmt;

use super::message::{Message, message};
use crate::domain::Locale;

/// An error that makes a configuration unusable.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// Where: `config.toml:12:8` (line and column from 1, in characters), `$SMTP_PORT`, `--listen`.
    pub place: String,
    /// The key, such as `smtp.port`; empty if the problem concerns the whole file.
    pub key: String,
    /// The invalid value; never a secret, never a full address.
    pub found: Option<String>,
    /// The allowed values.
    pub allowed: Option<String>,
    /// The complete message, including `found` and `allowed`.
    pub message: Message,
}

impl Problem {
    /// The problem on one line, in a language if it is translated.
    pub fn said(&self, locale: Locale) -> String {
        line(&self.place, &self.key, self.message.text(locale))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said(Locale::En))
    }
}

/// The severity of a [`Note`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Information.
    Info,
    /// Probably a mistake.
    Warning,
}

/// A remark about a usable configuration.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Note {
    /// The severity.
    pub level: Level,
    /// Where, as in [`Problem::place`].
    pub place: String,
    /// The key, as in [`Problem::key`].
    pub key: String,
    /// The message.
    pub message: Message,
}

impl Note {
    /// The note on one line, in a language if it is translated.
    pub fn said(&self, locale: Locale) -> String {
        line(&self.place, &self.key, self.message.text(locale))
    }

    /// Whether the note concerns a file as a whole, and no key or variable.
    pub fn concerns_a_file(&self) -> bool {
        self.key.is_empty() && !self.place.starts_with('$')
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said(Locale::En))
    }
}

fn line(place: &str, key: &str, message: &str) -> String {
    [place, key]
        .into_iter()
        .filter(|part| !part.is_empty())
        .map(|part| format!("{part}: "))
        .chain([message.to_owned()])
        .collect()
}

/// An effective key, for `check --show`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ShownKey {
    /// The key, such as `smtp.backup[0].host`.
    pub key: String,
    /// The value in TOML; `***` for a secret.
    #[serde(skip)]
    pub value: String,
    /// The value with its type: text, number, boolean or list.
    #[serde(rename = "value")]
    pub typed: serde_json::Value,
    /// Where the value comes from: a place as in [`Problem::place`], or a description.
    pub origin: String,
}

/// All problems of an unusable configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The problems, at least one; those of the file first, by line.
    pub problems: Vec<Problem>,
    /// Further notes.
    pub notes: Vec<Note>,
    /// The keys that could be read.
    pub shown: Vec<ShownKey>,
    /// The configuration file, if there is one.
    pub file: Option<std::path::PathBuf>,
}

/// One line per problem.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.problems.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Report {}

/// An invalid value as shown in a problem.
pub(super) enum Found {
    /// The value itself.
    Value(String),
    /// Its type, in English and Chinese.
    Type([&'static str; 2]),
}

/// Problems and notes, collected while the sources are read.
#[derive(Debug, Default)]
pub(super) struct Findings {
    problems: Vec<Problem>,
    notes: Vec<Note>,
}

impl Findings {
    /// Reports an invalid value.
    pub(super) fn invalid(
        &mut self,
        place: &str,
        key: &str,
        found: &Found,
        expected: impl Into<Message>,
        why: Option<Message>,
    ) {
        let expected = expected.into();
        let (value, [en, zh]) = match found {
            Found::Value(value) => (
                value.as_str(),
                [format!("invalid value {value}"), format!("值 {value} 无效")],
            ),
            Found::Type([en, zh]) => (*en, [format!("found {en}"), format!("此处是{zh}")]),
        };
        let (reason, reason_zh) = match why {
            Some(why) => {
                let zh = why.zh.map(|why| format!("（{why}）"));
                (format!(" ({})", why.en), zh)
            }
            None => (String::new(), Some(String::new())),
        };
        let message = Message {
            en: format!("{en}{reason}; expected {expected}"),
            zh: reason_zh.zip(expected.zh).map(|(reason, expected)| {
                let space = if expected.starts_with(|c: char| c.is_ascii()) {
                    " "
                } else {
                    ""
                };
                format!("{zh}{reason}；应为{space}{expected}")
            }),
        };
        self.problems.push(Problem {
            place: place.to_owned(),
            key: key.to_owned(),
            found: Some(value.to_owned()),
            allowed: Some(expected.en),
            message,
        });
    }

    /// Reports any other problem.
    pub(super) fn problem(&mut self, place: &str, key: &str, message: impl Into<Message>) {
        self.problems.push(Problem {
            place: place.to_owned(),
            key: key.to_owned(),
            found: None,
            allowed: None,
            message: message.into(),
        });
    }

    /// Replaces the problems about missing keys by one that says that nothing is configured.
    pub(super) fn nothing_configured(&mut self, places: &[std::path::PathBuf]) {
        let is_missing = |key: &str| matches!(key, "smtp.host" | "smtp.from");
        if !self.problems.iter().any(|problem| is_missing(&problem.key)) {
            return;
        }
        self.problems.retain(|problem| !is_missing(&problem.key));
        self.notes.retain(|note| note.key != "smtp.to");
        let searched = places.iter().map(|place| {
            let start = if place.is_relative() { "./" } else { "" };
            format!("{start}{}", place.display())
        });
        let searched = searched.collect::<Vec<_>>().join(", ");
        self.problem(
            "",
            "",
            message!(
                "no configuration found (looked at {searched}, and for SMTP_* variables). Try `jobbell demo`, which needs none; or write one: \
                 `jobbell providers qq` shows the lines for a mail service",
                "未找到配置（已查找 {searched} 以及 SMTP_* 环境变量）。可先运行 `jobbell demo`，无需配置；或参照 `jobbell providers qq` 编写配置文件"
            ),
        );
    }

    /// Whether there is a problem.
    pub(super) fn any_problem(&self) -> bool {
        !self.problems.is_empty()
    }

    pub(super) fn warn(&mut self, place: &str, key: &str, message: impl Into<Message>) {
        self.note(Level::Warning, place, key, message.into());
    }

    pub(super) fn info(&mut self, place: &str, key: &str, message: impl Into<Message>) {
        self.note(Level::Info, place, key, message.into());
    }

    fn note(&mut self, level: Level, place: &str, key: &str, message: Message) {
        self.notes.push(Note {
            level,
            place: place.to_owned(),
            key: key.to_owned(),
            message,
        });
    }

    /// All findings without duplicates, those of the file by line. Leaves out problems with keys on
    /// lines that have a syntax error.
    pub(super) fn into_parts(
        self,
        file: Option<&str>,
        broken_lines: &HashSet<usize>,
    ) -> (Vec<Problem>, Vec<Note>) {
        let line_of = |place: &str| position(place, file);
        let mut problems = self.problems;
        problems.retain(|problem| {
            problem.key.is_empty()
                || line_of(&problem.place).is_none_or(|(line, _)| !broken_lines.contains(&line))
        });
        let mut seen = HashSet::new();
        problems.retain(|problem| seen.insert(problem.to_string()));
        let rank = |place: &str| line_of(place).unwrap_or((usize::MAX, 0));
        problems.sort_by_key(|problem| rank(&problem.place));
        let mut notes = self.notes;
        notes.sort_by_key(|note| rank(&note.place));
        (problems, notes)
    }
}

/// Line and column of a place in the file.
fn position(place: &str, file: Option<&str>) -> Option<(usize, usize)> {
    let (line, column) = place
        .strip_prefix(file?)?
        .strip_prefix(':')?
        .split_once(':')?;
    Some((line.parse().ok()?, column.parse().ok()?))
}
