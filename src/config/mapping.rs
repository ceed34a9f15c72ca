//! `[hooks.NAME.map]` and `[hooks.NAME.status_words]`: how a generic hook reads its payloads.

use super::values::Values;
use crate::intake::hooks::mapping::{FIELDS, Mapping, Place, Verdict};

/// Reads the mapping of the hook at `home`; `wanted` says whether its kind has one.
pub(super) fn read(values: &mut Values, home: &str, wanted: bool) -> Mapping {
    let mut mapping = Mapping::default();
    for (field, _) in FIELDS {
        let path = format!("{home}.map.{field}");
        if values.has(&path) {
            mapping.places.insert(field, places(values, &path));
            allow(values, home, &path, wanted);
        }
    }
    for (name, verdict, _) in Verdict::NAMED {
        let path = format!("{home}.status_words.{name}");
        if values.has(&path) {
            allow(values, home, &path, wanted);
            for word in values.list(&path) {
                add(values, &mut mapping, &path, &word, *verdict);
            }
        }
    }
    let challenge = format!("{home}.challenge");
    if values.has(&challenge) {
        allow(values, home, &challenge, wanted);
        mapping.challenge = values.parsed(&challenge, pointer);
    }
    let missing = format!("{home}.status_words.missing");
    if values.has(&missing) {
        allow(values, home, &missing, wanted);
        let name = values.choice(&missing);
        mapping.missing = Verdict::NAMED
            .iter()
            .find(|(known, ..)| name == Some(known))
            .map(|(_, verdict, _)| *verdict);
    }
    mapping
}

/// A JSON pointer; a fixed text would be no question.
fn pointer(text: &str) -> Result<String, Option<String>> {
    match Place::parse(text).map_err(Some)? {
        Place::Pointer(pointer) => Ok(pointer),
        Place::Fixed(_) => Err(Some(
            "write where the challenge stands, as \"/challenge\"".to_owned(),
        )),
    }
}

fn allow(values: &mut Values, home: &str, path: &str, wanted: bool) {
    if !wanted {
        values.problem(path, format!("only a generic hook has a mapping; write kind = \"generic\" in [{home}], or leave this out"));
    }
}

fn places(values: &mut Values, path: &str) -> Vec<Place> {
    let mut places = Vec::new();
    for text in values.places(path) {
        match Place::parse(&text) {
            Ok(place) => places.push(place),
            Err(why) => values.refuse(path, Some(why)),
        }
    }
    places
}

/// A word means one thing.
fn add(values: &mut Values, mapping: &mut Mapping, path: &str, word: &str, verdict: Verdict) {
    let word = word.trim().to_lowercase();
    match mapping
        .status_words
        .iter()
        .find(|(known, _)| *known == word)
    {
        Some((_, other)) if *other != verdict => {
            values.problem(
                path,
                format!(
                    "\"{word}\" is among the words of {} too; a word means one thing",
                    other.as_str()
                ),
            );
        }
        Some(_) => {}
        None => mapping.status_words.push((word, verdict)),
    }
}
