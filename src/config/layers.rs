//! The layers, and the `config` crate that lays them over each other.
//!
//! Our own sources carry the exact place of each value as its origin; the crate's file formats and
//! its environment source would lose it (and turn `__0__` into a key where an index is meant).
//! Nothing here prints a value: the crate's own errors and `Debug` would.

use std::collections::HashMap;
use std::fmt;

use ::config::{ConfigError, Map, Source, Value, ValueKind};

use super::key::{Kind, TOKENS};
use super::keys::KEYS;

/// The origin of values that nobody has set.
pub const BUILT_IN: &str = "built-in default";

/// One value as a source states it, under whichever name.
pub(super) struct Stated {
    /// The path as written, in the file's form: `smtp.server`, `smtp.backup[0].host`.
    pub path: String,
    /// The name as the operator wrote it: `server`, `SMTP_SERVER`.
    pub written: String,
    /// The value.
    pub value: ValueKind,
    /// Where: `config.toml:12:8`, `$SMTP_SERVER`.
    pub place: String,
}

/// One layer: canonical paths with values that know their place.
#[derive(Clone, Default)]
pub(super) struct Layer(Map<String, Value>);

impl Layer {
    pub(super) fn set(&mut self, path: String, place: &str, value: ValueKind) {
        self.0
            .insert(path, Value::new(Some(&place.to_owned()), value));
    }

    pub(super) fn get(&self, path: &str) -> Option<&Value> {
        self.0.get(path)
    }
}

/// Shows how many values there are, never one of them.
impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Layer({} values)", self.0.len())
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

/// What the layers say together: one value for each canonical path, and the number of backups.
#[derive(Default)]
pub(super) struct Stack {
    pub values: HashMap<String, Value>,
    /// How many `[[smtp.backup]]` there are.
    pub backups: usize,
    /// Indexes below that number of which no source says anything.
    pub gaps: Vec<usize>,
    /// How many `[[server.token]]` there are.
    pub tokens: usize,
    /// The names of the `[hooks.NAME]` tables, sorted.
    pub hooks: Vec<String>,
}

/// Lays the layers over each other, the last on top. `None` cannot be: our sources do not fail and
/// their paths are well formed.
pub(super) fn stack(defaults: &Layer, above: Vec<Layer>) -> Option<Stack> {
    let mut builder = ::config::Config::builder().add_source(defaults.clone());
    for layer in above {
        builder = builder.add_source(layer);
    }
    let built = builder.build().ok()?;
    let mut stack = Stack::default();
    let ValueKind::Table(mut tables) = built.cache.kind else {
        return None;
    };
    take_hooks(&mut stack, tables.remove(super::key::HOOKS));
    let (backups, tokens) = (
        take_many(&mut tables, "smtp", "backup"),
        take_many(&mut tables, "server", "token"),
    );
    (stack.backups, stack.tokens) = (backups.len(), tokens.len());
    for (index, table) in tokens.into_iter().enumerate() {
        take_keys(
            &mut stack.values,
            &format!("{TOKENS}[{index}]."),
            table.kind,
        );
    }
    for (name, table) in tables {
        take_keys(&mut stack.values, &format!("{name}."), table.kind);
    }
    for (index, table) in backups.into_iter().enumerate() {
        let prefix = format!("smtp.backup[{index}].");
        if matches!(table.kind, ValueKind::Table(_)) {
            take_keys(&mut stack.values, &prefix, table.kind);
        } else {
            stack.gaps.push(index);
        }
        fill_backup(&mut stack.values, defaults, &prefix);
    }
    Some(stack)
}

/// An array of tables, taken out of the table around it.
fn take_many(tables: &mut Map<String, Value>, home: &str, name: &str) -> Vec<Value> {
    let Some(ValueKind::Table(home)) = tables.get_mut(home).map(|value| &mut value.kind) else {
        return Vec::new();
    };
    match home.remove(name).map(|value| value.kind) {
        Some(ValueKind::Array(many)) => many,
        _ => Vec::new(),
    }
}

fn take_hooks(stack: &mut Stack, hooks: Option<Value>) {
    let Some(ValueKind::Table(hooks)) = hooks.map(|value| value.kind) else {
        return;
    };
    for (name, table) in hooks {
        take_keys(
            &mut stack.values,
            &format!("{}.{name}.", super::key::HOOKS),
            table.kind,
        );
        stack.hooks.push(name);
    }
    stack.hooks.sort();
}

fn take_keys(values: &mut HashMap<String, Value>, prefix: &str, table: ValueKind) {
    let ValueKind::Table(table) = table else {
        return;
    };
    for (name, value) in table {
        match value.kind {
            ValueKind::Nil => {}
            // A part of a hook: its mapping, its words.
            ValueKind::Table(_) => take_keys(values, &format!("{prefix}{name}."), value.kind),
            _ => _ = values.insert(format!("{prefix}{name}"), value),
        }
    }
}

/// A backup has the built-in defaults of `[smtp]`, not what the operator wrote for the primary.
fn fill_backup(values: &mut HashMap<String, Value>, defaults: &Layer, prefix: &str) {
    for key in KEYS.iter().filter(|key| key.per_server) {
        if let Some(default) = defaults.get(&key.path()) {
            values
                .entry(format!("{prefix}{}", key.name))
                .or_insert_with(|| default.clone());
        }
    }
}

/// How a value may be named in a problem: in its own words, except that of a secret only the sort
/// is told, and of an address not the name.
pub(super) fn found(kind: Kind, value: &ValueKind) -> String {
    match value {
        ValueKind::Nil => "nothing".to_owned(),
        ValueKind::Table(_) => "a table".to_owned(),
        ValueKind::Array(items)
            if kind.takes_list()
                && items
                    .iter()
                    .any(|item| !matches!(item.kind, ValueKind::String(_))) =>
        {
            "a list with an entry that is no text".to_owned()
        }
        ValueKind::Array(_) => "a list".to_owned(),
        ValueKind::String(_) if kind.is_secret() => "text".to_owned(),
        ValueKind::Boolean(_) if kind.is_secret() => "a boolean".to_owned(),
        _ if kind.is_secret() => "a number".to_owned(),
        // An unclosed quote makes one text of all lines that follow, and one of them may hold a
        // password.
        ValueKind::String(text) if text.contains('\n') => "text of several lines".to_owned(),
        ValueKind::String(text) => quote(kind, text),
        other => other.to_string(),
    }
}

/// A text in quotes, with control characters escaped, at most 80 characters of it, masked as its
/// kind asks.
pub(super) fn quote(kind: Kind, text: &str) -> String {
    let text = match kind {
        Kind::Address(_) | Kind::List(_) => mask_address(text),
        Kind::Url(_) => mask_url(text),
        _ => text.to_owned(),
    };
    let short: String = text.chars().take(80).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!(
        "\"{}{dots}\"",
        short
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace(|c: char| c.is_control(), "?")
    )
}

/// `me@qq.com` becomes `m***@qq.com`, in a list each; what has no `@` stays as it is.
fn mask_address(text: &str) -> String {
    let mask = |part: &str| match part.split_once('@') {
        Some((local, domain)) => {
            let local = local
                .rsplit_once('<')
                .map_or(local, |(_, local)| local)
                .trim_start();
            format!(
                "{}***@{domain}",
                local.chars().next().map(String::from).unwrap_or_default()
            )
        }
        None => part.to_owned(),
    };
    text.split(',').map(mask).collect::<Vec<_>>().join(",")
}

/// Of a URL with login data, or with parameters that may hold some, only the scheme is shown.
pub(super) fn mask_url(text: &str) -> String {
    match text.split_once("://") {
        Some((scheme, rest)) if rest.contains(['@', '?']) => format!("{scheme}://***"),
        None if text.contains('@') => "***".to_owned(),
        _ => text.to_owned(),
    }
}
