//! Merges the sources: each one is a layer of canonical keys, and later layers override earlier ones.

use std::collections::{BTreeMap, BTreeSet};

use super::key::HOOKS;
use super::keys::KEYS;
use super::value::{Placed, Value};

/// The origin of values that no source sets.
pub const BUILT_IN: &str = "built-in default";

/// A value as a source states it, under any of the key's names.
pub(super) struct Stated {
    /// The path in the file's form: `smtp.server`, `smtp.backup[0].host`.
    pub path: String,
    /// The name as written: `server`, `SMTP_SERVER`.
    pub written: String,
    /// The value.
    pub value: Value,
    /// Where: `config.toml:12:8`, `$SMTP_SERVER`.
    pub place: String,
}

/// The values of one source by canonical path. A [`Value::Table`] marks a table that may be empty.
pub(super) type Layer = BTreeMap<String, Placed>;

/// The merged layers.
#[derive(Default)]
pub(super) struct Stack {
    /// One value per canonical path.
    pub values: BTreeMap<String, Placed>,
    /// The number of `[[smtp.backup]]` tables.
    pub backups: usize,
    /// Indexes below that number which no source sets.
    pub gaps: Vec<usize>,
    /// The number of `[[server.token]]` tables.
    pub tokens: usize,
    /// The names of the `[hooks.NAME]` tables, sorted.
    pub hooks: Vec<String>,
}

/// Merges the layers, the last on top.
pub(super) fn stack(defaults: &Layer, above: Vec<Layer>) -> Stack {
    let mut values = defaults.clone();
    for (path, placed) in above.into_iter().flatten() {
        set(&mut values, path, placed);
    }
    let indexes = indexes(&values, "smtp.backup[");
    let backups = indexes.last().map_or(0, |last| last + 1);
    let tokens = self::indexes(&values, "server.token[");
    let hooks = values
        .keys()
        .filter_map(|path| {
            path.strip_prefix(HOOKS)?
                .strip_prefix('.')?
                .split('.')
                .next()
        })
        .map(str::to_owned)
        .collect::<BTreeSet<_>>();
    values.retain(|_, placed| !matches!(placed.value, Value::Table));
    // A backup has the built-in defaults of `[smtp]`, not the operator's values for the primary.
    for key in KEYS.iter().filter(|key| key.per_server) {
        if let Some(default) = defaults.get(&key.path()) {
            for index in 0..backups {
                values
                    .entry(format!("smtp.backup[{index}].{}", key.name))
                    .or_insert_with(|| default.clone());
            }
        }
    }
    Stack {
        values,
        backups,
        gaps: (0..backups)
            .filter(|index| !indexes.contains(index))
            .collect(),
        tokens: tokens.last().map_or(0, |last| last + 1),
        hooks: hooks.into_iter().collect(),
    }
}

/// Sets a value, or one entry of a list (`server.tokens[0]`).
fn set(values: &mut BTreeMap<String, Placed>, path: String, placed: Placed) {
    let entry = path
        .strip_suffix(']')
        .and_then(|path| path.rsplit_once('['))
        .and_then(|(list, index)| Some((list, index.parse::<usize>().ok()?)));
    match (&placed.value, entry) {
        (Value::Unset, _) => drop(values.remove(&path)),
        (Value::Table, _) | (_, None) => drop(values.insert(path, placed)),
        (_, Some((list, index))) => {
            let mut items = match values.remove(list).map(|placed| placed.value) {
                Some(Value::List(items)) => items,
                _ => Vec::new(),
            };
            items.resize(items.len().max(index + 1), Value::Unset);
            if let Some(item) = items.get_mut(index) {
                *item = placed.value;
            }
            let value = Value::List(items);
            values.insert(list.to_owned(), Placed { value, ..placed });
        }
    }
}

/// The indexes of an array of tables; `start` is its name and the opening bracket.
fn indexes(values: &BTreeMap<String, Placed>, start: &str) -> BTreeSet<usize> {
    values
        .keys()
        .filter_map(|path| path.strip_prefix(start)?.split(']').next()?.parse().ok())
        .collect()
}
