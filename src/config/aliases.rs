//! Resolves the names in a source: aliases become canonical keys, and contradictions are reported.

use std::collections::BTreeMap;

use super::key::Kind;
use super::keys::KEYS;
use super::layers::{Layer, Stated};
use super::lookup::{self, Meaning};
use super::message::message;
use super::report::Findings;
use super::scalars::flag;
use super::shown::found;
use super::value::{Placed, Value};

/// The values of a source, by canonical path.
type Claims = BTreeMap<String, Vec<Stated>>;

/// Builds a layer from a source. Ignores empty texts and lists.
pub(super) fn settle(stated: Vec<Stated>, findings: &mut Findings) -> Layer {
    let mut claims = Claims::new();
    for one in stated.into_iter().filter(|one| !is_empty(&one.value)) {
        if let Some(one) = canonical(one, findings) {
            claims.entry(one.path.clone()).or_default().push(one);
        }
    }
    report_contradictions(&claims, findings);
    report_exclusive(&claims, findings);
    let mut layer = Layer::new();
    for (path, claims) in claims {
        if let Some(other) = excluded_by(&path) {
            let unset = Placed {
                value: Value::Unset,
                place: String::new(),
            };
            layer.insert(other, unset);
        }
        if let Some(Stated { value, place, .. }) = claims.into_iter().next() {
            layer.insert(path, Placed { value, place });
        }
    }
    layer
}

/// Whether a value is empty, as in a template that nobody has filled in.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Text(text) => text.trim().is_empty(),
        Value::List(items) => items.is_empty(),
        _ => false,
    }
}

/// Resolves the name of a value, with a note if it is not the key's own.
fn canonical(one: Stated, findings: &mut Findings) -> Option<Stated> {
    let (written, place) = (&one.written, &one.place);
    let mut note = |path: &str, value: &str| {
        findings.info(
            place,
            path,
            message!(
                "{written} is read as {path}{value}",
                "{written} 按 {path}{value} 处理"
            ),
        );
    };
    match lookup::meaning(&one.path)? {
        Meaning::Key(path) => {
            if KEYS
                .iter()
                .any(|key| key.variables.contains(&written.as_str()))
            {
                note(&path, "");
            }
            Some(Stated { path, ..one })
        }
        Meaning::Alias(path) => {
            note(&path, "");
            Some(Stated { path, ..one })
        }
        Meaning::Switch(path, word) => match flag(&one.value) {
            Some(true) => {
                note(&path, &format!(" = \"{word}\""));
                let value = Value::Text(word.to_owned());
                Some(Stated { path, value, ..one })
            }
            Some(false) => {
                let message = message!(
                    "{written} = false has no effect on {path}",
                    "{written} = false 不影响 {path}"
                );
                findings.info(place, &path, message);
                None
            }
            None => {
                let found = found(Kind::Flag, &one.value);
                findings.invalid(place, &path, &found, Kind::Flag.expected(), None);
                None
            }
        },
    }
}

/// Reports keys that one source sets to different values.
fn report_contradictions(claims: &Claims, findings: &mut Findings) {
    for (path, claims) in claims {
        let Some((first, rest)) = claims.split_first() else {
            continue;
        };
        let value = first.value.to_string();
        for other in rest.iter().filter(|other| other.value.to_string() != value) {
            let message = message!(
                "{0} ({1}) and {2} ({3}) set the same key to different values; keep one",
                "{0}（{1}）与 {2}（{3}）把同一个键设为不同的值；请只保留一个",
                first.written,
                first.place,
                other.written,
                other.place
            );
            findings.problem(&other.place, path, message);
        }
    }
}

/// The key that one layer must not set together with this one, in the same table: `password` and
/// `password_file`. Setting one unsets the other one in lower layers.
fn excluded_by(path: &str) -> Option<String> {
    let (home, leaf) = path.rsplit_once('.')?;
    let leaf = leaf.split('[').next()?;
    let other = match leaf {
        "jwks_url" => "jwks_file".to_owned(),
        "jwks_file" => "jwks_url".to_owned(),
        _ => leaf
            .strip_suffix("_file")
            .map_or_else(|| format!("{leaf}_file"), str::to_owned),
    };
    Some(format!("{home}.{other}")).filter(|other| lookup::find(other).is_some())
}

/// Reports exclusive keys, and lists that are set both as a whole and by entry.
fn report_exclusive(claims: &Claims, findings: &mut Findings) {
    for (path, own) in claims {
        let file = excluded_by(path).filter(|other| other.ends_with("_file"));
        let list = path
            .strip_suffix(']')
            .and_then(|path| path.rsplit_once('['))
            .map(|(list, _)| list.to_owned());
        for other in [file, list].into_iter().flatten() {
            if let (Some(one), Some(two)) = (
                own.first(),
                claims.get(&other).and_then(|claims| claims.first()),
            ) {
                let message = message!(
                    "{0} ({1}) and {2} ({3}) exclude each other; keep one",
                    "{0}（{1}）与 {2}（{3}）不能同时设置；请只保留一个",
                    one.written,
                    one.place,
                    two.written,
                    two.place
                );
                findings.problem(&two.place, &other, message);
            }
        }
    }
}
