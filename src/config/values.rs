//! The effective values of all keys, with their origins and the findings so far.

use ::config::{Value, ValueKind};

use super::key::Kind;
use super::layers::{BUILT_IN, Stack, found};
use super::lookup;
use super::report::Findings;
use super::shown;

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

    /// Reports a problem with a key, at the place that sets it.
    pub(super) fn problem(&mut self, path: &str, message: impl Into<String>) {
        let place = self.origin(path);
        self.findings.problem(&place, path, message);
    }

    /// Warns about a key, at the place that sets it.
    pub(super) fn warn(&mut self, path: &str, message: impl Into<String>) {
        let place = self.origin(path);
        self.findings.warn(&place, path, message);
    }

    /// Refuses the value of a key.
    pub(super) fn refuse(&mut self, path: &str, why: Refusal) {
        let (Some(key), Some(value)) = (lookup::find(path), self.stack.values.get(path)) else {
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

    pub(super) fn read<T>(
        &mut self,
        path: &str,
        parse: impl FnOnce(Kind, &ValueKind) -> Option<T>,
    ) -> Option<T> {
        let kind = lookup::find(path)?.kind;
        let read = parse(kind, &self.stated(path)?.kind);
        if read.is_none() {
            self.refuse(path, None);
        }
        read
    }

    /// The value of a key that is in force, as `check --show --json` prints it.
    pub(super) fn typed(&self, path: &str) -> serde_json::Value {
        match (lookup::find(path).map(|key| key.kind), self.stated(path)) {
            (Some(kind), Some(_)) if kind.is_secret() => "***".into(),
            (Some(kind), Some(value)) => shown::typed(kind, &value.kind),
            _ => serde_json::Value::Null,
        }
    }

    /// The value of a key that is in force, as `check --show` prints it.
    pub(super) fn show(&self, path: &str) -> Option<String> {
        let kind = lookup::find(path)?.kind;
        self.stated(path).map(|value| {
            if kind.is_secret() {
                "***".to_owned()
            } else {
                shown::show(kind, &value.kind)
            }
        })
    }
}
