//! What is wrong with a configuration, and what is worth knowing about one that is not.

use std::collections::HashSet;
use std::fmt;

use crate::domain::Locale;

/// One thing that keeps the configuration from being used.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// Where: `config.toml:12:8` (line and column from 1, in characters), `$SMTP_PORT`, `--listen`.
    pub place: String,
    /// The key that it concerns, as `smtp.port`; empty when it concerns the file as such.
    pub key: String,
    /// What was found there; never a secret, never a full address.
    pub found: Option<String>,
    /// What would be allowed.
    pub allowed: Option<String>,
    /// The whole sentence, `found` and `allowed` included.
    pub message: String,
}

impl Problem {
    /// The line in a person's language, as far as it is there in it.
    pub fn said(&self, locale: Locale) -> String {
        line(&self.place, &self.key, in_language(&self.message, locale))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&line(
            &self.place,
            &self.key,
            in_language(&self.message, Locale::En),
        ))
    }
}

/// How much a [`Note`] asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Good to know.
    Info,
    /// Probably not what was meant.
    Warning,
}

/// One thing to say about a configuration that can be used all the same.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Note {
    /// How much it asks for.
    pub level: Level,
    /// Where, as in [`Problem::place`].
    pub place: String,
    /// The key that it concerns.
    pub key: String,
    /// The sentence.
    pub message: String,
}

impl Note {
    /// The line in a person's language, as far as it is there in it.
    pub fn said(&self, locale: Locale) -> String {
        line(&self.place, &self.key, in_language(&self.message, locale))
    }

    /// Whether it says something of a file as such, and not of a key or a variable.
    pub fn concerns_a_file(&self) -> bool {
        self.key.is_empty() && !self.place.starts_with('$')
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&line(
            &self.place,
            &self.key,
            in_language(&self.message, Locale::En),
        ))
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

/// The wording of a message that is there in both languages, `English / 中文`; any other message as
/// it is.
pub fn in_language(message: &str, locale: Locale) -> &str {
    let is_han = |c: char| matches!(c, '\u{4E00}'..='\u{9FFF}');
    match message.rsplit_once(" / ") {
        Some((english, chinese)) if chinese.contains(is_han) => {
            if locale == Locale::ZhCn {
                chinese
            } else {
                english
            }
        }
        _ => message,
    }
}

/// One key that is in force, for `check --show`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ShownKey {
    /// The key, as `smtp.backup[0].host`.
    pub key: String,
    /// Its value as the file would have it; `***` for a secret.
    #[serde(skip)]
    pub value: String,
    /// The same with its type: a text, a number, a boolean or a list.
    #[serde(rename = "value")]
    pub typed: serde_json::Value,
    /// Where the value comes from: a place as in [`Problem::place`], or in words.
    pub origin: String,
}

/// Why a configuration cannot be used: every problem at once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The problems, at least one; those of the file first, by line.
    pub problems: Vec<Problem>,
    /// What is worth knowing besides.
    pub notes: Vec<Note>,
    /// What could be read of the settings all the same.
    pub shown: Vec<ShownKey>,
    /// The file that was read, if one was.
    pub file: Option<std::path::PathBuf>,
}

/// One line for each problem.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

/// Collects while the sources are read.
#[derive(Debug, Default)]
pub(super) struct Findings {
    problems: Vec<Problem>,
    notes: Vec<Note>,
}

impl Findings {
    /// Something found where something else is allowed.
    pub(super) fn unfit(
        &mut self,
        place: &str,
        key: &str,
        found: &str,
        allowed: &str,
        why: Option<String>,
    ) {
        let reason = why.map(|why| format!(" ({why})")).unwrap_or_default();
        self.problems.push(Problem {
            place: place.to_owned(),
            key: key.to_owned(),
            message: format!("found {found}{reason}; allowed: {allowed}"),
            found: Some(found.to_owned()),
            allowed: Some(allowed.to_owned()),
        });
    }

    /// Anything else that is wrong.
    pub(super) fn problem(&mut self, place: &str, key: &str, message: impl Into<String>) {
        self.problems.push(Problem {
            place: place.to_owned(),
            key: key.to_owned(),
            found: None,
            allowed: None,
            message: message.into(),
        });
    }

    /// Says once that there is no configuration, in the place of each key that is missing.
    pub(super) fn nothing_configured(&mut self, places: &[std::path::PathBuf]) {
        let is_missing = |key: &str| matches!(key, "smtp.host" | "smtp.from");
        if !self.problems.iter().any(|problem| is_missing(&problem.key)) {
            return;
        }
        self.problems.retain(|problem| !is_missing(&problem.key));
        self.notes.retain(|note| note.key != "smtp.to");
        let looked = places.iter().map(|place| {
            if place.is_relative() {
                format!("./{}", place.display())
            } else {
                place.display().to_string()
            }
        });
        let looked = looked.collect::<Vec<_>>().join(", ");
        self.problem(
            "",
            "",
            format!(
                "no configuration found (looked at {looked}, and for SMTP_* variables). Try `jobbell demo`, which needs none; or write one: \
                 `jobbell providers qq` shows the lines for a mail service / 未找到配置（已查找 {looked} 以及 SMTP_* 环境变量）。可先运行 `jobbell demo`，\
                 无需配置；或参照 `jobbell providers qq` 编写配置文件"
            ),
        );
    }

    /// Whether anything is wrong so far.
    pub(super) fn any_problem(&self) -> bool {
        !self.problems.is_empty()
    }

    pub(super) fn warn(&mut self, place: &str, key: &str, message: impl Into<String>) {
        self.notes.push(Note {
            level: Level::Warning,
            place: place.to_owned(),
            key: key.to_owned(),
            message: message.into(),
        });
    }

    pub(super) fn info(&mut self, place: &str, key: &str, message: impl Into<String>) {
        self.notes.push(Note {
            level: Level::Info,
            place: place.to_owned(),
            key: key.to_owned(),
            message: message.into(),
        });
    }

    /// All findings, each once, those of the file in its order; what follows only from a line that
    /// cannot be parsed is left out.
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
