//! Merges the sources: each one is a layer of canonical keys, and later layers override earlier ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ::config::{ConfigError, Map, ValueKind};

use super::key::HOOKS;
use super::keys::KEYS;
use super::value::{Placed, Value};

/// The origin of values that no source sets.
pub const BUILT_IN: &str = "built-in default";

/// The arrays of tables.
const TABLE_ARRAYS: [&str; 2] = ["smtp.backup", "server.token"];

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

/// Merges the layers, the last on top. Returns `None` only if a path is malformed, and ours are not.
pub(super) fn stack(defaults: &Layer, above: Vec<Layer>) -> Option<Stack> {
    let mut builder = ::config::Config::builder().add_source(Source(defaults.clone()));
    for layer in above {
        builder = builder.add_source(Source(layer));
    }
    let mut values = Layer::new();
    flatten(&mut values, String::new(), builder.build().ok()?.cache);
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
    Some(Stack {
        values,
        backups,
        gaps: (0..backups)
            .filter(|index| !indexes.contains(index))
            .collect(),
        tokens: tokens.last().map_or(0, |last| last + 1),
        hooks: hooks.into_iter().collect(),
    })
}

/// A layer as a source of the `config` crate. The origin of each value is its place.
#[derive(Clone)]
struct Source(Layer);

/// Shows no value, because it may be a secret.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({} values)", self.0.len())
    }
}

impl ::config::Source for Source {
    fn clone_into_box(&self) -> Box<dyn ::config::Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, ::config::Value>, ConfigError> {
        let entry = |(path, placed): (&String, &Placed)| {
            let value = ::config::Value::new(Some(&placed.place), placed.value.clone());
            (path.clone(), value)
        };
        Ok(self.0.iter().map(entry).collect())
    }
}

/// Adds a merged value and what it contains by canonical path; [`Value::Table`] marks each table.
fn flatten(values: &mut Layer, path: String, value: ::config::Value) {
    let place = value.origin().map(str::to_owned);
    match value.kind {
        ValueKind::Nil => {}
        ValueKind::Table(table) => {
            for (name, value) in table {
                let path = match path.as_str() {
                    "" => name,
                    path => format!("{path}.{name}"),
                };
                flatten(values, path, value);
            }
            let (value, place) = (Value::Table, place.unwrap_or_default());
            values.insert(path, Placed { value, place });
        }
        ValueKind::Array(items) if TABLE_ARRAYS.contains(&path.as_str()) => {
            for (index, item) in items.into_iter().enumerate() {
                flatten(values, format!("{path}[{index}]"), item);
            }
        }
        kind => {
            // A list that is set entry by entry has the place of its first one.
            let place = place.or_else(|| first_origin(&kind)).unwrap_or_default();
            let value = kind.into();
            values.insert(path, Placed { value, place });
        }
    }
}

fn first_origin(kind: &ValueKind) -> Option<String> {
    let ValueKind::Array(items) = kind else {
        return None;
    };
    items
        .iter()
        .find_map(|item| item.origin().map(str::to_owned))
}

/// The indexes of an array of tables; `start` is its name and the opening bracket.
fn indexes(values: &BTreeMap<String, Placed>, start: &str) -> BTreeSet<usize> {
    values
        .keys()
        .filter_map(|path| path.strip_prefix(start)?.split(']').next()?.parse().ok())
        .collect()
}
