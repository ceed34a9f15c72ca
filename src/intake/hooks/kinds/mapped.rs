//! Kinds with a mapping of their own: a table of `mappings.toml`, in the language of `generic`
//! hooks. Code adds what that language cannot express.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::super::mapping::{FIELDS, Mapping, Place, StatusMeaning};
use super::super::{Kind, MapResult, Payload};
use super::generic::MappedJob;

/// The mappings by the names of their kinds. A test parses the file.
static MAPPINGS: LazyLock<BTreeMap<String, Mapping>> =
    LazyLock::new(|| parse(include_str!("mappings.toml")).unwrap_or_default());

/// One table of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    map: BTreeMap<String, Pointers>,
    status_words: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Pointers {
    One(String),
    Many(Vec<String>),
}

/// Maps a payload by the kind's mapping; `complete` adds what it cannot express.
pub(super) fn map<'a>(
    kind: Kind,
    payload: &Payload<'a>,
    complete: impl FnOnce(MappedJob<'a>) -> MappedJob<'a>,
) -> MapResult {
    let Some(mapping) = MAPPINGS.get(kind.as_str()) else {
        return MapResult::Unknown(format!("{} has no mapping", kind.as_str()));
    };
    match MappedJob::read(mapping, payload) {
        Ok(job) => complete(job).finish(),
        Err(result) => result,
    }
}

/// Maps a Kling task.
pub fn kling(payload: &Payload<'_>) -> MapResult {
    map(Kind::Kling, payload, |task| task)
}

fn parse(text: &str) -> Result<BTreeMap<String, Mapping>, String> {
    let tables: BTreeMap<String, Table> =
        toml::from_str(text).map_err(|error| error.to_string())?;
    let mapping = |(kind, table): (String, Table)| {
        let mapping = mapping(table).map_err(|why| format!("[{kind}]: {why}"))?;
        Ok((kind, mapping))
    };
    tables.into_iter().map(mapping).collect()
}

fn mapping(table: Table) -> Result<Mapping, String> {
    let mut mapping = Mapping {
        exact: true,
        ..Mapping::default()
    };
    for (name, pointers) in table.map {
        let (field, _) = FIELDS
            .iter()
            .find(|(field, _)| *field == name)
            .ok_or_else(|| format!("unknown field {name}"))?;
        let places = match pointers {
            Pointers::One(place) => vec![place],
            Pointers::Many(places) => places,
        };
        let places: Result<_, String> = places.iter().map(|place| Place::parse(place)).collect();
        mapping.places.insert(field, places?);
    }
    for (name, words) in table.status_words {
        let (_, meaning, _) = StatusMeaning::NAMED
            .iter()
            .find(|(known, ..)| *known == name)
            .ok_or_else(|| format!("unknown meaning {name}"))?;
        let words = words.into_iter().map(|word| (word, *meaning));
        mapping.status_words.extend(words);
    }
    Ok(mapping)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_mappings_are_valid() {
        let mappings = parse(include_str!("mappings.toml")).unwrap();
        for (kind, mapping) in mappings {
            assert!(Kind::from_name(&kind).is_some(), "[{kind}]");
            for field in ["id", "status"] {
                assert!(mapping.places.contains_key(field), "[{kind}] {field}");
            }
            for (word, meaning) in &mapping.status_words {
                assert_eq!(*word, word.trim().to_lowercase(), "[{kind}]");
                let twice = mapping
                    .status_words
                    .iter()
                    .any(|(other, another)| other == word && another != meaning);
                assert!(!twice, "[{kind}] {word} has two meanings");
            }
        }
    }
}
