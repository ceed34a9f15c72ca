//! From what a source says, under whichever names, to one layer of canonical keys.

use std::collections::BTreeMap;

use ::config::ValueKind;

use super::key::Kind;
use super::keys::KEYS;
use super::layers::{Layer, Stated};
use super::lookup::{self, Meaning};
use super::report::Findings;
use super::scalars::flag;

/// Two keys of which one layer may set only one; the other then counts as unset in the layers
/// below.
const RIVALS: [(&str, &str); 8] = [
    ("value", "value_file"),
    ("password", "password_file"),
    ("tokens", "tokens_file"),
    ("oauth_client_secret", "oauth_client_secret_file"),
    ("oauth_refresh_token", "oauth_refresh_token_file"),
    ("access_key_secret", "access_key_secret_file"),
    ("secret", "secret_file"),
    ("jwks_url", "jwks_file"),
];

/// One value under its canonical path, with the name that it was written by.
struct Claim {
    written: String,
    value: ValueKind,
    place: String,
}

/// Settles what one source says: aliases become their keys, contradictions become problems, empty
/// texts count as unset.
pub(super) fn settle(stated: Vec<Stated>, findings: &mut Findings) -> Layer {
    let mut claims: BTreeMap<String, Vec<Claim>> = BTreeMap::new();
    for one in stated {
        if says_nothing(&one.value) {
            continue;
        }
        if let Some((path, claim)) = claim(one, findings) {
            claims.entry(path).or_default().push(claim);
        }
    }
    contradictions(&claims, findings);
    rivals(&claims, findings);
    let mut layer = Layer::default();
    for (path, claims) in claims {
        if let Some(rival) = rival_of(&path) {
            layer.set(rival, "", ValueKind::Nil);
        }
        if let Some(first) = claims.into_iter().next() {
            layer.set(path, &first.place, first.value);
        }
    }
    layer
}

/// An empty text or list is what a copied file has where nobody has filled anything in.
fn says_nothing(value: &ValueKind) -> bool {
    match value {
        ValueKind::String(text) => text.trim().is_empty(),
        ValueKind::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn claim(one: Stated, findings: &mut Findings) -> Option<(String, Claim)> {
    let Stated {
        path,
        written,
        value,
        place,
    } = one;
    match lookup::meaning(&path)? {
        Meaning::Key(path) => {
            if KEYS
                .iter()
                .any(|key| key.variables.contains(&written.as_str()))
            {
                findings.info(&place, &path, format!("{written} is understood as {path}"));
            }
            Some((
                path,
                Claim {
                    written,
                    value,
                    place,
                },
            ))
        }
        Meaning::Alias(path) => {
            findings.info(&place, &path, format!("{written} is understood as {path}"));
            Some((
                path,
                Claim {
                    written,
                    value,
                    place,
                },
            ))
        }
        Meaning::Switch(path, word) => match flag(&value) {
            Some(true) => {
                findings.info(
                    &place,
                    &path,
                    format!("{written} is understood as {path} = \"{word}\""),
                );
                Some((
                    path,
                    Claim {
                        written,
                        value: ValueKind::String(word.to_owned()),
                        place,
                    },
                ))
            }
            Some(false) => {
                findings.info(
                    &place,
                    &path,
                    format!("{written} is understood; false leaves {path} as it is"),
                );
                None
            }
            None => {
                findings.unfit(
                    &place,
                    &path,
                    &super::layers::found(Kind::Flag, &value),
                    &Kind::Flag.allowed(),
                    None,
                );
                None
            }
        },
    }
}

/// One key said twice in a layer must be said the same way.
fn contradictions(claims: &BTreeMap<String, Vec<Claim>>, findings: &mut Findings) {
    for (path, claims) in claims {
        let Some((first, rest)) = claims.split_first() else {
            continue;
        };
        for other in rest
            .iter()
            .filter(|other| plain(&other.value) != plain(&first.value))
        {
            let message = format!(
                "{} ({}) and {} ({}) are one key and say different things; keep one",
                first.written, first.place, other.written, other.place
            );
            findings.problem(&other.place, path, message);
        }
    }
}

/// The text of a value without its type, so that `587` and `"587"` are the same.
fn plain(value: &ValueKind) -> String {
    match value {
        ValueKind::Array(items) => items
            .iter()
            .map(|item| plain(&item.kind))
            .collect::<Vec<_>>()
            .join(","),
        ValueKind::Table(_) => "table".to_owned(),
        other => other.to_string().trim().to_owned(),
    }
}

/// The key that may not stand beside this one, on the same server.
fn rival_of(path: &str) -> Option<String> {
    let (home, leaf) = path.rsplit_once('.')?;
    let leaf = leaf.split('[').next()?;
    let pairs = RIVALS
        .iter()
        .flat_map(|(one, two)| [(*one, *two), (*two, *one)]);
    pairs
        .into_iter()
        .find(|(name, _)| *name == leaf)
        .map(|(_, other)| format!("{home}.{other}"))
}

fn rivals(claims: &BTreeMap<String, Vec<Claim>>, findings: &mut Findings) {
    let base = |path: &str| {
        path.strip_suffix(']')
            .and_then(|path| path.rsplit_once('['))
            .map(|(base, _)| base.to_owned())
    };
    for (path, own) in claims {
        let file = rival_of(path).filter(|rival| rival.ends_with("_file"));
        for rival in [file, base(path)].into_iter().flatten() {
            if let (Some(one), Some(two)) = (
                own.first(),
                claims.get(&rival).and_then(|claims| claims.first()),
            ) {
                let message = format!(
                    "{} ({}) and {} ({}) exclude each other; keep one",
                    one.written, one.place, two.written, two.place
                );
                findings.problem(&two.place, &rival, message);
            }
        }
    }
}
