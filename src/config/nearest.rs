//! Suggests a known name for a mistyped one.

use super::key::{HOOKS, TOKENS};
use super::keys::KEYS;
use super::lookup::{names_in, tables};
use super::message::{Message, message};

/// Minimum similarity of two names, from 0 to 1, to suggest one for the other.
const SIMILAR: f64 = 0.6;

/// The similarity of two names: 1 minus edits relative to length, or at least 0.8 if one begins with
/// the other (`pass`, `password`).
fn similarity(left: &str, right: &str) -> f64 {
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

/// The most similar name, with its similarity.
fn best<T: Clone>(
    wanted: &str,
    known: impl IntoIterator<Item = (impl AsRef<str>, T)>,
) -> Option<(f64, T)> {
    let wanted = shorten(&wanted.to_ascii_lowercase());
    let scored = known.into_iter().map(|(name, value)| {
        (
            similarity(&wanted, &name.as_ref().to_ascii_lowercase()),
            value,
        )
    });
    scored.reduce(|best, next| if next.0 > best.0 { next } else { best })
}

/// Limits the cost of a comparison, which is the product of both lengths. No known name is longer.
fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

/// The most similar word, if one is similar enough.
pub(super) fn word<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    best(wanted, known.into_iter().map(|name| (name, name)))
        .filter(|(score, _)| *score >= SIMILAR)
        .map(|(_, name)| name)
}

/// The suggestion of a value.
pub(super) fn did_you_mean(near: &str) -> Message {
    message!("did you mean \"{near}\"?", "是否指 \"{near}\"？")
}

/// Advice for an unknown key of a table, found at `home` (such as `hooks.fal`).
pub(super) fn key_advice(table: &str, name: &str, home: &str) -> Message {
    let elsewhere = KEYS.iter().map(|key| (key.name, key.path()));
    let near = best(name, names_in(table))
        .filter(|(score, _)| *score >= SIMILAR)
        .or_else(|| best(name, elsewhere).filter(|(score, _)| *score >= 0.8));
    if let Some((_, path)) = near {
        let path = match table {
            HOOKS => path.replace("hooks.NAME", home),
            TOKENS => path.replace(TOKENS, home),
            _ => path,
        };
        return message!(
            "unknown key; did you mean {path}?",
            "未知的键；是否指 {path}？"
        );
    }
    let known = KEYS.iter().filter(|key| key.table == table);
    let known: Vec<_> = known.map(|key| key.name).collect();
    let known = known.join(", ");
    message!(
        "unknown key; [{table}] has {known}",
        "未知的键；[{table}] 中有 {known}"
    )
}

/// Advice for an unknown name at the top level of the file.
pub(super) fn table_advice(name: &str) -> Message {
    if let Some(table) = word(name, tables()) {
        return message!(
            "unknown table; did you mean [{table}]?",
            "未知的表；是否指 [{table}]？"
        );
    }
    let keys = KEYS.iter().map(|key| (key.name, key.path()));
    if let Some((_, path)) = best(name, keys).filter(|(score, _)| *score >= 0.8) {
        return message!(
            "unknown at the top level of the file; did you mean {path}?",
            "文件顶层没有这个键；是否指 {path}？"
        );
    }
    let tables: Vec<_> = tables().iter().map(|name| format!("[{name}]")).collect();
    let tables = tables.join(", ");
    message!(
        "unknown table; the tables are {tables}",
        "未知的表；可用的表有 {tables}"
    )
}

/// Minimum length of a key's name that identifies the key without its table; shorter ones, such as
/// `host`, are too common.
const TELLING: usize = 6;

/// The `JOBBELL_*` variable that an unknown one resembles: a similar name, a name in one of the
/// tables, or a key without its table.
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
