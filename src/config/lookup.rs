//! Finds keys by path and by the names used in a configuration.

use super::key::{HOOKS, Key, TOKENS};
use super::keys::KEYS;

/// `use_ssl = true` and `use_tls = true` set a value of `tls`; `false` has no effect.
pub(super) const SWITCHES: [(&str, &str); 2] = [("use_ssl", "implicit"), ("use_tls", "starttls")];

/// Maximum number of `[[smtp.backup]]` tables, and of list entries that can be set individually.
pub(super) const MAX_INDEX: usize = 32;

/// An array of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Many {
    /// The table that contains it, and its name in that table.
    pub(super) home: (&'static str, &'static str),
    /// The table of the registry that lists the keys of each element.
    pub(super) table: &'static str,
    /// Maximum number of elements.
    pub(super) most: usize,
}

/// All arrays of tables.
pub(super) const MANY: [Many; 2] = [
    Many {
        home: ("smtp", "backup"),
        table: "smtp",
        most: MAX_INDEX,
    },
    Many {
        home: ("server", "token"),
        table: TOKENS,
        most: 256,
    },
];

/// Maximum number of `[hooks.NAME]` tables.
pub(super) const MAX_HOOKS: usize = 64;

/// Whether a hook's name is valid. It is used in a URL, as a metrics label, as the start of event
/// IDs, and, with `_` for `-`, in a variable.
pub(super) fn is_hook_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    (1..=32).contains(&name.len())
        && name.bytes().all(plain)
        && name.starts_with(|c: char| c.is_ascii_lowercase())
}

/// Whether a hook has a sub-table of this name.
pub(super) fn is_hook_part(name: &str) -> bool {
    KEYS.iter().any(|key| {
        key.table == HOOKS
            && key
                .name
                .split_once('.')
                .is_some_and(|(part, _)| part == name)
    })
}

/// The meaning of a path in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The canonical path of a key.
    Key(String),
    /// An alias of this key.
    Alias(String),
    /// A boolean that, if true, sets this key to this value.
    Switch(String, &'static str),
}

impl Meaning {
    /// The canonical path of the key.
    pub(super) fn key(&self) -> &str {
        match self {
            Self::Key(path) | Self::Alias(path) | Self::Switch(path, _) => path,
        }
    }
}

/// Splits `smtp.backup[1].host` into `smtp.backup[1].` and `smtp.host`; for any other path the first
/// part is empty.
pub(super) fn split_server(path: &str) -> (&str, String) {
    match path
        .strip_prefix("smtp.backup[")
        .and_then(|rest| rest.split_once("]."))
    {
        Some((_, leaf)) => (
            path.strip_suffix(leaf).unwrap_or_default(),
            format!("smtp.{leaf}"),
        ),
        None => ("", path.to_owned()),
    }
}

/// Splits `hooks.fal.secret` into `fal` and `secret`.
pub(super) fn split_hook(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("hooks.")?
        .split_once('.')
        .filter(|(name, _)| is_hook_name(name))
}

/// The last part of `server.token[1].name`.
pub(super) fn token_key(path: &str) -> Option<&str> {
    path.strip_prefix("server.token[")?
        .split_once("].")
        .map(|(_, leaf)| leaf)
}

/// The key of a canonical path, including those of backups, hooks, tokens and list entries.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    let (server, plain) = split_server(path);
    let (table, leaf) = match (split_hook(path), token_key(path)) {
        (Some((_, leaf)), _) => (HOOKS, leaf),
        (None, Some(leaf)) => (TOKENS, leaf),
        (None, None) if path.starts_with("hooks.") => return None,
        (None, None) => plain.split_once('.')?,
    };
    let (name, index) = match leaf.split_once('[') {
        Some((name, _)) => (name, true),
        None => (leaf, false),
    };
    let known = |key: &&Key| {
        key.table == table
            && key.name == name
            && (server.is_empty() || key.per_server)
            && (!index || key.kind.is_list())
    };
    KEYS.iter().find(known)
}

/// The meaning of a path; `None` if it is unknown.
pub(super) fn meaning(path: &str) -> Option<Meaning> {
    if find(path).is_some() {
        return Some(Meaning::Key(path.to_owned()));
    }
    let (server, plain) = split_server(path);
    let prefix = if server.is_empty() { "smtp." } else { server };
    if let Some((_, word)) = SWITCHES
        .iter()
        .find(|(name, _)| plain.strip_prefix("smtp.") == Some(name))
    {
        return Some(Meaning::Switch(format!("{prefix}tls"), word));
    }
    let key = KEYS.iter().find(|key| {
        key.aliases.contains(&plain.as_str()) && (server.is_empty() || key.per_server)
    })?;
    Some(Meaning::Alias(if server.is_empty() {
        key.path()
    } else {
        format!("{server}{}", key.name)
    }))
}

/// Whether a top-level table exists.
pub(super) fn is_table(name: &str) -> bool {
    name != TOKENS && KEYS.iter().any(|key| key.table == name)
}

/// The top-level tables, in the order of the reference file.
pub(super) fn tables() -> Vec<&'static str> {
    let mut tables: Vec<_> = KEYS
        .iter()
        .map(|key| key.table)
        .filter(|table| *table != TOKENS)
        .collect();
    tables.dedup();
    tables
}

/// All names in a table, including aliases, with the path of their key.
pub(super) fn names_in(table: &str) -> Vec<(&'static str, String)> {
    let own = KEYS
        .iter()
        .filter(|key| key.table == table)
        .map(|key| (key.name, key.path()));
    let aliases = KEYS
        .iter()
        .flat_map(|key| key.aliases.iter().map(move |alias| (alias, key)));
    let aliases = aliases.filter_map(|(alias, key)| {
        alias
            .split_once('.')
            .filter(|(home, _)| *home == table)
            .map(|(_, name)| (name, key.path()))
    });
    let switches = SWITCHES
        .iter()
        .filter(|_| table == "smtp")
        .map(|(name, _)| (*name, format!("smtp.{name}")));
    own.chain(aliases).chain(switches).collect()
}
