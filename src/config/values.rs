//! The merged values of all keys, and the findings so far.

use super::key::Kind;
use super::layers::{BUILT_IN, Stack};
use super::lookup;
use super::message::Message;
use super::report::Findings;
use super::shown;
use super::value::{Placed, Value};

/// Why a value is invalid, if the description of allowed values is not enough.
pub(super) type Refusal = Option<Message>;

/// Facts about the configuration file.
pub(super) struct File {
    /// The places of `smtp`, each `smtp.backup[n]`, each `server.token[n]` and each `hooks.NAME`, by
    /// path.
    pub homes: Vec<(String, String)>,
    /// Its name, if there is a file.
    pub name: Option<String>,
    /// Whether all keys could be read, so that others are really missing.
    pub complete: bool,
}

/// The merged values and the findings so far.
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

    /// Whether an absent key may be reported as missing; false if parts of the file are unreadable.
    pub(super) fn complete(&self) -> bool {
        self.file.complete
    }

    /// Where a missing key of a server, token or hook belongs: its table in the file, else the file,
    /// else the key's variable.
    pub(super) fn home(&self, home: &str, name: &str) -> String {
        let name = name.to_ascii_uppercase();
        let index = |start| home.strip_prefix(start)?.strip_suffix(']');
        if let Some((_, place)) = self.file.homes.iter().find(|(path, _)| path == home) {
            place.clone()
        } else if let Some(hook) = home.strip_prefix("hooks.") {
            let hook = hook.replace('-', "_").to_ascii_uppercase();
            format!("$JOBBELL_HOOKS__{hook}__{name}")
        } else if let Some(index) = index("server.token[") {
            format!("$JOBBELL_SERVER__TOKEN__{index}__{name}")
        } else if let Some(index) = index("smtp.backup[") {
            format!("$JOBBELL_SMTP__BACKUP__{index}__{name}")
        } else {
            let file = self.file.name.clone();
            file.unwrap_or_else(|| format!("$SMTP_{name}"))
        }
    }

    /// The number of `[[smtp.backup]]` tables.
    pub(super) fn backups(&self) -> usize {
        self.stack.backups
    }

    /// The number of `[[server.token]]` tables.
    pub(super) fn tokens(&self) -> usize {
        self.stack.tokens
    }

    /// The names of the `[hooks.NAME]` tables.
    pub(super) fn hooks(&self) -> Vec<String> {
        self.stack.hooks.clone()
    }

    /// The indexes of backups that no source sets.
    pub(super) fn gaps(&self) -> Vec<usize> {
        self.stack.gaps.clone()
    }

    /// The value as stated.
    pub(super) fn stated(&self, path: &str) -> Option<&Value> {
        self.stack.values.get(path).map(|placed| &placed.value)
    }

    /// Whether a value is stated, valid or not.
    pub(super) fn has(&self, path: &str) -> bool {
        self.stack.values.contains_key(path)
    }

    /// The paths that have a value, sorted.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.stack.values.keys().map(String::as_str)
    }

    /// Whether the value is set by the operator, and is not the built-in default.
    pub(super) fn is_set(&self, path: &str) -> bool {
        self.has(path) && self.origin(path) != BUILT_IN
    }

    /// Where the value comes from.
    pub(super) fn origin(&self, path: &str) -> String {
        let placed = self.stack.values.get(path);
        placed
            .map(|placed| placed.place.clone())
            .unwrap_or_default()
    }

    /// Adds a value that no source states.
    pub(super) fn supply(&mut self, path: &str, origin: &str, text: &str) {
        let placed = Placed {
            value: Value::Text(text.to_owned()),
            place: origin.to_owned(),
        };
        self.stack.values.insert(path.to_owned(), placed);
    }

    /// Reports a problem with a key, at the place that sets it.
    pub(super) fn problem(&mut self, path: &str, message: impl Into<Message>) {
        self.findings.problem(&self.origin(path), path, message);
    }

    /// Warns about a key, at the place that sets it.
    pub(super) fn warn(&mut self, path: &str, message: impl Into<Message>) {
        self.findings.warn(&self.origin(path), path, message);
    }

    /// Reports a missing key of a server, token or hook, unless parts of the file are unreadable.
    pub(super) fn missing(&mut self, home: &str, name: &str, message: impl Into<Message>) {
        if self.complete() {
            let path = format!("{home}.{name}");
            self.findings
                .problem(&self.home(home, name), &path, message);
        }
    }

    /// Reports the value of a key as invalid.
    pub(super) fn refuse(&mut self, path: &str, why: Refusal) {
        if let (Some(key), Some(placed)) = (lookup::find(path), self.stack.values.get(path)) {
            let found = shown::found(key.kind, &placed.value);
            let expected = key.kind.expected();
            self.findings
                .invalid(&placed.place, path, &found, expected, why);
        }
    }

    /// Parses the value of a key; `None` if there is none, or if it is invalid, which is reported.
    pub(super) fn read<T>(
        &mut self,
        path: &str,
        parse: impl FnOnce(Kind, &Value) -> Option<T>,
    ) -> Option<T> {
        let kind = lookup::find(path)?.kind;
        let read = parse(kind, self.stated(path)?);
        if read.is_none() {
            self.refuse(path, None);
        }
        read
    }

    /// The value of a key for `check --show`: as TOML and with its type.
    pub(super) fn show(&self, path: &str) -> Option<(String, serde_json::Value)> {
        let kind = lookup::find(path)?.kind;
        let value = self.stated(path)?;
        Some(if kind.is_secret() {
            ("***".to_owned(), "***".into())
        } else {
            (shown::show(kind, value), shown::typed(kind, value))
        })
    }
}
