//! The known name that a mistyped one probably means.

use super::keys::KEYS;
use super::lookup::{names_in, tables};

/// How alike two names must be, from 0 to 1, before one is offered for the other.
const ALIKE: f64 = 0.6;

/// How alike two names are: edits against length, or 0.8 when one begins with the other (`pass`,
/// `password`).
fn likeness(left: &str, right: &str) -> f64 {
    let (short, long) = if left.len() < right.len() {
        (left, right)
    } else {
        (right, left)
    };
    let begins = if short.len() >= 3 && long.starts_with(short) {
        0.8
    } else {
        0.0
    };
    strsim::normalized_damerau_levenshtein(left, right).max(begins)
}

/// The most alike of some names, with its likeness.
fn best<T: Clone>(
    wanted: &str,
    known: impl IntoIterator<Item = (impl AsRef<str>, T)>,
) -> Option<(f64, T)> {
    let wanted = shorten(&wanted.to_ascii_lowercase());
    let scored = known.into_iter().map(|(name, value)| {
        (
            likeness(&wanted, &name.as_ref().to_ascii_lowercase()),
            value,
        )
    });
    scored.reduce(|best, next| if next.0 > best.0 { next } else { best })
}

/// No known name is longer; comparing costs the product of both lengths.
fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

/// The word of a closed set that is meant, if one is near.
pub(super) fn word<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    best(wanted, known.into_iter().map(|name| (name, name)))
        .filter(|(score, _)| *score >= ALIKE)
        .map(|(_, name)| name)
}

/// Advice for an unknown key of a known table: the nearest key, where one is near.
pub(super) fn key_advice(table: &str, name: &str) -> String {
    if let Some((_, path)) = best(name, names_in(table)).filter(|(score, _)| *score >= ALIKE) {
        return format!("unknown key; did you mean {path}? / 未知的键，是否指 {path}？");
    }
    let elsewhere = KEYS.iter().map(|key| (key.name, key.path()));
    if let Some((_, path)) = best(name, elsewhere).filter(|(score, _)| *score >= 0.8) {
        return format!("unknown key; did you mean {path}? / 未知的键，是否指 {path}？");
    }
    let known = KEYS
        .iter()
        .filter(|key| key.table == table)
        .map(|key| key.name)
        .collect::<Vec<_>>()
        .join(", ");
    format!("unknown key; [{table}] has {known} / 未知的键；[{table}] 中有 {known}")
}

/// Advice for an unknown name at the top of the file.
pub(super) fn table_advice(name: &str) -> String {
    if let Some(table) = word(name, tables()) {
        return format!("unknown table; did you mean [{table}]?");
    }
    let keys = KEYS.iter().map(|key| (key.name, key.path()));
    match best(name, keys).filter(|(score, _)| *score >= 0.8) {
        Some((_, path)) => format!("unknown at the top of the file; did you mean {path}?"),
        None => format!(
            "unknown table; known are {}",
            tables()
                .iter()
                .map(|table| format!("[{table}]"))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}

/// The names of keys that say by themselves which key is meant; `host` or `name` could be
/// anybody's.
const TELLING: usize = 6;

/// The `JOBBELL_*` variable that an unknown one is a slip of: alike as a whole, in a table of ours,
/// or a key without its table.
pub(super) fn jobbell_variable(name: &str) -> Option<String> {
    let rest = name
        .strip_prefix("JOBBELL_")
        .unwrap_or(name)
        .to_ascii_uppercase();
    let index: String = rest
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .take(2)
        .collect();
    let backups = KEYS
        .iter()
        .filter(|key| key.per_server && !index.is_empty())
        .map(|key| format!("SMTP__BACKUP__{index}__{}", key.name));
    let number = if index.is_empty() {
        "0"
    } else {
        index.as_str()
    };
    let plain = KEYS.iter().map(|key| {
        key.path()
            .replace("server.token.", &format!("server.token.{number}."))
            .replace('.', "__")
    });
    let known = plain.chain(backups).map(|name| name.to_ascii_uppercase());
    let single = |text: &str| {
        text.split('_')
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("_")
    };
    let (score, found) = best(&single(&rest), known.map(|name| (single(&name), name)))?;
    let in_our_table = tables()
        .iter()
        .any(|table| rest.starts_with(&format!("{}__", table.to_ascii_uppercase())));
    if in_our_table || score >= 0.8 {
        return Some(format!("JOBBELL_{found}"));
    }
    let leaf = KEYS
        .iter()
        .filter(|key| key.name.len() >= TELLING)
        .find(|key| key.name.eq_ignore_ascii_case(&rest))?;
    Some(format!(
        "JOBBELL_{}",
        leaf.path().to_ascii_uppercase().replace('.', "__")
    ))
}

/// The `SMTP_*` variable that an unknown one resembles, if any.
pub(super) fn smtp_variable(rest: &str) -> Option<String> {
    let known = names_in("smtp").into_iter().map(|(name, _)| name);
    word(rest, known).map(|name| format!("SMTP_{}", name.to_ascii_uppercase()))
}
