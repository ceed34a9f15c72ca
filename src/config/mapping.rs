//! `[hooks.NAME.map]` and `[hooks.NAME.status_words]`: how a generic hook reads payloads.

use super::message::{Message, message};
use super::values::{Refusal, Values};
use crate::intake::hooks::mapping::{FIELDS, Mapping, Place, StatusMeaning};

/// Reads the mapping of the hook at `home`. Reports its keys unless the hook is generic.
pub(super) fn read(values: &mut Values, home: &str, is_generic: bool) -> Mapping {
    if !is_generic {
        refuse_all(values, home);
    }
    let mut mapping = Mapping::default();
    for (field, _) in FIELDS {
        let path = format!("{home}.map.{field}");
        if values.has(&path) {
            mapping.places.insert(field, locations(values, &path));
        }
    }
    for (name, meaning, _) in StatusMeaning::NAMED {
        let path = format!("{home}.status_words.{name}");
        for word in values.list(&path) {
            add(values, &mut mapping, &path, &word, *meaning);
        }
    }
    mapping.challenge = values.parsed(&format!("{home}.challenge"), pointer);
    let missing = values.choice(&format!("{home}.status_words.missing"));
    mapping.missing = StatusMeaning::NAMED
        .iter()
        .find(|(known, ..)| missing == Some(known))
        .map(|(_, meaning, _)| *meaning);
    mapping
}

/// Reports every key of a mapping.
fn refuse_all(values: &mut Values, home: &str) {
    let keys: Vec<String> = values
        .paths()
        .filter(|path| {
            let key = path.strip_prefix(home).unwrap_or_default();
            key.starts_with(".map.") || key.starts_with(".status_words.") || key == ".challenge"
        })
        .map(str::to_owned)
        .collect();
    for key in keys {
        let message = message!(
            "only generic hooks have a mapping; set kind = \"generic\" in [{home}], or remove this key",
            "只有 generic 类型才有字段映射；请在 [{home}] 中设置 kind = \"generic\"，或删去该键"
        );
        values.problem(&key, message);
    }
}

/// Parses a JSON pointer.
fn pointer(text: &str) -> Result<String, Refusal> {
    match Place::parse(text).map_err(|why| Some(why.into()))? {
        Place::Pointer(pointer) => Ok(pointer),
        Place::Fixed(_) => Err(Some(Message::from([
            "a fixed text is not allowed here",
            "此处不能是固定文本",
        ]))),
    }
}

fn locations(values: &mut Values, path: &str) -> Vec<Place> {
    let mut locations = Vec::new();
    for text in values.locations(path) {
        match Place::parse(&text) {
            Ok(location) => locations.push(location),
            Err(why) => values.refuse(path, Some(why.into())),
        }
    }
    locations
}

/// Adds a status word. Reports a word with two meanings.
fn add(values: &mut Values, mapping: &mut Mapping, path: &str, word: &str, meaning: StatusMeaning) {
    let word = word.trim().to_lowercase();
    let known = mapping
        .status_words
        .iter()
        .find(|(known, _)| *known == word);
    match known {
        Some((_, other)) if *other != meaning => values.problem(
            path,
            message!(
                "\"{word}\" is also listed under {0}; a word has one meaning",
                "\"{word}\" 也列在 {0} 中；一个词只能有一种含义",
                other.as_str()
            ),
        ),
        Some(_) => {}
        None => mapping.status_words.push((word, meaning)),
    }
}
